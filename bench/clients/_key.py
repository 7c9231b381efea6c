"""The key that a client sends, checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError

if TYPE_CHECKING:
    from bench.providers import Secret

#: The SDK refuses to start without a key, and a server that needs none ignores it; every client sends the same.
_NO_KEY: Final = "none-needed"


def sendable(key: Secret | None) -> str:
    """Return the key to send.

    Raises:
        ConfigError: It holds what no header may, or what would be escaped where a server repeats it, and so show.
    """
    if key is None:
        return _NO_KEY
    value = key.reveal()
    if not value or not all(char.isascii() and char.isprintable() and char not in " \"'\\" for char in value):
        raise ConfigError(
            f"the API key ({len(value)} characters) is empty, or holds a blank, a quote or a character outside ASCII",
            "copy it again from the provider's page, without quotes and line breaks",
        )
    return value
