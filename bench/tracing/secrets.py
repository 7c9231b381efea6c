"""What is taken out of spans before they leave: the keys that are known, and whatever has the shape of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from bench.logcontext import Scrubber

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Keys as providers make them: BigModel's `<32 hex>.<16>`, `sk-..`, LangSmith's own, Google's, and what a request's
#: head carries.
_SHAPES: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{32}\.[0-9A-Za-z]{16}"
    r"|sk-[0-9A-Za-z_-]{16,}"
    r"|lsv2_[0-9A-Za-z_]{16,}"
    r"|AIza[0-9A-Za-z_-]{30,}"
    r"|(?<=Bearer )[0-9A-Za-z._~+/=-]{8,})"
)

#: Where none of these is in a text, in small letters, no shape is: they are found a hundred times as fast.
_SIGNS: Final = ("sk-", "lsv2_", "aiza", "bearer ")
_DOTTED: Final = re.compile(r"\.(?<=[0-9a-fA-F]{32}\.)[0-9A-Za-z]{16}")

_WORDS: Final = re.compile(r"[0-9A-Za-z]+")


class KeyScrubber:
    """Replaces keys by `****` in all texts of a value, however deep.

    Args:
        secrets: The exact values.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = tuple(secrets)
        self._exact = Scrubber(values)
        self._signs = (*_SIGNS, *{_sign(value) for value in values})
        self._encode = msgspec.json.Encoder().encode

    def text(self, text: str) -> str:
        """Return a text without keys, and in a form that UTF-8 has."""
        clean = _SHAPES.sub("****", self._exact(text)) if self._may_hold_a_key(text) else text
        return clean if clean.isascii() else clean.encode("utf-8", "backslashreplace").decode()

    def value(self, value: object) -> object:
        """Return a value of JSON with every text in it scrubbed, names of fields too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        return value

    def json(self, value: object) -> bytes:
        """Return a value as JSON with every text in it scrubbed."""
        try:
            data = self._encode(value)
        except UnicodeEncodeError:
            return self._encode(self.value(value))
        # Signs are of characters that JSON never escapes: they stand in the whole as they stand in a text.
        return self._encode(self.value(value)) if self._may_hold_a_key(data.decode()) else data

    def _may_hold_a_key(self, text: str) -> bool:
        lowered = text.lower()
        return any(sign in lowered for sign in self._signs) or _DOTTED.search(text) is not None


def _sign(secret: str) -> str:
    """Return the longest part of a secret that is written the same wherever a server repeats it, in small letters."""
    return max(_WORDS.findall(secret), key=len, default="").lower()
