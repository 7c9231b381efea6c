"""The paper that charts are drawn on: placed in pixels of the page, its height made to fit what is on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from bench.report.theme import TEXT_PX, light

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

    from bench.report.theme import Dash

#: A figure's inch has 72 pixels of the page, so that SVG units and pixels are one.
PX_PER_INCH: Final = 72

#: Widths that the page shows charts at: a column of text, and a telephone held upright.
WIDE_PX: Final = 960
NARROW_PX: Final = 358

_LINE_PX: Final = 20.0
_SAMPLE_PX: Final = 30.0
_GAP_PX: Final = 20.0
_TITLE_PX: Final = 16.0
_MARGIN_PX: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a line or a point looks, in a chart and in its legend."""

    label: str
    role: str
    marker: str = ""
    dash: Dash | None = (0, None)
    hollow: bool = False

    def line(self) -> dict[str, object]:
        """Return matplotlib's settings for a line of this look."""
        return {
            "color": light(self.role),
            "linestyle": self.dash if self.dash is not None else "none",
            "marker": self.marker or "none",
            "markersize": 6,
            "markerfacecolor": light("paper") if self.hollow else light(self.role),
            "markeredgecolor": light(self.role),
            "markeredgewidth": 1.2,
        }


class Ruler:
    """Measures text as it will be drawn; valid within one set of chart settings."""

    def __init__(self) -> None:
        self._figure = Figure(figsize=(1, 1), dpi=PX_PER_INCH)
        self._renderer: RendererBase = FigureCanvasAgg(self._figure).get_renderer()  # type: ignore[no-untyped-call] # matplotlib types none

    def width_px(self, text: str, size_px: float = TEXT_PX) -> float:
        """Return how wide a text is drawn."""
        if not text:
            return 0.0
        drawn = Text(0, 0, text, fontsize=size_px, parse_math=False)
        drawn.set_figure(self._figure)
        return float(drawn.get_window_extent(self._renderer).width)

    def shorten(self, text: str, at_most_px: float, size_px: float = TEXT_PX) -> str:
        """Return the text, or as much of its beginning as fits with an ellipsis."""
        # No letter is narrower than 2 px: what cannot fit need not be measured.
        text = text if len(text) <= at_most_px / 2 else text[: int(at_most_px / 2)] + "…"
        if self.width_px(text, size_px) <= at_most_px:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width_px(text[:middle].rstrip() + "…", size_px) <= at_most_px:
                low = middle
            else:
                high = middle - 1
        return text[:low].rstrip() + "…"


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a chart is drawn for.

    Attributes:
        width_px: Its width on the page.
        title: Drawn above it where it must stand alone, with `notes` below the title; else empty.
        notes: What was run, in a few words a line.
    """

    width_px: float
    title: str = ""
    notes: tuple[str, ...] = ()

    @property
    def margin_px(self) -> float:
        """White at each side: none in the page, which has its own."""
        return _MARGIN_PX if self.title else 0.0

    @property
    def narrow(self) -> bool:
        """Whether things must stand below instead of beside each other."""
        return self.width_px < (WIDE_PX + NARROW_PX) / 2

    @cached_property
    def ruler(self) -> Ruler:
        """What measures text for this paper."""
        return Ruler()


class Sheet:
    """A figure with its title and legend drawn (a single entry needs none), and room for `body_px` below them."""

    def __init__(self, paper: Paper, body_px: float, marks: Sequence[Mark] = ()) -> None:
        self.paper = paper
        legend = _flow(paper, marks) if len(marks) > 1 else []
        self._left_px = paper.margin_px
        head_px = paper.margin_px + (_TITLE_PX + 10 + 18 * len(paper.notes) + 8 if paper.title else 0.0)
        self._top_px = head_px + (_LINE_PX * len(legend) + 6 if legend else 0.0)
        self.width_px = paper.width_px + 2 * paper.margin_px
        self.height_px = self._top_px + body_px + paper.margin_px
        self.figure = Figure(figsize=(self.width_px / PX_PER_INCH, self.height_px / PX_PER_INCH), dpi=PX_PER_INCH)
        if paper.title:
            self._draw_head()
        for row, placed in enumerate(legend):
            for left_px, mark in placed:
                self._draw_mark(left_px, head_px + _LINE_PX * (row + 0.5), mark)

    def axes(self, left_px: float, top_px: float, width_px: float, height_px: float) -> Axes:
        """Return axes in the body: `left_px` and `top_px` of the plot's own corner, ticks and labels outside it."""
        bottom = self.height_px - self._top_px - top_px - height_px
        width, height = self.width_px, self.height_px
        return self.figure.add_axes(
            ((self._left_px + left_px) / width, bottom / height, width_px / width, height_px / height)
        )

    def text(self, left_px: float, middle_px: float, text: str, *, role: str = "ink", align: str = "left") -> None:
        """Write into the body, `middle_px` being the middle of the line's height."""
        self._write(left_px, self._top_px + middle_px, text, role=role, align=align)

    def _write(
        self,
        left_px: float,
        middle_px: float,
        text: str,
        *,
        role: str = "ink",
        align: str = "left",
        size: float = TEXT_PX,
    ) -> None:
        self.figure.text(
            (self._left_px + left_px) / PX_PER_INCH,
            (self.height_px - middle_px) / PX_PER_INCH,
            text,
            transform=self.figure.dpi_scale_trans,
            color=light(role),
            fontsize=size,
            ha=align,
            va="center_baseline",
        )

    def _draw_head(self) -> None:
        paper = self.paper
        self._write(
            0,
            paper.margin_px + _TITLE_PX / 2,
            paper.ruler.shorten(paper.title, paper.width_px, _TITLE_PX),
            size=_TITLE_PX,
        )
        for number, note in enumerate(paper.notes):
            middle_px = paper.margin_px + _TITLE_PX + 8 + 18 * (number + 0.5)
            self._write(0, middle_px, paper.ruler.shorten(note, paper.width_px), role="muted")

    def _draw_mark(self, left_px: float, middle_px: float, mark: Mark) -> None:
        height = (self.height_px - middle_px) / PX_PER_INCH
        begin_px = self._left_px + left_px
        ends = [(begin_px + 2) / PX_PER_INCH, (begin_px + _SAMPLE_PX - 6) / PX_PER_INCH]
        look = mark.line()
        line = {name: look[name] for name in ("color", "linestyle")}
        point = {**look, "linestyle": "none"}
        over_all = self.figure.dpi_scale_trans
        self.figure.add_artist(Line2D(ends, [height, height], transform=over_all, **line))  # type: ignore[arg-type]
        self.figure.add_artist(Line2D([sum(ends) / 2], [height], transform=over_all, **point))  # type: ignore[arg-type]
        self._write(left_px + _SAMPLE_PX, middle_px, mark.label)


def _flow(paper: Paper, marks: Sequence[Mark]) -> list[list[tuple[float, Mark]]]:
    """Place the legend's entries beside each other, and below where the width ends."""
    rows: list[list[tuple[float, Mark]]] = []
    left_px = 0.0
    for mark in marks:
        label = paper.ruler.shorten(mark.label, paper.width_px - _SAMPLE_PX - 2)
        width_px = _SAMPLE_PX + paper.ruler.width_px(label)
        if not rows or left_px + width_px > paper.width_px:
            rows.append([])
            left_px = 0.0
        rows[-1].append(
            (left_px, Mark(label=label, role=mark.role, marker=mark.marker, dash=mark.dash, hollow=mark.hollow))
        )
        left_px += width_px + _GAP_PX
    return rows
