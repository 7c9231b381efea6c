"""Latency topic by topic: each task a point, or its spread where there are too many to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.report.axis import spread
from bench.report.numbers import unit_for
from bench.report.sheet import Sheet
from bench.report.theme import light

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.report.sheet import Mark, Paper

_LANE_PX: Final = 15.0
_PADDING_PX: Final = 12.0
_LABEL_PX: Final = 18.0
_AXIS_PX: Final = 46.0
_GAP_PX: Final = 14.0
_LABELS_AT_MOST: Final = 0.34

#: Room for the half of the first and last tick's label that stands outside the plot.
_INSET_PX: Final = 18.0

#: More points than this in a lane hide each other.
_POINTS_AT_MOST: Final = 40


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The times of one topic in one run."""

    mark: Mark
    values_s: NDArray[np.float64]


def draw_topics(paper: Paper, topics: Sequence[tuple[str, Sequence[Lane]]]) -> Figure:
    """Draw a block of lanes a topic, a lane a run; at least one lane has values."""
    marks = list(dict.fromkeys(lane.mark for _, lanes in topics for lane in lanes))
    lanes_px = _LANE_PX * max(len(lanes) for _, lanes in topics) + _PADDING_PX
    block_px = lanes_px + (_LABEL_PX if paper.narrow else 0.0)
    sheet = Sheet(paper, block_px * len(topics) + _AXIS_PX, marks)
    left_px = _INSET_PX
    if not paper.narrow:
        at_most_px = paper.width_px * _LABELS_AT_MOST
        left_px = max(paper.ruler.width_px(paper.ruler.shorten(name, at_most_px)) for name, _ in topics) + _GAP_PX
    width_px = paper.width_px - left_px - _INSET_PX
    axes = sheet.axes(left_px, 0, width_px, block_px * len(topics))
    axes.set_ylim(block_px * len(topics), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    values = [float(end) for _, lanes in topics for lane in lanes if len(lane.values_s) for end in _ends(lane)]
    unit, per_s = unit_for(values)
    spread(axes, [value * per_s for value in values], f"latency ({unit})", width_px)
    axes.grid(visible=True, axis="x")
    for number, (name, lanes) in enumerate(topics):
        top_px = number * block_px
        if paper.narrow:
            sheet.text(0, top_px + _LABEL_PX / 2 + 2, paper.ruler.shorten(name, paper.width_px))
            top_px += _LABEL_PX
        else:
            sheet.text(0, top_px + lanes_px / 2, paper.ruler.shorten(name, left_px - _GAP_PX + 1))
        for place, lane in enumerate(lanes):
            _draw_lane(axes, lane, top_px + _PADDING_PX / 2 + (place + 0.5) * _LANE_PX, per_s)
    return sheet.figure


def _ends(lane: Lane) -> tuple[float, float]:
    return float(lane.values_s.min()), float(lane.values_s.max())


def _draw_lane(axes: Axes, lane: Lane, middle_px: float, per_s: float) -> None:
    values = lane.values_s * per_s
    if len(values) == 0:
        return
    look = {**lane.mark.line(), "linestyle": "none", "markersize": 7, "clip_on": False}
    if len(values) <= _POINTS_AT_MOST:
        axes.plot(values, np.full(len(values), middle_px), alpha=0.75, **look)  # type: ignore[arg-type]
        return
    colour = light(lane.mark.role)
    low, quarter, middle, upper, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    axes.plot([low, high], [middle_px, middle_px], color=colour, linewidth=1.2)
    axes.barh(middle_px, upper - quarter, left=quarter, height=9, color=colour, alpha=0.35, linewidth=0)
    axes.plot([middle], [middle_px], **look)  # type: ignore[arg-type]
