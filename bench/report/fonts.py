"""Fonts of charts and page: the bundled one first, then what the machine has; no character is drawn as a box."""

from __future__ import annotations

import base64
import dataclasses
import io
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fontTools import subset  # type: ignore[import-untyped] # it has no types
from fontTools.ttLib import TTFont  # type: ignore[import-untyped] # it has no types
from matplotlib import font_manager

from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where it came from and how it was made is in FONT.md beside it.
FONT_FILE: Final = Path(__file__).with_name("assets") / "NotoSansCJKsc-GB2312.otf"

#: Its name here, so that a font of the machine with the same name is not taken for it.
FONT_NAME: Final = "Report Sans"

#: Comes with matplotlib: further scripts and many symbols.
_SECOND: Final = "DejaVu Sans"

#: Fonts of common systems with characters beyond these two; asked only when one is needed.
_OF_THE_MACHINE: Final = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "Noto Sans Symbols2",
    "Noto Emoji",
    "Symbola",
)

#: No chart has room for a longer label.
_LABEL_AT_MOST: Final = 300

#: Select how the character before them is shown; drawn alone they are boxes.
_SELECTORS: Final = frozenset({"\ufe0e", "\ufe0f", "\u200d"})


class ChartFonts:
    """The fonts that charts are drawn with, and what had to be done about characters outside them.

    Attributes:
        families: Names for matplotlib, first choice first; grows when the machine lends a font.
        borrowed: Characters drawn with a font of this machine, with its name.
        written_out: Characters that no font here has, with what stands in their place.
    """

    def __init__(self) -> None:
        self.families = [FONT_NAME, _SECOND]
        self.borrowed: dict[str, str] = {}
        self.written_out: dict[str, str] = {}
        _register()
        self._known = bundled_characters() | _characters_of(_SECOND)
        self._lenders: dict[str, frozenset[int]] | None = None

    def __repr__(self) -> str:
        """Show the fonts and how much was missing."""
        return f"<ChartFonts {self.families} written_out={len(self.written_out)}>"

    def drawable(self, text: str) -> str:
        """Return the text with hidden characters made visible and those without a glyph written out, cut where long."""
        return "".join(self._drawable(char) for char in visible(text, at_most=_LABEL_AT_MOST))

    def _drawable(self, char: str) -> str:
        if char in _SELECTORS:
            return ""
        if ord(char) in self._known or char in self.borrowed:
            return char
        lender = self._lender(char)
        if lender is not None:
            self.borrowed[char] = lender
            if lender not in self.families:
                self.families.append(lender)
            return char
        return self.written_out.setdefault(char, _spelled(char))

    def _lender(self, char: str) -> str | None:
        if self._lenders is None:
            here = {entry.name for entry in font_manager.fontManager.ttflist}
            self._lenders = {name: _characters_of(name) for name in _OF_THE_MACHINE if name in here}
        return next((name for name, has in self._lenders.items() if ord(char) in has), None)


def _spelled(char: str) -> str:
    """Return `(rocket)` for a symbol, `(U+20BB7)` for a character whose name says nothing."""
    name = unicodedata.name(char, "")
    if not name or any(part.isdigit() for part in name) or unicodedata.category(char) != "So":
        return f"(U+{ord(char):04X})"
    return f"({name.lower()})"


def _register() -> None:
    """Make the bundled font known to matplotlib; a second call does nothing."""
    fonts = font_manager.fontManager.ttflist
    if not any(entry.name == FONT_NAME for entry in fonts):
        entry = font_manager.ttfFontProperty(font_manager.get_font(FONT_FILE))
        fonts.append(dataclasses.replace(entry, name=FONT_NAME))


def bundled_characters() -> frozenset[int]:
    """Return the code points that the bundled font has glyphs for."""
    return frozenset(font_manager.get_font(FONT_FILE).get_charmap())


def _characters_of(family: str) -> frozenset[int]:
    path = font_manager.findfont(font_manager.FontProperties(family=[family]))
    return frozenset(font_manager.get_font(path).get_charmap())


def embedded(characters: Iterable[str]) -> str:
    """Return those glyphs of the bundled font that the characters need, as the `data:` address of a WOFF file."""
    options = subset.Options(flavor="woff", hinting=False, layout_features=["kern"], bidi_closure=False)
    with TTFont(FONT_FILE, lazy=True) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=bundled_characters() & {ord(char) for char in characters})
        subsetter.subset(font)
        font.flavor = "woff"
        # The time at which the subset is made would make each page differ from the last.
        font.recalcTimestamp = False
        file = io.BytesIO()
        font.save(file)
    return "data:font/woff;base64," + base64.b64encode(file.getvalue()).decode("ascii")
