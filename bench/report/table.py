"""What a table of the page is made of."""

from __future__ import annotations

from dataclasses import dataclass

from bench.policy.statistics import SAMPLES_NEEDED
from bench.report.numbers import seconds


@dataclass(frozen=True, kw_only=True)
class Link:
    """A file, as the page refers to it."""

    text: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One field: its text, a remark in small print, and the files that it comes from."""

    text: str
    note: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading; numbers stand at the right of their column."""

    name: str
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the page.

    Attributes:
        name: Its place in the page.
        title: What it is about.
        columns: The first names the rows.
        rows: As many cells each as there are columns.
        intro: A sentence before it.
        folded: Shown closed at first, where there are many like it.
        empty: What stands in its place when it has no rows.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    intro: str = ""
    folded: bool = False
    empty: str = ""


def texts(*names: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(Column(name=name, numeric=False) for name in names)


def figures(*names: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(name=name) for name in names)


def cells(*said: str) -> tuple[Cell, ...]:
    """Return fields without remarks."""
    return tuple(Cell(text=text) for text in said)


def percentile_cell(name: str, value_s: float | None, *, samples: int) -> Cell:
    """Return a percentile of times, with how many samples it needs where there are fewer."""
    needed = SAMPLES_NEEDED[name]
    return Cell(text=seconds(value_s), note="" if samples >= needed else f"needs n = {needed}")
