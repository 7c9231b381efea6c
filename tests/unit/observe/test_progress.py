"""Tests of the counting behind the live display, in virtual time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.clock import NS_PER_S
from bench.observe.progress import Progress
from bench.records import AttemptGlimpse

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.records import Glimpse


class Time:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        return int(self.now_s * NS_PER_S)


def test_counts(glimpse: Callable[..., Glimpse]) -> None:
    """Each task is counted as what it ended as, tasks taken and not done are in flight, and retried counts tasks."""
    progress = Progress(10)
    progress.ready()
    for _ in range(6):
        progress.drawn()
    progress.recorded(glimpse(attempts=3))
    progress.recorded(glimpse())
    progress.recorded(glimpse("failed", attempts=2, error=("timeout_total", "no end after 300 s")))
    progress.recorded(glimpse("cancelled", attempts=0, error=("cancelled", "the run was stopped")))
    state = progress.snapshot()
    assert (state.done, state.ok, state.failed, state.cancelled) == (4, 2, 1, 1)
    assert (state.retried, state.in_flight, state.total) == (2, 2, 10)
    assert state.errors == (("timeout_total", 1),)
    assert state.last_error is not None
    assert state.last_error.message == "no end after 300 s"


def test_answers_of_the_cache_have_no_times(glimpse: Callable[..., Glimpse]) -> None:
    """An answer of the cache is a success that is done, and no part of rates, tokens or latencies."""
    time = Time()
    progress = Progress(10, now_ns=time.now_ns)
    progress.ready()
    for cached in (True, True, False):
        progress.recorded(glimpse(latency_s=0.0 if cached else 0.5, tokens=10, cached=cached))
    time.now_s += 1.0
    state = progress.snapshot()
    assert (state.done, state.ok, state.failed) == (3, 3, 0)
    assert (state.samples, state.latency_max_s) == (1, 0.5)
    assert (state.tasks_per_s, state.tokens_per_s) == (1.0, 10.0)


def test_a_lost_race_is_no_retry(glimpse: Callable[..., Glimpse]) -> None:
    """A task whose other call was given up because one had the answer was not tried again."""
    progress = Progress(1)
    raced = msgspec.structs.replace(glimpse(), attempts=(AttemptGlimpse("cancelled"), AttemptGlimpse("ok")))
    progress.recorded(raced)
    assert progress.snapshot().retried == 0


def test_rates_and_time_left(glimpse: Callable[..., Glimpse]) -> None:
    """Rates run from the moment the slots are ready, the recent one over the last five seconds."""
    time = Time()
    progress = Progress(100, now_ns=time.now_ns)
    time.now_s += 30
    assert (progress.snapshot().ready, progress.snapshot().tasks_per_s) == (False, None)
    progress.ready()
    for second in range(1, 11):
        time.now_s += 1
        for _ in range(1 if second <= 5 else 3):
            progress.drawn()
            progress.recorded(glimpse(tokens=50))
        assert (progress.snapshot().recent_tasks_per_s is None) == (second < 5)
    state = progress.snapshot()
    assert state.elapsed_s == 10
    assert (state.tasks_per_s, state.tokens_per_s) == (2.0, 100.0)
    assert (state.recent_tasks_per_s, state.recent_tokens_per_s) == (3.0, 150.0)
    assert state.left_s == pytest.approx(40)


def test_time_left_counts_tasks_in_flight_as_half_done(glimpse: Callable[..., Glimpse]) -> None:
    """While the first tasks come in, those beside them are not taken for untouched."""
    time = Time()
    progress = Progress(80, now_ns=time.now_ns)
    progress.ready()
    for _ in range(9):
        progress.drawn()
    assert progress.snapshot().left_s is None
    time.now_s += 20
    progress.recorded(glimpse())
    assert progress.snapshot().left_s == pytest.approx(20 * (80 - 5) / 5)


def test_last_snapshot_ends_with_the_last_record(glimpse: Callable[..., Glimpse]) -> None:
    """What comes after the last record, such as ending workers, is not counted into the final rates."""
    time = Time()
    progress = Progress(8, now_ns=time.now_ns)
    progress.ready()
    time.now_s += 4
    for _ in range(8):
        progress.recorded(glimpse(tokens=None))
    time.now_s += 60
    state = progress.snapshot(last=True)
    assert (state.elapsed_s, state.tasks_per_s, state.tokens_per_s) == (4.0, 2.0, None)


def test_reports_from_many_threads(glimpse: Callable[..., Glimpse]) -> None:
    """No report is lost while threads report and another takes snapshots."""
    progress = Progress(4000)
    progress.ready()
    record = glimpse()

    def report() -> None:
        for _ in range(1000):
            progress.drawn()
            progress.recorded(record)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        state = progress.snapshot()
        assert state.samples <= 4000
    state = progress.snapshot()
    assert (state.done, state.ok, state.samples, state.in_flight) == (4000, 4000, 4000, 0)
