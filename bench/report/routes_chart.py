"""The chart of each route over time: calls under way, the limit that they had, refusals, and pauses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.report.axis import SCALE_PX, horizontal, vertical
from bench.report.chart import PANELS_AT_MOST, Chart, left_out
from bench.report.numbers import count, of_things, unit_for
from bench.report.sheet import Mark, Sheet
from bench.report.theme import light
from bench.report.timeline import draw_level
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.fonts import ChartFonts
    from bench.report.routes_load import LoadedRoute
    from bench.report.series import ShownRun
    from bench.report.sheet import Paper

_PLOT_PX: Final = 132.0
_SMALL_PLOT_PX: Final = 96.0
_TITLE_PX: Final = 26.0
_AXIS_PX: Final = 46.0
_GAP_PX: Final = 26.0

#: Up to so many panels each has the whole width: their lines have many steps.
_WHOLE_WIDTH: Final = 4

#: Names come from outside.
_NAME_AT_MOST: Final = 60

_LIMIT: Final = Mark(label="limit", role="ink", dash=(0, (5, 2)))
_REFUSED: Final = Mark(label="refused with 429", role="phase2", marker="x", dash=None)
_PAUSE: Final = Mark(label="pause", role="phase8", marker="s", dash=None)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What a panel shows: one route of one run, from the run's first call to its last answer."""

    title: str
    mark: Mark
    route: LoadedRoute
    begin_s: float
    end_s: float


def routes_chart(shown: Sequence[ShownRun], fonts: ChartFonts) -> Chart | None:
    """Return the chart of routes over time; None where no run had any, or none was called."""
    lanes = [lane for item in shown for lane in _lanes(item, fonts, alone=len(shown) == 1)]
    if not lanes:
        return None
    return Chart(
        name="routes",
        title="Providers over time",
        caption="Calls under way over each route, and the limit that it had just then; a limit that follows what the "
        "server accepts rises until a call is refused. In a pause nothing new goes over the route."
        + left_out(len(lanes), PANELS_AT_MOST, "route"),
        draw=lambda paper: _draw(paper, lanes[:PANELS_AT_MOST]),
    )


def _lanes(item: ShownRun, fonts: ChartFonts, *, alone: bool) -> list[Lane]:
    if not len(item.run.sent_s):
        return []
    begin_s, end_s = float(item.run.sent_s.min()), float(item.run.ended_s.max())
    lanes = []
    for row, route in zip(item.run.summary.routes, item.run.routes, strict=True):
        name = fonts.drawable(visible(row.name, at_most=_NAME_AT_MOST))
        refused = f", {count(len(route.refused_s))} refused" if len(route.refused_s) else ""
        title = f"{name}: {of_things(row.calls, 'call')}{refused}"
        lanes.append(
            Lane(
                title=title if alone else f"{item.drawn}, {title}",
                mark=item.mark,
                route=route,
                begin_s=begin_s,
                end_s=end_s,
            )
        )
    return lanes


def _draw(paper: Paper, lanes: Sequence[Lane]) -> Figure:
    many = len(lanes)
    columns = 1 if many <= _WHOLE_WIDTH or paper.narrow else 2
    plot_px = _PLOT_PX if many <= _WHOLE_WIDTH else _SMALL_PLOT_PX
    row_px = _TITLE_PX + plot_px + _AXIS_PX
    cell_px = (paper.width_px - _GAP_PX * (columns - 1)) / columns
    width_px = cell_px - SCALE_PX - 10
    sheet = Sheet(paper, math.ceil(many / columns) * row_px, _marks(lanes))
    for number, lane in enumerate(lanes):
        row, column = divmod(number, columns)
        left_px, top_px = column * (cell_px + _GAP_PX) + SCALE_PX, row * row_px + _TITLE_PX
        sheet.text(left_px - SCALE_PX, top_px - _TITLE_PX / 2, paper.ruler.shorten(lane.title, cell_px))
        _draw_lane(sheet.axes(left_px, top_px, width_px, plot_px), lane, width_px)
    return sheet.figure


def _marks(lanes: Sequence[Lane]) -> list[Mark]:
    """Return the legend: of refusals and pauses only where there are any."""
    marks = [Mark(label="calls under way", role=lanes[0].mark.role), _LIMIT]
    marks += [_REFUSED] if any(len(lane.route.refused_s) for lane in lanes) else []
    return marks + ([_PAUSE] if any(lane.route.pauses for lane in lanes) else [])


def _draw_lane(axes: Axes, lane: Lane, width_px: float) -> None:
    route, begin_s = lane.route, lane.begin_s
    long_s = lane.end_s - begin_s
    unit, per_s = unit_for([long_s])
    peak = 0
    if len(route.sent_s):
        peak = draw_level(axes, route.sent_s - begin_s, route.ended_s - begin_s, light(lane.mark.role), per_s)
    at = [max(0.0, at_s - begin_s) * per_s for at_s, _ in route.limits]
    limits = [limit for _, limit in route.limits]
    axes.plot([*at, long_s * per_s], [*limits, limits[-1]], drawstyle="steps-post", linewidth=1.3, **_line(_LIMIT))  # type: ignore[arg-type]
    horizontal(axes, 0, long_s * per_s or 1.0, f"time since the first request ({unit})", width_px)
    # Above the highest value there is room for the bars of the pauses, at the bottom for the refusals.
    top = max(peak, math.ceil(max(limits)))
    vertical(axes, top * 1.14, "in flight", width_px, sorted({0, top // 2 if top % 2 == 0 else 0, top}))
    across = axes.get_xaxis_transform()
    for from_s, to_s in route.pauses:
        if from_s > lane.end_s:
            break
        ends = [max(0.0, from_s - begin_s) * per_s, min(long_s, to_s - begin_s) * per_s]
        axes.plot(ends, [0.965, 0.965], color=light(_PAUSE.role), linewidth=5, solid_capstyle="butt", transform=across)
    if len(route.refused_s):
        # As many as can be told apart, not as many as there are.
        share = np.clip((route.refused_s - begin_s) / (long_s or 1.0), 0, 1)
        places = np.unique(np.round(share * width_px / 2) * 2 / width_px) * long_s * per_s
        look = {**_line(_REFUSED), "marker": "x", "markersize": 5, "markeredgecolor": light(_REFUSED.role)}
        axes.plot(places, np.full(len(places), 0.05), transform=across, **look)  # type: ignore[arg-type]


def _line(mark: Mark) -> dict[str, object]:
    look = mark.line()
    return {"color": look["color"], "linestyle": look["linestyle"]}
