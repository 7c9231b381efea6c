"""How many requests were in flight at each moment of a run, from the attempts' own start and end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.report.axis import SCALE_PX, horizontal, vertical
from bench.report.numbers import unit_for
from bench.report.sheet import Sheet
from bench.report.theme import light

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.report.sheet import Mark, Paper

_PLOT_PX: Final = 150.0
_SMALL_PLOT_PX: Final = 96.0
_TITLE_PX: Final = 24.0
_AXIS_PX: Final = 46.0
_GAP_PX: Final = 26.0

#: Runs with more changes than this are shown as a band from the least to the most of each moment, and the mean within.
_CHANGES_DRAWN: Final = 1200
_MOMENTS: Final = 300


@dataclass(frozen=True, kw_only=True)
class Flight:
    """What a panel shows.

    Attributes:
        title: What stands above it.
        mark: How its line looks.
        limit: N, shown as a dashed line.
        sent_s: When each attempt began, with `ended_s` when it ended.
        refused_s: When attempts failed; shown as ticks at the bottom.
    """

    title: str
    mark: Mark
    limit: int
    sent_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    refused_s: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Level:
    """A number that changes with time: it is `count[i]` from `at_s[i]` on."""

    at_s: NDArray[np.float64]
    count: NDArray[np.int64]


def level(sent_s: NDArray[np.float64], ended_s: NDArray[np.float64]) -> Level:
    """Return how many intervals are open, over time; an end at the instant of a start comes first."""
    at_s = np.concatenate([sent_s, ended_s])
    change = np.concatenate([np.ones(len(sent_s), dtype=np.int64), -np.ones(len(ended_s), dtype=np.int64)])
    order = np.lexsort((change, at_s))
    return Level(at_s=at_s[order], count=np.cumsum(change[order]))


def draw_flights(paper: Paper, flights: Sequence[Flight]) -> Figure:
    """Draw a panel a run, each with its own time axis from its first request on."""
    many = len(flights)
    columns = 1 if many == 1 or paper.narrow else 2 if many in {2, 4} else 3
    plot_px = _PLOT_PX if many == 1 else _SMALL_PLOT_PX
    row_px = _TITLE_PX + plot_px + _AXIS_PX
    cell_px = (paper.width_px - _GAP_PX * (columns - 1)) / columns
    width_px = cell_px - SCALE_PX - 10
    sheet = Sheet(paper, math.ceil(many / columns) * row_px)
    for number, flight in enumerate(flights):
        row, column = divmod(number, columns)
        left_px, top_px = column * (cell_px + _GAP_PX) + SCALE_PX, row * row_px + _TITLE_PX
        sheet.text(left_px - SCALE_PX, top_px - _TITLE_PX / 2, paper.ruler.shorten(flight.title, cell_px))
        _draw_flight(sheet.axes(left_px, top_px, width_px, plot_px), flight, width_px)
    return sheet.figure


def _draw_flight(axes: Axes, flight: Flight, width_px: float) -> None:
    start_s = float(flight.sent_s.min())
    end_s = float(flight.ended_s.max()) - start_s
    unit, per_s = unit_for([end_s])
    peak = draw_level(axes, flight.sent_s - start_s, flight.ended_s - start_s, light(flight.mark.role), per_s)
    axes.axhline(flight.limit, color=light("muted"), linestyle=(0, (4, 3)), linewidth=1)
    horizontal(axes, 0, end_s * per_s or 1.0, f"time since the first request ({unit})", width_px)
    top = max(flight.limit, peak)
    vertical(axes, top, "in flight", width_px, sorted({0, top // 2 if top % 2 == 0 else 0, top}))
    if len(flight.refused_s):
        places = np.unique(
            np.round((flight.refused_s - start_s) * per_s / (end_s * per_s or 1.0) * width_px) / width_px
        )
        across = axes.get_xaxis_transform()
        axes.plot(
            places * end_s * per_s, np.full(len(places), 0.04), "|", color=light("ink"), markersize=7, transform=across
        )


def draw_level(axes: Axes, sent_s: NDArray[np.float64], ended_s: NDArray[np.float64], colour: str, per_s: float) -> int:
    """Draw how many intervals are open, over time, as a line or as a band where it changes often; return the most.

    Args:
        axes: Where to draw.
        sent_s: When each of them begins, with `ended_s` when it ends; at least one, from 0 on.
        ended_s: See above.
        colour: Of line and band.
        per_s: How many of the axis' unit make a second.
    """
    counted = level(sent_s, ended_s)
    if len(counted.at_s) <= _CHANGES_DRAWN:
        axes.plot(counted.at_s * per_s, counted.count, color=colour, drawstyle="steps-post", linewidth=1.5)
        axes.fill_between(counted.at_s * per_s, counted.count, step="post", color=colour, alpha=0.15, linewidth=0)
    else:
        edges_s, least, most, mean = moments(counted, float(ended_s.max()))
        axes.fill_between(edges_s * per_s, mean, step="post", color=colour, alpha=0.15, linewidth=0)
        axes.fill_between(edges_s * per_s, least, most, step="post", color=colour, alpha=0.35, linewidth=0)
        axes.plot(edges_s * per_s, mean, color=colour, drawstyle="steps-post", linewidth=1.5)
    return int(counted.count.max())


def moments(
    counted: Level, end_s: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Cut the time up to `end_s` into equal moments.

    Returns:
        Where each begins, then the least, the most and the mean number open within it (over time, not over changes).
    """
    edges_s = np.linspace(0, end_s, _MOMENTS + 1)
    before = np.searchsorted(counted.at_s, edges_s, side="right") - 1
    at_edge = counted.count[np.maximum(before, 0)]
    # Time during which requests were open, summed up to each change, and by interpolation up to each edge.
    held = np.concatenate([[0.0], np.cumsum(np.diff(counted.at_s) * counted.count[:-1])])
    mean = np.diff(np.interp(edges_s, counted.at_s, held)) / (end_s / _MOMENTS)
    least, most = at_edge[:-1].copy(), at_edge[:-1].copy()
    moment = np.minimum(np.searchsorted(edges_s, counted.at_s, side="right") - 1, _MOMENTS - 1)
    # A count that lasts no time at all (an end and a start at one instant) is not seen.
    lasting = np.append(np.diff(counted.at_s) > 0, False)
    np.minimum.at(least, moment[lasting], counted.count[lasting])
    np.maximum.at(most, moment[lasting], counted.count[lasting])
    return edges_s[:-1], least, most, mean
