"""The names of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.series import arrange
from tests.report_cases import CASES
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from pathlib import Path


def names(root: Path, *plans: Plan) -> list[str]:
    """Return the names that runs get on a page."""
    return [item.name for item in arrange([load(make_run(root, plan)) for plan in plans], ChartFonts())]


def test_runs_are_named_by_mode_and_n_in_that_order(tmp_path: Path) -> None:
    """Runs of different modes and N are told apart by these alone, simplest mode first, N ascending."""
    plans = [Plan(concurrency=64), Plan(concurrency=8), Plan(mode="serial", concurrency=1)]
    assert names(tmp_path, *plans) == ["serial, N=1", "asyncio, N=8", "asyncio, N=64"]


def test_a_model_is_named_where_it_tells_runs_of_a_mode_apart(tmp_path: Path) -> None:
    """What differs within a mode is in the name, and what is the same is not."""
    plans = [Plan(model="glm-4"), Plan(model="glm-4-flash", seed=1), Plan(mode="threading", seed=2)]
    assert names(tmp_path, *plans) == ["threading, N=8", "asyncio, glm-4, N=8", "asyncio, glm-4-flash, N=8"]


def test_streaming_is_named_where_it_differs(tmp_path: Path) -> None:
    """A run without streaming is told from its twin with it."""
    assert names(tmp_path, Plan(), Plan(streamed=False, seed=1)) == [
        "asyncio, not streamed, N=8",
        "asyncio, streamed, N=8",
    ]


@pytest.mark.parametrize("case", CASES)
def test_no_two_runs_share_a_name(tmp_path: Path, case: str) -> None:
    """Each run on a page has a name of its own, repeats of one run too."""
    found = names(tmp_path, *CASES[case])
    assert len(set(found)) == len(found)


def test_copies_of_one_run_are_told_apart(tmp_path: Path) -> None:
    """Two directories with one run id are still two runs."""
    found = [load(make_run(tmp_path / place, Plan())) for place in ("a", "b")]
    assert len({item.name for item in arrange(found, ChartFonts())}) == 2


def test_series_of_one_mode_differ_in_dash_or_filling(tmp_path: Path) -> None:
    """Two clients of one mode share its colour and are told apart by their lines."""
    runs = [load(make_run(tmp_path, Plan(model=f"model-{seed}", seed=seed))) for seed in range(4)]
    marks = [item.mark for item in arrange(runs, ChartFonts())]
    assert len({mark.role for mark in marks}) == 1
    assert len({(mark.dash, mark.hollow) for mark in marks}) == len(marks)
