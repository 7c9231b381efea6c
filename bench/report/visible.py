"""Text from outside, made safe to look at: what would be invisible or turn the line around is written out."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Joins emoji to one picture; invisible on purpose and harmless.
_ZERO_WIDTH_JOINER: Final = "\u200d"

#: Control, format (with the direction overrides), surrogate, private, and the two line separators. Unassigned ones are
#: shown: they may be younger than this Python.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

#: Marks stacked on one letter beyond this many are dropped: they would draw over the lines above and below.
_MARKS_AT_MOST: Final = 3


def visible(text: str, *, at_most: int | None = None) -> str:
    r"""Return text with control, format and direction characters written as `\x1b` or `\u202e`.

    Args:
        text: Any text; line breaks and tabs become `\n` and `\t`.
        at_most: Longer results are cut there, with an ellipsis.
    """
    if at_most is not None:
        text = text[: at_most + 1]
    if text.isprintable() and (text.isascii() or not _has_mark_stack(text)):
        shown = text
    else:
        shown = "".join(_shown(char) for char in _without_mark_stacks(text))
    if at_most is not None and len(shown) > at_most:
        return shown[: at_most - 1] + "…"
    return shown


def _shown(char: str) -> str:
    if char == _ZERO_WIDTH_JOINER or unicodedata.category(char) not in _HIDDEN:
        return char
    return char.encode("unicode_escape").decode("ascii")


def _has_mark_stack(text: str) -> bool:
    return len(_without_mark_stacks(text)) != len(text)


def _without_mark_stacks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= _MARKS_AT_MOST:
            kept.append(char)
    return "".join(kept)
