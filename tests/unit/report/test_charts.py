"""Charts as drawn: what can be read on them, at every width."""

from __future__ import annotations

import functools
import html
import re
from itertools import combinations, product
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.report.chart import NAMES, Chart
from bench.report.charts import charts
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.render import Classes, render
from bench.report.series import arrange
from bench.report.sheet import NARROW_PX, WIDE_PX, Paper
from bench.report.theme import drawing
from tests.hostile import Elements
from tests.report_cases import CASES
from tests.report_runs import MODES, Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.transforms import Bbox

PAPERS: Final = {
    "wide": Paper(width_px=WIDE_PX),
    "narrow": Paper(width_px=NARROW_PX),
    "file": Paper(
        width_px=WIDE_PX, title="Latency", notes=("closed loop, N = 8", "simulator, simulated, client openai")
    ),
}

#: Boxes are as high as the font's tallest letter: the white at their upper and lower edge may touch.
SLACK_PX: Final = 3.0

#: What names an axis with its unit, or says what is counted.
UNITS: Final = ("(s)", "(ms)", "(µs)", "(s),", "(ms),", "(µs),", "/s", "(%)", "N, ", "share of", "in flight")


class Recorder(RendererAgg):
    """Draws, and keeps where each text went."""

    def __init__(self, figure: Figure) -> None:
        width, height = figure.bbox.size
        super().__init__(width, height, figure.dpi)  # type: ignore[no-untyped-call] # matplotlib types none
        self.size = width, height
        self.drawn: list[tuple[str, Bbox]] = []

    def draw_text(self, *place: object, **how: object) -> None:
        """Draw a text and keep its box."""
        written = how["mtext"]
        assert isinstance(written, Text)
        self.drawn.append((str(place[3]), written.get_window_extent(self)))
        super().draw_text(*place, **how)  # type: ignore[no-untyped-call] # matplotlib types none


def drawn_charts(root: Path, plans: Sequence[Plan]) -> tuple[tuple[Chart, ...], ChartFonts]:
    """Return the charts about made runs."""
    fonts = ChartFonts()
    return charts(arrange([load(make_run(root, plan)) for plan in plans], fonts), fonts), fonts


def recorded(figure: Figure) -> Recorder:
    """Draw a figure and return what wrote its texts."""
    recorder = Recorder(figure)
    figure.draw(recorder)
    return recorder


@pytest.fixture(scope="module")
def of_case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[tuple[Chart, ...], ChartFonts]]:
    """Return what gives the charts of a case, its runs made but once."""
    return functools.cache(lambda case: drawn_charts(tmp_path_factory.mktemp("runs"), CASES[case]))


@pytest.mark.parametrize(
    ("case", "paper"), [*product(CASES, ("wide", "narrow")), ("one", "file"), ("twelve", "file"), ("hostile", "file")]
)
def test_charts_can_be_read(
    of_case: Callable[[str], tuple[tuple[Chart, ...], ChartFonts]], case: str, paper: str
) -> None:
    """No text lies over another or is cut off, and no axis lacks its unit or is empty, no glyph is a box."""
    found, fonts = of_case(case)
    for chart in found:
        assert chart.caption.endswith(".")
        assert chart.name in NAMES
        if chart.draw is None:
            continue
        with drawing(fonts.families, "test"):
            figure = chart.draw(PAPERS[paper])
            # A glyph that no font has is a warning, and warnings are errors here.
            recorder = recorded(figure)
        check_texts(chart.name, recorder)
        check_marks(chart.name, figure, recorder)
        check_axes(chart.name, figure)


