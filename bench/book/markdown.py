"""Texts of others within Markdown of ours: titles that show as they are, chapters that stay within their bounds."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: The deepest heading.
_DEEPEST: Final = 6

#: Whatever Markdown, or HTML within it, could take for more than a character.
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$:=^@\"'])")

#: Controls and formats: some turn the rest of a line around.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs"})

#: Formats that change nothing but the letters beside them: scripts and joined emoji need them.
_JOINERS: Final = "\u200c\u200d"

#: A line that opens or closes a block of code.
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")

_HEADING: Final = re.compile(r"^( {0,3})(#{1,6})(?=[ \t]|$)")

#: A line below a text that makes a heading of it.
_UNDERLINE: Final = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")

#: Openings of HTML that ends only where it is closed: what follows it, other chapters too, would be swallowed.
_SWALLOWING: Final = re.compile(
    r"<(?=!|\?|/?(?:script|pre|style|textarea|title|iframe|noembed|noframes|xmp|plaintext)\b)", re.IGNORECASE
)


def title_text(title: str) -> str:
    """Return a title as one line of Markdown that shows it as it is."""
    shown = "".join(
        char for char in title if unicodedata.category(char) not in _HIDDEN or char.isspace() or char in _JOINERS
    )
    return _SPECIAL.sub(r"\\\1", " ".join(shown.split()))


def body_text(text: str, *, below: int) -> str:
    """Return a chapter's text such that it can be followed by others.

    Its headings come below a level, a block of code that was cut off is closed, and HTML that would swallow what
    follows shows as text. All else is as it was written.

    Args:
        text: What a model wrote.
        below: The level of the heading that it stands under, from 1.
    """
    lines: list[str] = []
    fence = ""
    deeper = _deeper(text, below)
    for line in text.strip().splitlines():
        found = _FENCE.match(line)
        if fence:
            closes = found is not None and found[1].startswith(fence) and not found[2].strip()
            fence = "" if closes else fence
            lines.append(line)
        elif found is not None and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
            lines.append(line)
        else:
            lines.append(_plain_line(line, deeper, lines))
    return "\n".join([*lines, *([fence] if fence else [])]) + "\n"


def _plain_line(line: str, deeper: int, before: list[str]) -> str:
    """Return a line outside of code."""
    if _UNDERLINE.match(line) and before and before[-1].strip():
        # Such a heading has two levels only, both too high; as a rule on its own it means what it says.
        before.append("")
    line = _HEADING.sub(lambda found: found[1] + "#" * min(_DEEPEST, len(found[2]) + deeper), line)
    return _SWALLOWING.sub("&lt;", line)


def _deeper(text: str, below: int) -> int:
    """Return by how many levels headings are to be moved, so that the highest one comes right below a level."""
    levels = [len(found[2]) for line in text.splitlines() if (found := _HEADING.match(line))]
    return max(0, below + 1 - min(levels, default=_DEEPEST))
