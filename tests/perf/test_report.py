"""What a report costs: reading 100,000 records, and the whole page about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from bench.report.build import build_report
from bench.report.load import load
from tests.report_cases import CASES
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

RECORDS: Final = 100_000


@pytest.fixture(scope="module")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of 100,000 tasks, 5 % of whose attempts failed."""
    return make_run(tmp_path_factory.mktemp("large"), Plan(tasks=RECORDS, concurrency=64, error_rate=0.05))


@pytest.mark.timeout(600)
def test_reading_100_000_records(large_run: Path, benchmark: BenchmarkFixture) -> None:
    """Reading a run's numbers and columns, without drawing."""
    loaded = benchmark.pedantic(load, args=(large_run,), rounds=3)  # type: ignore[no-untyped-call] # the plugin types none
    assert loaded.summary.tasks.ok + loaded.summary.tasks.failed == RECORDS


@pytest.mark.timeout(600)
def test_report_on_100_000_records(large_run: Path, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """The whole report of such a run: reading, charts, page."""
    page = benchmark.pedantic(build_report, args=([large_run], tmp_path), rounds=3)  # type: ignore[no-untyped-call] # the plugin types none
    assert page.stat().st_size < 2_000_000


@pytest.mark.timeout(600)
def test_report_on_four_runs(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """The report at the end of a demo: four small runs, nearly all of it drawing."""
    runs = [make_run(tmp_path, plan) for plan in CASES["four modes"]]
    assert benchmark.pedantic(build_report, args=(runs, tmp_path / "out"), rounds=3).exists()  # type: ignore[no-untyped-call] # the plugin types none
