"""Keys of providers: which variables hold them, and what they hold."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.providers import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.providers import Provider


def keys_of(provider: Provider, environ: Mapping[str, str]) -> tuple[tuple[int, Secret], ...]:
    """Return a provider's keys that are set, each with its place among the variables.

    A key that stands in two of them counts once.

    Args:
        provider: The provider.
        environ: The environment over the env file.

    Raises:
        ConfigError: One holds what no key holds; it is not repeated.
    """
    found: dict[str, tuple[int, Secret]] = {}
    for place, name in enumerate(key_variables(provider, environ)):
        key = key_in(environ, name)
        if key is not None:
            found.setdefault(key.reveal(), (place, key))
    return tuple(found.values())


def key_variables(provider: Provider, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that may hold a provider's keys: those it names, or X_KEY, then X_KEY_2 .. while set."""
    if provider.keys or not provider.key_env:
        return provider.keys
    numbered = (f"{provider.key_env}_{number}" for number in itertools.count(2))
    return (provider.key_env, *itertools.takewhile(lambda name: environ.get(name, "").strip(), numbered))


def key_in(environ: Mapping[str, str], name: str) -> Secret | None:
    """Return a key, or None where it is not set or blank.

    Raises:
        ConfigError: It holds what no key holds; it is not repeated.
    """
    value = environ.get(name, "").strip()
    if not value:
        return None
    if not value.isascii() or any(char.isspace() or not char.isprintable() for char in value):
        raise ConfigError(f"{name} holds a character that no key has (a blank, a control or a non-ASCII character)")
    return Secret(value, name)
