"""The fonts of charts and page."""

from __future__ import annotations

import base64
import io

from fontTools.ttLib import TTFont  # type: ignore[import-untyped] # it has no types

from bench.report.fonts import FONT_FILE, ChartFonts, bundled_characters, embedded


def characters_in(address: str) -> set[str]:
    """Return the characters of the font in a `data:` address."""
    with TTFont(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as font:
        return {chr(point) for point in font.getBestCmap()}


def test_the_bundled_font_has_all_of_gb2312() -> None:
    """All 6,763 characters of GB 2312, ASCII and full-width punctuation are there, in less than 2 MB."""
    points = bundled_characters()
    hanzi = set()
    for row in range(0xB0, 0xF8):
        for cell in range(0xA1, 0xFF):
            hanzi.add(bytes([row, cell]).decode("gb2312", errors="ignore"))
    hanzi.discard("")
    assert len(hanzi) == 6763
    assert {ord(char) for char in hanzi} <= points
    assert {ord(char) for char in "，。：；？！（）《》“”…—、"} | set(range(0x20, 0x7F)) <= points
    assert FONT_FILE.stat().st_size < 2_000_000


def test_its_licence_lies_beside_it() -> None:
    """The folder of the font holds its licence and says where it came from."""
    assert "SIL OPEN FONT LICENSE Version 1.1" in FONT_FILE.with_name("OFL.txt").read_text(encoding="utf-8")
    assert "sha256" in FONT_FILE.with_name("FONT.md").read_text(encoding="utf-8")


def test_characters_without_a_glyph_are_written_out() -> None:
    """What no font of this machine has is spelled, counted, and never drawn as a box."""
    fonts = ChartFonts()
    assert fonts.drawable("新能源 ok") == "新能源 ok"
    assert not fonts.written_out
    # No font has a glyph for a code point that means nothing.
    assert fonts.drawable("a\U0003fff0b") == "a(U+3FFF0)b"
    assert fonts.written_out == {"\U0003fff0": "(U+3FFF0)"}
    shown = fonts.drawable("🚀")
    assert shown == ("🚀" if "🚀" in fonts.borrowed else "(rocket)")
    assert fonts.drawable("❤\ufe0f") == "❤"


def test_the_page_carries_only_the_glyphs_that_it_needs() -> None:
    """The embedded font has the characters asked for and no others, and is small."""
    address = embedded("智能 A<&")
    assert address.startswith("data:font/woff;base64,")
    assert characters_in(address) == set("智能 A<&")
    assert len(address) < 10_000


def test_an_embedded_font_is_the_same_each_time() -> None:
    """The same characters give the same bytes."""
    assert embedded("新能源") == embedded("源能新")


def test_characters_outside_the_font_do_not_matter() -> None:
    """A page with characters that the font lacks, or with none, still gets a font."""
    assert characters_in(embedded("🚀\U00020bb7x")) == {"x"}
    assert embedded("").startswith("data:font/woff")
