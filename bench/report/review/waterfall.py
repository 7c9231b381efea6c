"""The waterfall of an iteration: a row a task, from its schedule to its end, coloured by where the time went."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from matplotlib.collections import PolyCollection

from bench.policy.spent import PHASES
from bench.report.axis import horizontal
from bench.report.chart import Chart
from bench.report.numbers import of_things, unit_for
from bench.report.review.load import ITERATIONS_DRAWN
from bench.report.sheet import Mark, Sheet
from bench.report.theme import light
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.policy.spent import Phase
    from bench.report.review.load import Iteration, Reviewed, Row
    from bench.report.sheet import Paper

#: The colour of each phase; what the client itself took stands out least.
ROLES: Final[dict[Phase, str]] = {
    "queue": "phase9",
    "client": "grid",
    "backoff": "phase7",
    "failed call": "phase2",
    "first token": "phase1",
    "generation": "phase4",
}

#: Up to so many rows each is named beside its bar.
_NAMED_AT_MOST: Final = 40
_NAMED_ROW_PX: Final = 18.0
_LABEL_SHARE: Final = 0.26

#: Rows without names share this height, and none is lower than it has to be to be seen.
_PLOT_PX: Final = 720.0
_LEAST_ROW_PX: Final = 2.0

_AXIS_PX: Final = 46.0
_BAR_SHARE: Final = 0.8


def waterfalls(reviewed: Reviewed, drawable: Callable[[str], str]) -> tuple[Chart, ...]:
    """Return a chart for each of the first iterations.

    Args:
        reviewed: The run.
        drawable: Makes text such that the charts' fonts have it.
    """
    drawn = list(reviewed.iterations.values())[:ITERATIONS_DRAWN]
    return tuple(_chart(iteration, drawable, alone=len(reviewed.iterations) == 1) for iteration in drawn)


def _chart(iteration: Iteration, drawable: Callable[[str], str], *, alone: bool) -> Chart:
    rows = [row for *_, row in sorted(iteration.rows, key=lambda item: item[:2], reverse=True)]
    left = iteration.total - len(rows)
    more = f" The first {of_things(len(rows), 'task')} of {iteration.total:,} are drawn." if left else ""
    failed = iteration.total - iteration.statuses["ok"]
    missed = f" A cross marks {of_things(failed, 'task')} that did not succeed." if failed else ""
    return Chart(
        name=f"waterfall_{iteration.number}",
        title="Waterfall" if alone else f"Waterfall of iteration {iteration.number}",
        caption=f"A row is a task, in the order of their schedule; its bar ends with its record.{more}{missed}",
        draw=partial(_draw, rows=rows, drawable=drawable) if rows else None,
    )


def _draw(paper: Paper, rows: Sequence[Row], drawable: Callable[[str], str]) -> Figure:
    is_named = len(rows) <= _NAMED_AT_MOST
    row_px = _NAMED_ROW_PX if is_named else max(_LEAST_ROW_PX, _PLOT_PX / len(rows))
    used = {stretch.phase for row in rows for stretch in row.parts}
    marks = [Mark(label=phase, role=ROLES[phase], marker="s", dash=None) for phase in PHASES if phase in used]
    height_px = row_px * len(rows)
    left_px = paper.width_px * _LABEL_SHARE if is_named else 14.0
    width_px = paper.width_px - left_px - 12.0
    sheet = Sheet(paper, height_px + _AXIS_PX, marks)
    begin_s = min(row.scheduled_s for row in rows)
    end_s = max(row.ended_s for row in rows) - begin_s
    unit, per_s = unit_for([end_s])
    axes = sheet.axes(left_px, 0.0, width_px, height_px)
    # Gaps between rows of two pixels would only blur them.
    _bars(axes, rows, begin_s, per_s, share=_BAR_SHARE if is_named else 1.0)
    axes.set_ylim(len(rows), 0)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    horizontal(axes, 0, end_s * per_s or 1.0, f"time since the first task was scheduled ({unit})", width_px)
    if is_named:
        for place, row in enumerate(rows):
            label = drawable(visible(row.label, at_most=100))
            sheet.text(0, (place + 0.5) * row_px, paper.ruler.shorten(label, left_px - 8))
    return sheet.figure


def _bars(axes: Axes, rows: Sequence[Row], begin_s: float, per_s: float, share: float) -> None:
    """Draw all stretches of one phase as one collection: five hundred rows stay light."""
    boxes: dict[Phase, list[tuple[tuple[float, float], ...]]] = {}
    for place, row in enumerate(rows):
        top, bottom = place + (1 - share) / 2, place + (1 + share) / 2
        for stretch in row.parts:
            left, right = (stretch.begin_s - begin_s) * per_s, (stretch.end_s - begin_s) * per_s
            boxes.setdefault(stretch.phase, []).append(((left, top), (left, bottom), (right, bottom), (right, top)))
    for phase, corners in boxes.items():
        axes.add_collection(PolyCollection(corners, facecolors=light(ROLES[phase]), edgecolors="none"))
    missed = [((row.ended_s - begin_s) * per_s, place + 0.5) for place, row in enumerate(rows) if row.status != "ok"]
    if missed:
        axes.plot(*zip(*missed, strict=True), "x", color=light("ink"), markersize=5, clip_on=False)
