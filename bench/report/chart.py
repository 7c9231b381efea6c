"""What a chart of the page is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.report.numbers import of_things

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from bench.report.sheet import Paper
    from bench.report.table import Link

#: The names of all charts that a report may have.
NAMES: Final = frozenset({"throughput", "latency", "ttft", "success", "in_flight", "start_up", "topics", "routes"})

#: More panels than this make a wall of charts, and more rows a column of bars; the tables have every run.
PANELS_AT_MOST: Final = 12
ROWS_AT_MOST: Final = 24


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart of the page.

    Attributes:
        name: Of its file, and of its place in the page.
        title: What it shows.
        caption: How to read it, in a sentence or two.
        draw: Draws it on a paper; None where there is nothing to show, and then `caption` says why.
        raw: The files that its figures come from, where they are few.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Paper], Figure] | None
    raw: tuple[Link, ...] = ()


def left_out(total: int, at_most: int, thing: str) -> str:
    """Return what a caption says about what there was no room for, beginning with a blank; empty where all is shown."""
    return f" {of_things(total - at_most, thing)} more in the tables below." if total > at_most else ""
