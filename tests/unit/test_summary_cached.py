"""Answers of the cache in the numbers: counted apart, and no sample of anything that a call has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from bench.records import DISPATCHER, WorkerId
from bench.report.build import build_report
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.series import arrange
from bench.report.tables import tables
from bench.summary import summarise
from bench.summary.figures import CachedCounts
from tests.samples import failed_attempt, make_attempt, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult

KEEPER: Final = WorkerId(pid=42, thread=DISPATCHER, slot=0)


def called(index: int, /, **changes: object) -> TaskResult:
    """Return a success of 2 s that was called for."""
    sent_s = float(index)
    return make_result(
        index,
        attempts=(make_attempt(sent_s=sent_s, end_s=sent_s + 2.0),),
        started_s=sent_s,
        scheduled_s=sent_s,
        ended_s=sent_s + 2.0,
        latency_s=2.0,
        service_s=2.0,
        ttft_s=0.5,
        worker=WorkerId(pid=42, thread="MainThread", slot=1),
        topic="called",
        **changes,
    )


def kept(index: int, /, **changes: object) -> TaskResult:
    """Return a success that took no time, because its answer was known."""
    unmeasured = dict.fromkeys(
        ("first_token_s", "last_token_s", "ttft_s", "tpot_s", "chunks", "icl_p50_s", "icl_p99_s", "icl_max_s")
    )
    plain = {"attempts": (), "ended_s": 0.0, "latency_s": 0.0, "service_s": 0.0, "worker": KEEPER, "topic": "kept"}
    return make_result(index, **(unmeasured | plain | {"cached": True, "provider": "beta"} | changes))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run of two calls and three answers of the cache."""
    results = [kept(0), called(1), kept(2), called(3), kept(4, prompt_tokens=None)]
    return write_run(tmp_path / "run", results, make_manifest(5))


def test_they_are_no_sample(run: Path) -> None:
    """Times, throughput, tokens, providers, workers and calls in flight are those of the calls alone."""
    summary = summarise(run)
    assert (summary.tasks.ok, summary.success_rate.n, summary.attempts) == (5, 5, 2)
    assert summary.cached == CachedCounts(tasks=3, prompt_tokens=10, completion_tokens=30)
    named = (summary.latency_s, summary.service_s, summary.queue_s, summary.ttft_s, summary.tpot_s, summary.icl_s)
    assert [values.n for values in named] == [2] * 6
    assert summary.latency_s.min == 2.0
    assert summary.wall_s == 4.0
    assert (summary.throughput_tasks_per_s, summary.throughput_tokens_per_s) == (0.5, 5.0)
    assert (summary.tokens.prompt, summary.tokens.completion) == (10, 20)
    assert [(row.provider, row.tasks, row.ok) for row in summary.providers] == [("alpha", 2, 2)]
    assert [(row.slot, row.tasks) for row in summary.workers] == [(1, 2)]
    assert (summary.in_flight.peak, summary.start_spread_s) == (1, 0.0)


def test_the_report_has_them_apart(run: Path) -> None:
    """Of the report's columns no row is an answer of the cache; its times keep their topics; the page says it."""
    loaded = load(run)
    assert loaded.summary == summarise(run)
    assert list(loaded.successes["topic"]) == ["called", "called"]
    assert (len(loaded.sent_s), list(loaded.first_tokens_s)) == (2, [0.5, 0.5])
    page = build_report([run], run).read_text()
    assert "Answers came from the cache" in page
    assert "3 of 5 successful tasks, 40 tokens saved" in page
    assert "5 of 5 tasks (3 from the cache) in" in page


def test_a_run_of_nothing_else_has_no_times(tmp_path: Path) -> None:
    """Where every answer was known there is no latency and no rate, and the report says why instead of failing."""
    run = write_run(tmp_path / "run", [kept(index) for index in range(3)], make_manifest(3))
    summary = summarise(run)
    assert (summary.latency_s.n, summary.wall_s, summary.throughput_tasks_per_s) == (0, None, None)
    page = build_report([run], run).read_text()
    assert "Every answer came from the cache" in page
    (runs, *_) = tables(arrange([load(run)], ChartFonts()))
    assert [cell.text for cell in runs.rows[0]][-4:] == ["n/a", "n/a", "0", "0"]


def test_what_was_tried_before_is_counted(tmp_path: Path) -> None:
    """A task that failed, waited and then found its answer keeps its attempt; that answer has no time, either."""
    tried = kept(0, attempts=(failed_attempt(sent_s=0.0, end_s=1.0),), ended_s=1.0, latency_s=1.0, service_s=1.0)
    summary = summarise(write_run(tmp_path / "run", [tried, called(1)], make_manifest(2)))
    assert (summary.attempts, summary.latency_s.n, [row.attempts for row in summary.errors]) == (2, 1, [1])


def test_a_bench_run_says_nothing_of_a_cache(tmp_path: Path) -> None:
    """Where no answer was kept there is no word about it."""
    assert summarise(write_run(tmp_path / "run", [called(0)])).cached is None
