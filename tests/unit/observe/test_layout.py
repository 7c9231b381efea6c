"""Tests of lines and tables on terminals of any width."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.observe.layout import flow, rows


@given(
    st.lists(st.text(alphabet="ab 技术", min_size=1, max_size=30).map(str.strip).filter(bool), max_size=8),
    st.integers(20, 120),
)
def test_flow_fits(items: list[str], width: int) -> None:
    """No line is wider than the terminal, also with Chinese text, and no short item is broken or lost."""
    lines = flow("label", items, width)
    assert all(line.cell_len <= width for line in lines)
    shown = " ".join(line.plain.strip() for line in lines)
    for item in items:
        if len(item) * 2 < width - 13:
            assert item in shown


def test_flow_is_one_line_where_there_is_room() -> None:
    """Items that fit stand on one line, separated by commas."""
    assert [line.plain for line in flow("tasks", ["1 ok", "2 failed"], 80)] == ["tasks       1 ok, 2 failed"]


def test_a_long_label_has_a_blank_after_it() -> None:
    """A label that is longer than its column does not run into the first item."""
    assert flow("lean/asyncio@8", ["blocks 1"], 80)[0].plain == "lean/asyncio@8 blocks 1"


def _drawn(cells: list[dict[str, str]], width: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width).print(rows(cells, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_rows_as_table_and_as_list() -> None:
    """Rows are a table where it fits and words where it does not; no cell is ever cut."""
    cells = [{"mode": "multiprocessing", "latency\np50": "1.23 s"}, {"mode": "异步", "latency\np50": "n/a (n=24)"}]
    wide = [
        "                    latency",
        "mode                    p50",
        "multiprocessing      1.23 s",
        "异步             n/a (n=24)",
    ]
    assert _drawn(cells, 80) == wide
    assert _drawn(cells, 24) == ["multiprocessing", "  latency p50 1.23 s", "异步", "  latency p50 n/a (n=24)"]
