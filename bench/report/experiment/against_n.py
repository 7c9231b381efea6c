"""Charts of a figure against N: a line a mode, a panel a client, each point with the interval over its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.report.axis import doubling, plain, tall
from bench.report.curves import TITLE_PX, Grid
from bench.report.sheet import Mark, Sheet
from bench.report.theme import STRIPED, hatching, light

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.sheet import Paper

#: Points of several modes at one N would hide each other's intervals: each stands this share of an N beside the last.
_APART: Final = 0.035


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A figure at one N; `counts` is false where no block does."""

    n: int
    value: float
    low: float | None
    high: float | None
    counts: bool


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One panel.

    Attributes:
        title: What stands above it.
        label: Name and unit of the vertical axis; panels of one label have one scale.
        lines: A look and its points.
        close: The axis shows where the points are, not where 0 is.
    """

    title: str
    label: str
    lines: tuple[tuple[Mark, tuple[Spot, ...]], ...]
    close: bool = False


def draw_plots(
    paper: Paper, plots: Sequence[Plot], *, columns: int, across: str = "N, requests in flight at most"
) -> Figure:
    """Draw panels in rows of `columns`; on narrow paper below each other.

    Args:
        paper: What it is drawn for.
        plots: The panels; what is called N here may be another number.
        columns: See above.
        across: Name of the horizontal axis.
    """
    marks = list(dict.fromkeys(mark for plot in plots for mark, _ in plot.lines))
    if any(not spot.counts for plot in plots for _, spots in plot.lines for spot in spots):
        marks.append(Mark(label="striped: INVALID, does not count", role="muted", marker="s", dash=None, hollow=True))
    grid = Grid(paper, len(plots), columns=columns, titled=True)
    sheet = Sheet(paper, grid.body_px, marks)
    places = [spot.n for plot in plots for _, spots in plot.lines for spot in spots]
    for number, plot in enumerate(plots):
        left_px, top_px = grid.corner(number)
        sheet.text(left_px, top_px - TITLE_PX / 2, paper.ruler.shorten(plot.title, grid.plot_width_px))
        axes = sheet.axes(left_px, top_px, grid.plot_width_px, grid.plot_px)
        for place, (mark, spots) in enumerate(plot.lines):
            _draw_line(axes, mark, spots, 1 + _APART * (place - (len(plot.lines) - 1) / 2))
        doubling(axes, places, across, grid.plot_width_px)
        alike = [other for other in plots if other.label == plot.label]
        ends = [end for other in alike for end in _ends(other)]
        tall(axes, ends, plot.label, grid.plot_width_px)
        if plot.close:
            _close_in(axes, ends)
    return sheet.figure


def _close_in(axes: Axes, ends: Sequence[float]) -> None:
    """Let a linear axis begin a little below its lowest point."""
    low, high = min(ends), max(ends)
    axes.set_yscale("linear")
    axes.set_ylim(max(0.0, low - 0.1 * (high - low) - 1), high + 0.1 * (high - low) + 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(plain))


def _ends(plot: Plot) -> list[float]:
    """Return what has to be on the axis: the points, and their intervals unless they are far wider than all points."""
    values = [spot.value for _, spots in plot.lines for spot in spots]
    if not values:
        return []
    low, high = min(values) / 3, max(values) * 3
    ends = [end for _, spots in plot.lines for spot in spots for end in (spot.low, spot.high) if end is not None]
    return values + [min(max(end, low), high) for end in ends]


def _draw_line(axes: Axes, mark: Mark, spots: Sequence[Spot], beside: float) -> None:
    look = mark.line()
    colour = light(mark.role)
    places = [spot.n * beside for spot in spots]
    axes.plot(places, [spot.value for spot in spots], **{**look, "marker": "none"})  # type: ignore[arg-type]
    for place, spot in zip(places, spots, strict=True):
        if spot.low is not None and spot.high is not None:
            axes.plot([place, place], [spot.low, spot.high], color=colour, linewidth=1.4, solid_capstyle="butt")
            for end in (spot.low, spot.high):
                axes.plot([place], [end], marker="_", markersize=7, color=colour, linestyle="none")
        if not spot.counts:
            axes.scatter([place], [spot.value], **STRIPED, **hatching(mark.role))  # type: ignore[arg-type]
        points = {**look, "linestyle": "none", "markersize": 6}
        if not spot.counts:
            points["markerfacecolor"] = light("paper")
        axes.plot([place], [spot.value], **points)  # type: ignore[arg-type]
