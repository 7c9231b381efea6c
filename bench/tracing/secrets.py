"""What is taken out of spans before they leave: the keys that are known, and whatever has the shape of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

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


class KeyScrubber:
    """Replaces keys by `****` in all texts of a value, however deep.

    Args:
        secrets: The exact values.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._exact = Scrubber(secrets)

    def text(self, text: str) -> str:
        """Return a text without keys, and in a form that UTF-8 has."""
        clean = _SHAPES.sub("****", self._exact(text))
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
