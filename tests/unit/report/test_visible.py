"""Text from outside, as it is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 中文 text", "plain 中文 text"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\tand a tab", "two\\nlines\\tand a tab"),
        ("\x00\x7f\u200b\ufeff", "\\x00\\x7f\\u200b\\ufeff"),
        ("👨\u200d👩", "👨\u200d👩"),
        ("a" + "\u0301" * 9, "a" + "\u0301" * 3),
    ],
)
def test_what_would_be_hidden_is_written_out(text: str, shown: str) -> None:
    """Control, format and direction characters become escapes; a joined emoji stays whole, a tower of marks is cut."""
    assert visible(text) == shown


@given(st.text(), st.integers(1, 50))
def test_no_hidden_character_is_left(text: str, at_most: int) -> None:
    """Whatever the text, the result has no control or direction character, is not longer than asked, and is stable."""
    shown = visible(text, at_most=at_most)
    assert len(shown) <= at_most
    assert visible(shown, at_most=at_most) == shown
    assert not [char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char != "\u200d"]


def test_a_long_text_ends_with_an_ellipsis() -> None:
    """A text cut short says so, however long it was."""
    assert visible("x" * 10_000_000, at_most=5) == "xxxx…"
    assert visible("xxxxx", at_most=5) == "xxxxx"
