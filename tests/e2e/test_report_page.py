"""The report in a real browser: narrow and wide, light and dark."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest

from bench.report.build import build_report
from bench.report.experiment.build import build_experiment_report
from bench.report.theme import ROLES
from tests.browser import Browser, Seen, browser
from tests.experiment_cases import CASES as EXPERIMENTS
from tests.experiment_cases import make_experiment
from tests.report_cases import CASES
from tests.report_runs import make_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NARROW_PX: Final = 390
WIDE_PX: Final = 1440

#: Begins the name of a case that is an experiment.
EXPERIMENT: Final = "experiment, "

#: Boxes of lines of text are higher than their letters: so much of it may touch.
SLACK_PX: Final = 3.0


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start one browser for all tests of this file."""
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives the page about a case, made but once."""

    def made(case: str) -> Path:
        root = tmp_path_factory.mktemp("report 报告")
        if case.startswith(EXPERIMENT):
            return build_experiment_report(make_experiment(root, EXPERIMENTS[case.removeprefix(EXPERIMENT)]))
        return build_report([make_run(root / "runs", plan) for plan in CASES[case]], root / "out")

    return functools.cache(made)


def overlapping(found: Sequence[Seen]) -> list[tuple[str, str]]:
    """Return the pairs that lie over each other; a block that holds another does not count."""
    pairs = []
    ordered = sorted(found, key=lambda item: item.top)
    for place, one in enumerate(ordered):
        for other in itertools.takewhile(lambda item: item.top < one.bottom, ordered[place + 1 :]):  # noqa: B023 - used at once
            across, along = one.overlap(other)
            if across > 1 and along > SLACK_PX and not holds(one, other) and not holds(other, one):
                pairs.append((one.text, other.text))
    return pairs


def holds(outer: Seen, inner: Seen) -> bool:
    """Whether a box lies wholly within another."""
    return (
        outer.kind == "block"
        and outer.left <= inner.left + 1
        and outer.top <= inner.top + 1
        and outer.right >= inner.right - 1
        and outer.bottom >= inner.bottom - 1
    )


@pytest.mark.parametrize(
    ("width_px", "scheme"),
    [
        (NARROW_PX, "dark"),
        # What fits the narrow window mostly fits the wide one.
        *(
            pytest.param(*other, marks=pytest.mark.full)
            for other in ((NARROW_PX, "light"), (WIDE_PX, "light"), (WIDE_PX, "dark"))
        ),
    ],
)
@pytest.mark.parametrize(
    "case",
    [
        *("four modes", "twelve", "all failed", "600 workers", "hostile", "real work", "hostile work"),
        *(f"{EXPERIMENT}{case}" for case in ("two clients", "sweep", "all invalid", "hostile")),
    ],
)
def test_nothing_overlaps_or_leaves_the_window(
    chromium: Browser, page_of: Callable[[str], Path], case: str, width_px: int, scheme: str
) -> None:
    """At 390 and 1,440 px, light and dark, nothing lies over another thing or sticks out, with all parts unfolded."""
    chromium.open(page_of(case), width_px=width_px, scheme=scheme)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert chromium.run("return document.documentElement.scrollWidth") == width_px
    found = chromium.seen()
    for item in found:
        assert item.left >= 0, item
        assert item.right <= width_px or item.scrolls, item
    by_kind = defaultdict(list)
    for item in found:
        by_kind[item.kind].append(item)
    # Charts for the other width are not seen.
    assert len([kind for kind in by_kind if kind.startswith("chart")]) >= 3
    for kind, items in by_kind.items():
        assert overlapping(items) == [], kind


@pytest.mark.parametrize("case", ["four modes", "hostile", f"{EXPERIMENT}all invalid", f"{EXPERIMENT}hostile"])
def test_no_address_is_asked_for_and_nothing_is_refused(
    chromium: Browser, page_of: Callable[[str], Path], case: str
) -> None:
    """Opening the page asks for nothing but itself, and its own policy refuses nothing that is in it."""
    page = page_of(case)
    chromium.requests()
    chromium.complaints()
    chromium.open(page, width_px=WIDE_PX)
    chromium.run("return document.fonts.ready.then(() => true)")
    asked = [address for address in chromium.requests() if not address.startswith("data:")]
    assert asked == [page.as_uri()]
    assert chromium.complaints() == []


@pytest.mark.parametrize("case", ["hostile", f"{EXPERIMENT}hostile"])
def test_hostile_text_does_nothing(chromium: Browser, page_of: Callable[[str], Path], case: str) -> None:
    """Markup from topics, models, clients and messages makes no element; its text can be read."""
    chromium.open(page_of(case), width_px=WIDE_PX)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert chromium.run("return document.querySelectorAll('script, img, iframe').length") == 0
    shown = chromium.run("return document.body.innerText")
    assert isinstance(shown, str)
    assert "<img src=x onerror=alert(1)></style><script>" in shown
    assert "\\u202e" in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_reader_into_the_dark(
    chromium: Browser, page_of: Callable[[str], Path], scheme: str
) -> None:
    """Paper, text and the modes' colours in charts are those of the reader's preference."""
    chromium.open(page_of("four modes"), width_px=WIDE_PX, scheme=scheme)
    painted = chromium.run(
        "return [...document.querySelectorAll('#chart-throughput .wide svg :is(text, g > path)')]"
        ".map(part => getComputedStyle(part).fill)"
    )
    assert isinstance(painted, list)

    def rgb(role: str) -> str:
        colour = ROLES[role][("light", "dark").index(scheme)]
        return f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})"

    assert chromium.run("return getComputedStyle(document.body).backgroundColor") == rgb("paper")
    assert {rgb(role) for role in ("ink", "muted", "serial", "threading", "multiprocessing", "asyncio")} <= set(painted)
    assert "rgb(0, 0, 0)" not in painted


def test_chinese_is_drawn_with_the_font_that_came_with_the_page(
    chromium: Browser, page_of: Callable[[str], Path]
) -> None:
    """Chart labels in Chinese use the embedded font alone, so they are no boxes on a machine without a Chinese font."""
    chromium.open(page_of("four modes"), width_px=WIDE_PX)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    chromium.run(
        "const label = [...document.querySelectorAll('#chart-topics .wide text')]"
        ".find(text => text.textContent === '新能源'); label.id = 'label';"
        "const command = document.querySelector('code'); command.textContent = '新能源'; command.id = 'command';"
    )
    assert list(chromium.fonts_of("#label").values()) == [True]
    assert chromium.fonts_of("#command")
    # A glyph that is not there is drawn as a box, and all boxes look alike.
    drawn = chromium.run(
        "return ['新', '能', '源', '，', '器'].map(text => {"
        "const canvas = document.createElement('canvas'); const pen = canvas.getContext('2d');"
        "pen.font = \"40px 'Report Sans'\"; pen.fillText(text, 10, 60); return canvas.toDataURL(); })"
    )
    assert isinstance(drawn, list)
    assert len(set(drawn)) == 5


def test_charts_are_as_wide_as_the_text(chromium: Browser, page_of: Callable[[str], Path]) -> None:
    """On a telephone a chart is drawn for it, its letters as large as elsewhere on the page."""
    for width_px, shown in ((NARROW_PX, "narrow"), (WIDE_PX, "wide")):
        chromium.open(page_of("four modes"), width_px=width_px)
        sizes = chromium.run(
            f"return [...document.querySelectorAll('.{shown} svg')].map("
            "svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width * 12)"
        )
        assert isinstance(sizes, list)
        assert len(sizes) == 7
        assert all(11.5 <= size <= 13 for size in sizes), sizes


#: Returns the arms' names in tables that stand on more than one line.
BROKEN: Final = r"""
const broken = [];
for (const cell of document.querySelectorAll('tbody :is(th, td)')) {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (const name of walker.currentNode.data.matchAll(/\w+\/\w+@\d+/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, name.index);
      range.setEnd(walker.currentNode, name.index + name[0].length);
      const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (tops.size > 1) broken.push(`${cell.closest('section').id}, column ${cell.cellIndex}: ${name[0]}`);
    }
  }
}
return broken;
"""


@pytest.mark.parametrize("width_px", [NARROW_PX, WIDE_PX])
def test_an_arms_name_is_one_word(chromium: Browser, page_of: Callable[[str], Path], width_px: int) -> None:
    """Where a table names an arm by itself, on a telephone too, the name is not broken over two lines."""
    chromium.open(page_of(f"{EXPERIMENT}two clients"), width_px=width_px)
    chromium.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    broken = chromium.run(BROKEN)
    assert isinstance(broken, list)
    assert [place for place in broken if ", column 0:" in place or ", column 1:" in place] == []
