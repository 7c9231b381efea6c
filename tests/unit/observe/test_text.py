"""Tests of what a terminal is given to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bench.observe.text import number, percent, percentile, printable, seconds, size, stopwatch
from bench.policy.statistics import distribution


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("AI技术 😀 👩‍🔬 é", "AI技术 😀 👩‍🔬 é"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("safe\u202eexe.txt", "safe\\u202eexe.txt"),
        ("\u2066x\u2069\u200e", "\\u2066x\\u2069\\u200e"),
        ("two\nlines\r\tand\x00nul\x9bcsi", "two\\nlines\\r\\tand\\x00nul\\x9bcsi"),
        ("half \ud83d pair", "half \\ud83d pair"),
        ("line\u2028separator", "line\\u2028separator"),
        ("[red]markup[/nope]", "[red]markup[/nope]"),
    ],
)
def test_printable(raw: str, shown: str) -> None:
    """Text from outside keeps its letters, and what could act on a terminal is shown as an escape."""
    assert printable(raw) == shown


@given(st.text(alphabet=st.characters(exclude_categories=[])), st.integers(1, 60))
def test_printable_is_harmless_and_short(raw: str, limit: int) -> None:
    """Whatever the text, no control or bidirectional mark is left, and it takes no more columns than allowed."""
    shown = printable(raw, limit)
    assert not [char for char in shown if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert cell_len(shown) <= limit


def test_printable_says_that_it_was_cut() -> None:
    """A text that is cut ends in an ellipsis, and one that fits does not."""
    assert printable("速率限制速率", 12) == "速率限制速率"
    assert printable("速率限制速率限制", 12) == "速率限制速…"
    assert printable("x" * 1_000_000, 5) == "xxxx…"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "n/a"), (0, "0"), (0.8523, "0.852"), (9.999, "10.0"), (15.24, "15.2"), (99.96, "100"), (1020.4, "1,020")],
)
def test_number(value: float | None, shown: str) -> None:
    """Three digits are shown, and what was not measured is not a zero."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value_s", "shown"),
    [(None, "n/a"), (0.0, "0 s"), (12.3e-6, "12.3 us"), (0.5123, "512 ms"), (0.99996, "1.00 s"), (123.4, "123 s")],
)
def test_seconds(value_s: float | None, shown: str) -> None:
    """A duration has the unit in which it has one to three digits before the point."""
    assert seconds(value_s) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "n/a"), (0.0, "0 %"), (1.0, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.5, "50.0 %")],
)
def test_percent(share: float | None, shown: str) -> None:
    """Nearly all is never shown as all, nor nearly none as none."""
    assert percent(share) == shown


def test_percentile_says_why_it_is_missing() -> None:
    """A percentile that the samples do not carry is shown with their number; without samples it was not measured."""
    few = distribution([0.2] * 24)
    assert (percentile(few, "p50"), percentile(few, "p95")) == ("200 ms", "n/a (n=24)")
    assert percentile(distribution([]), "p50") == "n/a"


def test_stopwatch_and_size() -> None:
    """Long durations are hours, minutes and seconds; memory is in MB or GB of powers of ten."""
    assert [stopwatch(value) for value in (8.9, 754, 3723)] == ["0:08", "12:34", "1:02:03"]
    assert [size(value) for value in (None, 84_300_000, 9_400_000_000)] == ["n/a", "84.3 MB", "9.40 GB"]
