"""The numbers of an open loop: what arrived, what was sent, what was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.records import ErrorInfo, WorkerId
from bench.summary import summarise
from bench.summary.figures import TaskCounts
from tests.samples import cancelled_result, make_attempt, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult

DROPPED = ErrorInfo(type="dropped", message="no slot was free within 1 s of its time")


def served(index: int, scheduled_s: float, sent_s: float) -> TaskResult:
    """Return a success that was to arrive and was sent at these instants."""
    return make_result(
        index,
        scheduled_s=scheduled_s,
        started_s=sent_s,
        ended_s=sent_s + 1.0,
        queue_s=sent_s - scheduled_s,
        latency_s=sent_s + 1.0 - scheduled_s,
        service_s=1.0,
        attempts=(make_attempt(sent_s=sent_s, end_s=sent_s + 1.0),),
    )


def unsent(index: int, scheduled_s: float, ended_s: float, **changes: object) -> TaskResult:
    """Return a task that was never sent."""
    times = {"scheduled_s": scheduled_s, "started_s": ended_s, "ended_s": ended_s, "service_s": 0.0}
    waits = {"queue_s": ended_s - scheduled_s, "latency_s": ended_s - scheduled_s}
    return cancelled_result(index, **times, **waits, **changes)


def records() -> list[TaskResult]:
    """Return ten arrivals, one every 0.1 s: four sent, five dropped, one cancelled before its time."""
    return [
        served(0, 0.0, 0.0),
        served(1, 0.1, 1.0),
        *(unsent(index, index / 10, 2.0, error=DROPPED) for index in range(2, 7)),
        served(7, 0.7, 2.0),
        served(8, 0.8, 3.0),
        unsent(9, 3.5, 3.5),
    ]


def test_an_open_loop(tmp_path: Path) -> None:
    """Dropped tasks are counted apart, and the rates are of arrivals and of sends, by their gaps."""
    manifest = make_manifest(11, load_model="open", concurrency=1)
    summary = summarise(write_run(tmp_path / "run", records(), manifest))
    assert summary.load_model == "open"
    assert summary.tasks == TaskCounts(total=11, ok=4, failed=0, cancelled=1, dropped=5, not_started=1)
    assert summary.offered_per_s == pytest.approx(10.0)
    assert summary.achieved_per_s == pytest.approx(1.0)
    assert summary.latency_s.max == pytest.approx(3.2)
    assert (summary.success_rate.n, summary.attempts) == (4, 4)
    (error,) = [row for row in summary.errors if row.type == "dropped"]
    assert (error.tasks, error.attempts) == (5, 0)


def test_a_dropped_task_is_no_work(tmp_path: Path) -> None:
    """A dropped task counts for no slot's work, whoever found it."""
    finder = WorkerId(pid=9, thread="slot-9", slot=9)
    results = [served(0, 0.0, 0.0), unsent(1, 0.1, 2.0, error=DROPPED, worker=finder)]
    summary = summarise(write_run(tmp_path / "run", results, make_manifest(2, load_model="open")))
    assert [row.slot for row in summary.workers] == [0]


def test_a_closed_loop_offers_no_rate(tmp_path: Path) -> None:
    """In a closed loop the rate is the server's doing: none is given as offered or achieved."""
    summary = summarise(write_run(tmp_path / "run", [served(0, 0.0, 0.0), served(1, 0.1, 1.0)], make_manifest(2)))
    assert (summary.load_model, summary.offered_per_s, summary.achieved_per_s) == ("closed", None, None)


def test_a_rate_needs_a_gap(tmp_path: Path) -> None:
    """One arrival, or several at one instant, have no rate."""
    for results in ([served(0, 0.0, 0.0)], [served(0, 0.0, 0.0), served(1, 0.0, 0.0)]):
        run = write_run(tmp_path / f"run-{len(results)}", results, make_manifest(len(results), load_model="open"))
        summary = summarise(run)
        assert (summary.offered_per_s, summary.achieved_per_s) == (None, None)
