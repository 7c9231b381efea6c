"""The report as files."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bench.errors import ConfigError
from bench.report.build import build_report
from tests.pages import check_hostile_text_is_text, check_self_contained
from tests.report_cases import CASES
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[3]


def built(root: Path, *plans: Plan, alone: bool = False) -> Path:
    """Make runs and a report about them; return its page."""
    runs = [make_run(root / "runs", plan) for plan in plans]
    return build_report(runs, runs[0] if alone else root / "out")


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives the page about a case, made but once."""
    return functools.cache(lambda case: built(tmp_path_factory.mktemp("report"), *CASES[case]))


@pytest.mark.parametrize("case", ["four modes", "twelve", "nothing recorded", "all failed", "hostile"])
def test_a_page_is_self_contained(page_of: Callable[[str], Path], case: str) -> None:
    """Whatever the runs, the page loads and runs nothing from outside, its ids are unique, its links lead somewhere."""
    check_self_contained(page_of(case))


def test_the_policy_allows_nothing_but_what_is_in_the_page(page_of: Callable[[str], Path]) -> None:
    """The page forbids itself scripts and every load from outside, and allows its one style sheet by its hash."""
    text = page_of("all failed").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_hostile_text_is_text(page_of: Callable[[str], Path]) -> None:
    """Markup in names, topics, messages and commands stands escaped in the page, and direction overrides not at all."""
    check_hostile_text_is_text(page_of("hostile"))


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    """A report made anew from the raw records is the same, byte for byte, whatever the summary file says."""
    page = built(tmp_path, *CASES["one"])
    first = {path.name: path.read_bytes() for path in [page, *page.parent.glob("charts/*")]}
    runs = sorted((tmp_path / "runs").iterdir())
    for run in runs:
        (run / "summary.json").write_text("{}")
    build_report(runs, page.parent)
    second = {path.name: path.read_bytes() for path in [page, *page.parent.glob("charts/*")]}
    added = re.compile(rb"<a href=\"[^\"]*summary.json\">summary.json</a> ")
    assert {name: added.sub(b"", data) for name, data in second.items()} == first


def test_a_lone_run_has_its_report_in_its_own_directory(tmp_path: Path) -> None:
    """The page of a run lies beside its records, its charts in a folder, and it links to both."""
    page = built(tmp_path, Plan(), alone=True)
    assert page.name == "report.html"
    assert {path.name for path in page.parent.iterdir()} == {"run.json", "tasks.jsonl", "report.html", "charts"}
    text = page.read_text(encoding="utf-8")
    assert 'href="./tasks.jsonl"' in text
    assert 'href="./charts/latency.png"' in text


def test_a_new_report_takes_away_the_charts_of_the_last(tmp_path: Path) -> None:
    """A chart that the new report does not have is gone; files that are not ours stay."""
    charts = tmp_path / "charts"
    charts.mkdir()
    for name in ("latency.png", "mine.png"):
        (charts / name).write_bytes(b"")
    build_report([make_run(tmp_path / "failed", CASES["all failed"][0])], tmp_path)
    assert not (charts / "latency.png").exists()
    assert (charts / "success.png").exists()
    assert (charts / "mine.png").exists()


def test_a_run_named_twice_is_shown_once(tmp_path: Path) -> None:
    """The same directory by two paths is one run."""
    run = make_run(tmp_path, CASES["all failed"][0])
    text = build_report([run, run / ".." / run.name], tmp_path / "out").read_text(encoding="utf-8")
    assert "<h1>asyncio, 8 requests in flight</h1>" in text


def test_no_run_is_refused(tmp_path: Path) -> None:
    """A report about nothing is refused with what to do."""
    with pytest.raises(ConfigError, match="no run to report on"):
        build_report([], tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Where the report cannot be written, the error names the place."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=re.escape(f"cannot write the report to {tmp_path / 'file'}")):
        build_report([make_run(tmp_path, CASES["all failed"][0])], tmp_path / "file")


def test_answers_are_never_read_into_a_report(tmp_path: Path) -> None:
    """No word of an answer is in the page, whatever the answer says."""
    run = make_run(tmp_path, CASES["single task"][0])
    tasks = run / "tasks.jsonl"
    tasks.write_bytes(tasks.read_bytes().replace(b'"content":"word', b'"content":"geheim'))
    assert "geheim" not in build_report([run], run).read_text(encoding="utf-8")


def test_importing_the_program_loads_no_charts() -> None:
    """`import bench` and what a worker needs of it load neither pandas, matplotlib, numpy, jinja2 nor fonttools."""
    heavy = "{'pandas', 'matplotlib', 'numpy', 'jinja2', 'fontTools'}"
    code = f"import bench, bench.report, bench.journal, bench.summary, sys; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
