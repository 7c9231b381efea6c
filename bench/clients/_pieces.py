"""Text in pieces, as servers cut it: whole characters for whoever is to have them before the answer's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.clients._base import Sink

#: The first halves of characters that JSON may carry in two (high surrogates).
_FIRST_HALVES: Final = ("\ud800", "\udbff")


class Pieces:
    """Hands text on, piece by piece; a first half of a character waits for the second.

    Args:
        sink: Takes the pieces, which together are the text as `encodable` has it.
    """

    __slots__ = ("_half", "_sink")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._half = ""

    def take(self, text: str) -> None:
        """Take the next piece."""
        text = self._half + text
        self._half = ""
        if text and _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
            text, self._half = text[:-1], text[-1]
        if text:
            self._sink(encodable(text))

    def end(self) -> None:
        """Take the text's end."""
        if self._half:
            self._sink(encodable(self._half))
            self._half = ""


def encodable(text: str) -> str:
    """Return `text` such that UTF-8 can encode it: half characters that belong together joined, lone ones as U+FFFD.

    JSON can carry half a character (a surrogate), and a server that cuts text by its UTF-16 units sends the other half
    in the next chunk.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
