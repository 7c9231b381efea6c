"""Charts with lines: a figure against N for each series, and the distribution of times as a cumulative share."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import FuncFormatter

from bench.report.axis import SCALE_PX, doubling, spread, vertical
from bench.report.numbers import unit_for
from bench.report.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.report.sheet import Mark, Paper

_PLOT_PX: Final = 230.0
_NARROW_PLOT_PX: Final = 190.0
_AXIS_PX: Final = 46.0
TITLE_PX: Final = 24.0
_GAP_PX: Final = 26.0

#: A curve has at most this many corners: more are finer than a pixel.
_CORNERS: Final = 240

#: Where a cumulative curve carries its markers.
_MARKED_SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)

#: A curve of this many values has few enough corners to mark each.
_FEW: Final = 4


@dataclass(frozen=True, kw_only=True)
class Points:
    """Figures of one series, each at its N."""

    mark: Mark
    at: tuple[tuple[int, float], ...]


def draw_against_n(paper: Paper, panels: Sequence[tuple[str, Sequence[Points]]]) -> Figure:
    """Draw each panel's series against N; several figures at one N are all shown, joined at their median.

    Args:
        paper: What to draw for.
        panels: Name and unit of the vertical axis, and the series.
    """
    marks = list(dict.fromkeys(series.mark for _, lines in panels for series in lines))
    grid = Grid(paper, len(panels), columns=len(panels))
    sheet = Sheet(paper, grid.body_px, marks)
    for number, (label, lines) in enumerate(panels):
        left_px, top_px = grid.corner(number)
        axes = sheet.axes(left_px, top_px, grid.plot_width_px, grid.plot_px)
        for series in lines:
            _draw_points(axes, series)
        places = [n for series in lines for n, _ in series.at]
        doubling(axes, places, "N, requests in flight at most", grid.plot_width_px)
        vertical(
            axes, max((value for series in lines for _, value in series.at), default=1.0), label, grid.plot_width_px
        )
    return sheet.figure


def _draw_points(axes: Axes, series: Points) -> None:
    by_n: dict[int, list[float]] = defaultdict(list)
    for n, value in series.at:
        by_n[n].append(value)
    places = sorted(by_n)
    look = series.mark.line()
    axes.plot(places, [median(by_n[n]) for n in places], **{**look, "marker": "none"})  # type: ignore[arg-type]
    points = {**look, "linestyle": "none", "markersize": 7}
    axes.plot([n for n, _ in series.at], [value for _, value in series.at], **points)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Times of one run, and how their curve looks."""

    mark: Mark
    values_s: NDArray[np.float64]


def draw_shares(paper: Paper, panels: Sequence[tuple[str, Sequence[Curve]]], what: str) -> Figure:
    """Draw, for each panel, which share of the tasks took at most how long.

    Args:
        paper: What to draw for.
        panels: A title (empty for none), and its curves, each with at least one value.
        what: What was timed, the name of the horizontal axis.
    """
    marks = list(dict.fromkeys(curve.mark for _, curves in panels for curve in curves))
    columns = 1 if len(panels) == 1 else 2 if len(panels) in {2, 4} else 3
    grid = Grid(paper, len(panels), columns=columns, titled=any(title for title, _ in panels))
    sheet = Sheet(paper, grid.body_px, marks)
    ends = [
        float(end) for _, curves in panels for curve in curves for end in (curve.values_s.min(), curve.values_s.max())
    ]
    unit, per_s = unit_for(ends)
    for number, (title, curves) in enumerate(panels):
        left_px, top_px = grid.corner(number)
        if title:
            sheet.text(left_px, top_px - TITLE_PX / 2, paper.ruler.shorten(title, grid.plot_width_px))
        axes = sheet.axes(left_px, top_px, grid.plot_width_px, grid.plot_px)
        spread(axes, [end * per_s for end in ends], f"{what} ({unit})", grid.plot_width_px)
        axes.grid(visible=True, axis="x")
        vertical(axes, 1.0, "share of tasks", grid.plot_width_px, [0, 0.25, 0.5, 0.75, 1])
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        for curve in curves:
            _draw_curve(axes, curve, per_s)
    return sheet.figure


def _draw_curve(axes: Axes, curve: Curve, per_s: float) -> None:
    ordered = np.sort(curve.values_s) * per_s
    n = len(ordered)
    picked = np.unique(np.linspace(0, n - 1, min(n, _CORNERS)).round().astype(int))
    shares = (picked + 1) / n
    look = curve.mark.line()
    line = {**look, "marker": "none", "drawstyle": "steps-post"}
    axes.plot([ordered[0], *ordered[picked]], [0, *shares], **line)  # type: ignore[arg-type]
    at = range(n) if n <= _FEW else [min(n - 1, max(0, math.ceil(share * n) - 1)) for share in _MARKED_SHARES]
    marked = sorted(set(at))
    points = {**look, "linestyle": "none"}
    axes.plot(ordered[marked], [(place + 1) / n for place in marked], **points)  # type: ignore[arg-type]


class Grid:
    """Where the plots of several panels stand; on narrow paper below each other."""

    def __init__(self, paper: Paper, panels: int, *, columns: int, titled: bool = False) -> None:
        self._columns = 1 if paper.narrow else columns
        self._rows = math.ceil(panels / self._columns)
        self._title_px = TITLE_PX if titled else 8.0
        self.plot_px = _NARROW_PLOT_PX if paper.narrow or self._rows > 1 else _PLOT_PX
        self._cell_px = (paper.width_px - _GAP_PX * (self._columns - 1)) / self._columns
        self.plot_width_px = self._cell_px - SCALE_PX - 10
        self._row_px = self._title_px + self.plot_px + _AXIS_PX
        self.body_px = self._rows * self._row_px

    def corner(self, number: int) -> tuple[float, float]:
        """Return the left and top edge of a panel's plot."""
        row, column = divmod(number, self._columns)
        return column * (self._cell_px + _GAP_PX) + SCALE_PX, row * self._row_px + self._title_px
