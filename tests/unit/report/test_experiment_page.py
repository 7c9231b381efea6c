"""The page of an experiment as a file."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from bench.errors import ConfigError
from bench.experiment.store import load, save
from bench.report.experiment.build import CHART_NAMES, build_experiment_report
from tests.experiment_cases import CASES, Made, make_experiment
from tests.pages import Reader, check_hostile_text_is_text, check_self_contained
from tests.report_cases import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives the page about a case, made but once."""

    def made(case: str) -> Path:
        return build_experiment_report(make_experiment(tmp_path_factory.mktemp("experiment"), CASES[case]))

    return functools.cache(made)


def test_the_first_three_sentences_name_mode_n_interval_and_cost(page_of: Callable[[str], Path]) -> None:
    """The page's first three sentences are the headline's: the best mode, its N, an interval, and what it costs."""
    page = page_of("small")
    first, second, third = Reader(page.read_text(encoding="utf-8")).paragraphs[:3]
    assert (first, second, third) == (load(page.parent).analysis or pytest.fail("not analysed")).headline[:3]
    assert re.search(r"(threading|asyncio) with 8 in flight", first)
    assert re.search(r"95 % interval [\d.]+ to [\d.]+, 6 blocks", first)
    assert "interval" in second
    assert re.search(r"[\d,]+ us of CPU a task, \d+ MB", third)


@pytest.mark.parametrize("case", ["small", "hostile", "nothing measured", "not begun"])
def test_a_page_is_self_contained(page_of: Callable[[str], Path], case: str) -> None:
    """Whatever the experiment, the page loads and runs nothing from outside, and every link leads to a file."""
    check_self_contained(page_of(case))


def test_every_chart_is_a_file_and_figures_link_to_their_raw_records(page_of: Callable[[str], Path]) -> None:
    """An experiment in which everything was measured has every chart, and links into its cells' records."""
    page = page_of("small")
    assert {path.stem for path in (page.parent / "charts").iterdir()} == CHART_NAMES
    links = {value for name, value in Reader(page.read_text(encoding="utf-8")).attributes if name == "href"}
    cells = load(page.parent).cells
    kept = {cell.run for cell in cells if cell.run is not None}
    assert kept
    assert {f"./cells/{run}/tasks.jsonl" for run in kept} <= links
    assert "./experiment.json" in links


def test_what_was_not_measured_is_said_and_not_drawn(page_of: Callable[[str], Path]) -> None:
    """Without a single figure there is no chart, and each one's place says why."""
    page = page_of("nothing measured")
    text = " ".join(Reader(page.read_text(encoding="utf-8")).text)
    assert not list((page.parent / "charts").iterdir())
    for words in (
        "nothing was measured",
        "Not measured: the server does not stamp",
        "cost of these cells was not measured",
        "where the time went was not measured",
        "command's start was not measured",
        "their records are not here",
    ):
        assert words in text, words


def test_hostile_text_is_text(page_of: Callable[[str], Path]) -> None:
    """Markup in clients, commands, errors and the environment stands escaped in the page."""
    check_hostile_text_is_text(page_of("hostile"))


def test_the_same_experiment_gives_the_same_bytes(page_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A report made anew is the same, byte for byte; in another place only its links differ."""
    page = page_of("small")
    first = page.read_bytes()
    assert build_experiment_report(page.parent).read_bytes() == first
    other = build_experiment_report(page.parent, tmp_path / "out").read_text(encoding="utf-8")
    for link in re.findall(r'href="(\./[^"]*)"', other):
        assert (tmp_path / "out" / unquote(link)).resolve().is_file()


def test_an_experiment_without_conclusions_is_analysed(tmp_path: Path) -> None:
    """An experiment that was stopped before its end has a report of the cells that it has."""
    directory = make_experiment(tmp_path, Made(blocks_done=2, kept=0))
    stored = load(directory)
    save(
        directory,
        type(stored)(**{**{name: getattr(stored, name) for name in stored.__struct_fields__}, "analysis": None}),
    )
    text = " ".join(Reader(build_experiment_report(directory).read_text(encoding="utf-8")).text)
    assert "interrupted" in text
    assert "too few blocks: 2 have a figure of both" in text


def test_a_cell_outside_the_experiment_is_not_read(tmp_path: Path) -> None:
    """A run's name that leads out of the experiment's directory is taken for one whose records are gone."""
    directory = make_experiment(tmp_path, Made(modes=("asyncio",)))
    path = directory / "experiment.json"
    (run,) = {cell.run for cell in load(directory).cells if cell.run is not None and cell.arm.endswith("@8")}
    path.write_text(path.read_text(encoding="utf-8").replace(run, "../../secret"), encoding="utf-8")
    assert "secret" not in build_experiment_report(directory).read_text(encoding="utf-8")


def test_a_damaged_experiment_is_refused(tmp_path: Path) -> None:
    """A report about what is no experiment is refused with its path."""
    (tmp_path / "experiment.json").write_text(HOSTILE)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        build_experiment_report(tmp_path)
