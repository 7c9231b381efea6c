"""Charts as PNG files, and as SVG that lives in the page: its text is text, its colours follow light and dark."""

from __future__ import annotations

import html
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from bench.report.sheet import NARROW_PX, PX_PER_INCH, WIDE_PX, Paper
from bench.report.theme import css_value, drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from bench.report.chart import Chart

#: Pixels of a PNG for each pixel of the page: sharp on dense screens.
_DENSITY: Final = 2

_STYLE: Final = re.compile(r' style="([^"]*)"')
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_FAMILY: Final = re.compile(r"font-family: [^;]*")
_NO_TURN: Final = re.compile(r' transform="rotate\(-0 [^"]*\)"')
_GROUP_ID: Final = re.compile(r"<g id=\"[^\"]*\"")
_BREAK: Final = re.compile(r"\s*\n\s*")
_SHEET_OF_ITS_OWN: Final = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_SIZE: Final = re.compile(r' width="[^"]*pt" height="[^"]*pt"')


@dataclass
class Classes:
    """The styles of all charts of a page, each once under a class: so that the page needs no style attributes."""

    names: dict[str, str] = field(default_factory=dict)

    def name(self, declarations: str) -> str:
        """Return the class of these declarations, with each colour of the theme as its role's variable."""
        roles = _COLOUR.sub(lambda found: css_value(found[0]), declarations)
        return self.names.setdefault(_FAMILY.sub("font-family: var(--chart-font)", roles), f"c{len(self.names)}")

    def css(self) -> str:
        """Return the style sheet."""
        return "".join(f".{name}{{{declarations}}}" for declarations, name in self.names.items())


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A chart as it goes into the page and into its file; without pictures where there was nothing to draw."""

    chart: Chart
    wide: str = ""
    narrow: str = ""
    png: bytes = b""


def render(chart: Chart, *, families: Sequence[str], notes: tuple[str, ...], classes: Classes) -> Drawn:
    """Draw a chart for the page, wide and narrow, and for its file; changes matplotlib's settings meanwhile.

    Args:
        chart: What to draw.
        families: Fonts, first choice first.
        notes: What was run; written above the chart in its file, where nothing else tells.
        classes: Where the page's styles are collected.
    """
    if chart.draw is None:
        return Drawn(chart=chart)
    pages = []
    for width_px in (WIDE_PX, NARROW_PX):
        with drawing(families, f"{chart.name}-{width_px}"):
            pages.append(_svg(chart.draw(Paper(width_px=width_px)), f"{chart.title}. {chart.caption}", classes))
    with drawing(families, chart.name):
        png = _png(chart.draw(Paper(width_px=WIDE_PX, title=chart.title, notes=notes)))
    return Drawn(chart=chart, wide=pages[0], narrow=pages[1], png=png)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.dpi = PX_PER_INCH * _DENSITY
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})  # type: ignore[no-untyped-call] # matplotlib types none
    return file.getvalue()


def _svg(figure: Figure, description: str, classes: Classes) -> str:
    file = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.patch.set_alpha(0)
    FigureCanvasSVG(figure).print_svg(file, metadata=metadata)  # type: ignore[no-untyped-call] # matplotlib types none
    svg = file.getvalue()
    svg = _SHEET_OF_ITS_OWN.sub("", svg[svg.index("<svg") :], count=1)
    svg = _STYLE.sub(lambda found: f' class="{classes.name(found[1])}"', svg)
    svg = _GROUP_ID.sub("<g", _NO_TURN.sub("", _SIZE.sub("", svg, count=1)))
    labelled = f'<svg role="img" aria-label="{html.escape(description)}"'
    return _BREAK.sub(" ", svg.replace("<svg", labelled, 1))