def check_texts(name: str, recorder: Recorder) -> None:
    """Fail if a text leaves the paper or lies over another."""
    width, height = recorder.size
    for text, box in recorder.drawn:
        assert box.x0 >= -1, f"{name}: {text!r} begins at {box.x0}"
        assert box.x1 <= width + 1, f"{name}: {text!r} ends at {box.x1} of {width}"
        assert box.y0 >= -1, f"{name}: {text!r} goes down to {box.y0}"
        assert box.y1 <= height + 1, f"{name}: {text!r} goes up to {box.y1} of {height}"
    for (text, box), (other, beside) in combinations(recorder.drawn, 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        along = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert across <= 1 or along <= SLACK_PX, f"{name}: {text!r} lies over {other!r}"


def check_marks(name: str, figure: Figure, recorder: Recorder) -> None:
    """Fail if a text lies over a bar or a line."""
    marks = [mark for axes in figure.axes for mark in (*axes.patches, *axes.lines)]
    for text, box in recorder.drawn:
        for mark in marks:
            beside = mark.get_window_extent(recorder)
            across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
            along = min(box.y1, beside.y1) - max(box.y0, beside.y0)
            assert across <= 1 or along <= SLACK_PX, f"{name}: {text!r} lies over a mark"


def check_axes(name: str, figure: Figure) -> None:
    """Fail if an axis lacks its unit, or nothing is on it."""
    for axes in figure.axes:
        labels = [axes.get_xlabel(), *([axes.get_ylabel()] if len(axes.get_yticks()) else [])]
        for label in labels:
            assert any(unit in label for unit in UNITS), f"{name}: {label!r}"
        points = sum(len(np.atleast_1d(line.get_xdata())) for line in axes.lines)
        assert points + len(axes.patches), f"{name} has empty axes"


def test_an_all_failed_run_draws_no_latency(tmp_path: Path) -> None:
    """Where all tasks failed, latency, first token and throughput are sentences, and success and flight are charts."""
    found, _ = drawn_charts(tmp_path, CASES["all failed"])
    drawn = {chart.name: chart.draw is not None for chart in found}
    assert drawn == {
        "throughput": False,
        "latency": False,
        "ttft": False,
        "success": True,
        "in_flight": True,
        "start_up": True,
    }


def test_answers_that_were_not_streamed_have_no_first_token(tmp_path: Path) -> None:
    """Without streaming the place of the first-token chart says that it was not measured."""
    found, _ = drawn_charts(tmp_path, CASES["not streamed"])
    (chart,) = [chart for chart in found if chart.name == "ttft"]
    assert chart.draw is None
    assert "not streamed" in chart.caption
    assert "not measured" in chart.caption


def test_chinese_topics_are_labels(tmp_path: Path) -> None:
    """The chart by topic names each topic in its own characters."""
    found, fonts = drawn_charts(tmp_path, CASES["four modes"])
    (chart,) = [chart for chart in found if chart.name == "topics"]
    assert chart.draw is not None
    with drawing(fonts.families, "test"):
        recorder = recorded(chart.draw(PAPERS["wide"]))
    written = {text for text, _ in recorder.drawn}
    assert {"AI技术", "新能源", "医疗科技", "智能制造"} <= written
    assert not fonts.written_out


def test_modes_differ_in_colour_marker_and_dash(tmp_path: Path) -> None:
    """Two modes on one page never share a colour, a marker or a dash pattern."""
    fonts = ChartFonts()
    runs = [load(make_run(tmp_path, Plan(mode=mode, concurrency=1, seed=place))) for place, mode in enumerate(MODES)]
    marks = [item.mark for item in arrange(runs, fonts)]
    for name in ("role", "marker", "dash"):
        assert len({getattr(mark, name) for mark in marks}) == len(marks), name


def test_more_runs_than_panels_are_counted(tmp_path: Path) -> None:
    """Runs for which there is no room in a chart are said to be in the tables."""
    found, _ = drawn_charts(tmp_path, [Plan(seed=seed, tasks=3) for seed in range(15)])
    captions = {chart.name: chart.caption for chart in found}
    assert "3 runs more in the tables" in captions["in_flight"]
    assert "more in the tables" not in captions["latency"]


def test_a_chart_s_label_is_text() -> None:
    """Whatever a chart is called, that is the label of its picture: no attribute and no element comes of it."""
    title = 'a "quoted" onload="b" <script> & \'c\''
    chart = Chart(name="latency", title=title, caption="How.", draw=lambda _: Figure())
    drawn = render(chart, families=ChartFonts().families, notes=(), classes=Classes())
    (label,) = re.findall(r'aria-label="([^"]*)"', drawn.wide)
    assert html.unescape(label) == f"{title}. How."
    seen = Elements()
    seen.feed(drawn.wide)
    assert "onload" not in seen.attributes
    assert "script" not in seen.names
