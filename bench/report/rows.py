"""Charts of one row a run: a bar, or a point with its interval, and the figure in words at the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.report.axis import horizontal
from bench.report.sheet import Sheet
from bench.report.theme import STRIPED, hatching, light

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.report.sheet import Mark, Paper

_ROW_PX: Final = 26.0
_ROW_WITH_LABEL_PX: Final = 42.0
_BAR_PX: Final = 13.0
_AXIS_PX: Final = 46.0
_GAP_PX: Final = 14.0
_BETWEEN_PX: Final = 36.0
_LABELS_AT_MOST: Final = 0.34

#: Room for the half of the first and last tick's label that stands outside the plot.
_INSET_PX: Final = 18.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        label: What it is about.
        mark: How it looks.
        value: Length of the bar or place of the point; None where nothing was measured.
        text: The figure in words.
        low: Lower end of the value's interval, which makes the row a point instead of a bar; with `high`.
        more: A second, paler bar after the first.
        hatched: It does not count, which its text says as well.
        parts: The bar in parts, each a role of the theme and a length; `value` is their sum.
    """

    label: str
    mark: Mark
    value: float | None
    text: str
    low: float | None = None
    high: float | None = None
    more: float = 0.0
    hatched: bool = False
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Rows on one axis.

    Attributes:
        axis: Name and unit of the axis.
        rows: From top to bottom; panels beside each other have the same labels.
        least: The axis reaches at least to here.
    """

    axis: str
    rows: tuple[Row, ...]
    least: float = 0.0


def draw_rows(paper: Paper, panels: Sequence[Panel], marks: Sequence[Mark] = ()) -> Figure:
    """Draw panels beside each other, labels at the left; on narrow paper below each other, words above bars."""
    rows = len(panels[0].rows)
    row_px = _ROW_WITH_LABEL_PX if paper.narrow else _ROW_PX
    panel_px = rows * row_px + _AXIS_PX
    if paper.narrow:
        sheet = Sheet(paper, panel_px * len(panels) + _GAP_PX * (len(panels) - 1), marks)
        for number, panel in enumerate(panels):
            _draw_panel(sheet, panel, (0.0, number * (panel_px + _GAP_PX), paper.width_px), row_px)
        return sheet.figure
    sheet = Sheet(paper, panel_px, marks)
    at_most_px = paper.width_px * _LABELS_AT_MOST
    labels = [paper.ruler.shorten(row.label, at_most_px) for row in panels[0].rows]
    left_px = max(paper.ruler.width_px(label) for label in labels) + _GAP_PX
    for number, label in enumerate(labels):
        sheet.text(0, (number + 0.5) * row_px, label)
    width_px = (paper.width_px - left_px - _BETWEEN_PX * (len(panels) - 1)) / len(panels)
    for number, panel in enumerate(panels):
        _draw_panel(sheet, panel, (left_px + number * (width_px + _BETWEEN_PX), 0.0, width_px), row_px)
    return sheet.figure


def _draw_panel(sheet: Sheet, panel: Panel, place: tuple[float, float, float], row_px: float) -> None:
    left_px, top_px, width_px = place
    ruler = sheet.paper.ruler
    narrow = sheet.paper.narrow
    texts_px = max(ruler.width_px(row.text) for row in panel.rows) + _GAP_PX
    inset_px = _INSET_PX if narrow else 0.0
    plot_px = width_px - (2 * inset_px if narrow else texts_px)
    axes = sheet.axes(left_px + inset_px, top_px, plot_px, row_px * len(panel.rows))
    axes.set_ylim(row_px * len(panel.rows), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    reach = max([panel.least, *(_reach(row) for row in panel.rows)])
    horizontal(axes, 0, reach * 1.02 or 1.0, panel.axis, plot_px)
    axes.grid(visible=True, axis="x")
    for number, row in enumerate(panel.rows):
        middle_px = (number + 0.5) * row_px
        _draw_row(axes, row, middle_px + (9 if narrow else 0))
        line_px = top_px + (number * row_px + 12 if narrow else middle_px)
        sheet.text(left_px + width_px, line_px, row.text, align="right")
        if narrow:
            sheet.text(left_px, line_px, ruler.shorten(row.label, width_px - texts_px), role="muted")


def _reach(row: Row) -> float:
    return max((row.value or 0.0) + row.more, row.high or 0.0)


def _draw_row(axes: Axes, row: Row, middle_px: float) -> None:
    colour = light(row.mark.role)
    if row.value is None:
        return
    if row.low is None or row.high is None:
        _draw_bar(axes, row, middle_px)
        if row.more:
            axes.barh(middle_px, row.more, left=row.value, height=_BAR_PX, color=colour, alpha=0.35, linewidth=0)
        return
    axes.plot(
        [row.low, row.high], [middle_px, middle_px], color=colour, linewidth=2.5, solid_capstyle="butt", clip_on=False
    )
    for end in (row.low, row.high):
        axes.plot([end, end], [middle_px - 5, middle_px + 5], color=colour, linewidth=1.5, clip_on=False)
    point = {**row.mark.line(), "linestyle": "none", "markersize": 8}
    if row.hatched:
        axes.scatter([row.value], [middle_px], **STRIPED, clip_on=False, **hatching(row.mark.role))  # type: ignore[arg-type]
        point |= {"markersize": 6, "markerfacecolor": light("paper")}
    axes.plot([row.value], [middle_px], clip_on=False, **point)  # type: ignore[arg-type]


def _draw_bar(axes: Axes, row: Row, middle_px: float) -> None:
    """Draw a bar, in parts where it has some: each ends in a line of paper, so that two of one lightness stay two."""
    look = {"height": _BAR_PX, "linewidth": 0}
    begin = 0.0
    for role, length in row.parts:
        axes.barh(middle_px, length, left=begin, color=light(role), **look)  # type: ignore[arg-type]
        begin += length
        axes.plot([begin, begin], [middle_px - _BAR_PX / 2, middle_px + _BAR_PX / 2], color=light("paper"), linewidth=1)
    if row.hatched:
        over = hatching("paper") if row.parts else hatching(row.mark.role)
        axes.barh(middle_px, row.value or 0.0, **{**look, **over})  # type: ignore[arg-type]
    elif not row.parts:
        axes.barh(middle_px, row.value or 0.0, color=light(row.mark.role), **look)  # type: ignore[arg-type]
