"""Arrivals at given times: what a slow or frozen server does to those who wait, in every engine."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor, RunOutcome
from bench.journal import iter_last_results, read_manifest
from bench.policy.arrivals import poisson
from bench.policy.statistics import SAMPLES_NEEDED
from bench.providers import Endpoint
from bench.records import Mode, TaskResult
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.stop import StopSignal
from tests.command import requests, wait_until
from tests.modes import every_mode
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.records import Glimpse


#: From the arrival, and from the send.
TIMES = ("latency_s", "service_s")


def execute(
    folder: Path, server: SimulatorProcess, tasks: int, /, *, stop: StopSignal | None = None, **settings: object
) -> RunOutcome:
    """Run numbered tasks."""
    config = ConcurrentConfig(results_dir=folder, **settings)  # type: ignore[arg-type] # any of its settings
    endpoint = Endpoint(provider="simulator", base_url=server.base_url, model="simulated", pid=server.pid)
    return ConcurrentBigModelExecutor(config).open(CountedWorkload(tasks), endpoint).execute(stop=stop)


def results_of(outcome: RunOutcome) -> list[TaskResult]:
    """The records of a run, in the order of the workload."""
    return sorted(iter_last_results(outcome.directory, TaskResult), key=lambda result: result.index)


def arrivals_of(outcome: RunOutcome) -> list[float]:
    """When the tasks of a run were to arrive, in seconds after the first."""
    instants = [result.scheduled_s for result in results_of(outcome)]
    return [instant - instants[0] for instant in instants]


def test_r02_a_frozen_second_shows_in_latency_and_not_in_service(tmp_path: Path) -> None:
    """R-02: a server that stands still for a second delays all who arrive then; from the send hardly any is delayed."""
    tasks = SAMPLES_NEEDED["p99"]
    settings = SimulatorSettings(ttft_s=0.005, tokens=2, freeze_at_s=1.0, freeze_s=1.0)
    with SimulatorProcess(settings) as server:
        outcome = execute(tmp_path, server, tasks, concurrency=4, rate=50.0)
    summary = outcome.summary
    assert (summary.load_model, summary.tasks.ok) == ("open", tasks)
    assert summary.latency_s.p99 is not None
    assert summary.latency_s.p99 >= 0.8
    # Of the fifty that arrived meanwhile four were under way; what else a busy machine delays is in both.
    late = {name: sum(getattr(result, name) > 0.5 for result in results_of(outcome)) for name in TIMES}
    assert late["latency_s"] >= 15
    assert late["service_s"] <= late["latency_s"] / 2


@every_mode
def test_r03_waiting_for_a_slot_is_latency(mode: Mode, tmp_path: Path) -> None:
    """R-03: eight requests at 10 a second through one slot of 0.5 s take 1.9 s on average, and the queue is told."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.5, tokens=1)) as server:
        outcome = execute(tmp_path, server, 8, mode=mode, concurrency=1, rate=10.0)
    results = results_of(outcome)
    mean_s = sum(result.latency_s for result in results) / len(results)
    # 0.5 + 0.4 times the mean of 0 to 7; a loaded machine adds to it.
    assert 1.9 <= mean_s < 4.0
    assert [result.latency_s for result in results] == pytest.approx(
        [result.queue_s + result.service_s for result in results]
    )
    assert results[-1].queue_s >= 7 * 0.4
    assert all(result.service_s < 2.0 for result in results)


@every_mode
def test_r05_what_is_not_sent_is_counted(mode: Mode, tmp_path: Path) -> None:
    """R-05: where far more arrives than can be served, what waited too long is dropped, and every task has a record."""
    slots = 1 if mode == "serial" else 2
    with SimulatorProcess(SimulatorSettings(ttft_s=1.0, tokens=1)) as server:
        outcome = execute(tmp_path, server, 200, mode=mode, concurrency=slots, rate=100.0, max_wait=1.0)
        sent = server.stats().requests
    results = results_of(outcome)
    assert [result.index for result in results] == list(range(200))
    dropped = [result for result in results if result.error and result.error.type == "dropped"]
    assert all(result.status == "cancelled" and not result.attempts for result in dropped)
    assert all(result.queue_s > 1.0 for result in dropped)
    assert all(result.queue_s <= 1.0 for result in results if result.status == "ok")
    summary = outcome.summary
    assert (summary.tasks.ok, summary.tasks.dropped) == (sent, 200 - sent)
    assert (summary.tasks.cancelled, summary.tasks.not_started) == (0, 0)
    assert summary.tasks.dropped > 150
    assert outcome.status == "completed"
    assert summary.offered_per_s == pytest.approx(100.0)
    assert summary.achieved_per_s is None or summary.achieved_per_s < 10


@every_mode
def test_arrivals_at_the_server_match_the_schedule(mode: Mode, tmp_path: Path) -> None:
    """Requests reach the server when they were to arrive, never before, each on its own however many are waiting."""
    log = tmp_path / "requests.jsonl"
    with SimulatorProcess(SimulatorSettings(tokens=1, request_log=str(log))) as server:
        outcome = execute(tmp_path, server, 40, mode=mode, concurrency=1 if mode == "serial" else 4, rate=40.0)
        wait_until(lambda: len(requests(log)) == 40, "not all requests in the log")
    origin_ns = read_manifest(outcome.directory).segments[0].origin_ns
    assert origin_ns is not None
    received_s = sorted((line.received_ns - origin_ns) / 1e9 for line in requests(log))
    scheduled_s = [result.scheduled_s for result in results_of(outcome)]
    late_s = [received - scheduled for received, scheduled in zip(received_s, scheduled_s, strict=True)]
    assert arrivals_of(outcome) == pytest.approx([number / 40 for number in range(40)], abs=1e-6)
    assert min(late_s) > 0
    # The machine may be busy with something else; a schedule that slips would be late for good.
    assert sorted(late_s)[20] < 0.1
    assert outcome.summary.offered_per_s == pytest.approx(40.0)
    assert outcome.summary.achieved_per_s == pytest.approx(40.0, rel=0.3)


def test_random_arrivals_come_from_the_seed(tmp_path: Path) -> None:
    """Poisson arrivals are those of the seed: the same twice, others with another seed, whatever else is random."""
    with SimulatorProcess(SimulatorSettings(tokens=1)) as server:

        def arrivals(seed: int) -> list[float]:
            return arrivals_of(execute(tmp_path, server, 20, rate=200.0, arrival="poisson", seed=seed))

        first, again, other = arrivals(1), arrivals(1), arrivals(2)
    assert first == pytest.approx(again, abs=1e-6)
    assert first != pytest.approx(other, abs=1e-3)
    expected = list(islice(poisson(200.0, random.Random("1/arrivals")), 20))
    assert first == pytest.approx([instant - expected[0] for instant in expected], abs=1e-6)


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    """A file of times gives each task its time after the first; times beyond the last task are not used."""
    trace = tmp_path / "trace.txt"
    trace.write_text("100.0\n100.0\n100.25\n\n# later\n100.3\n500\n", encoding="utf-8")
    with SimulatorProcess(SimulatorSettings(tokens=1)) as server:
        outcome = execute(tmp_path, server, 4, arrival_times=trace)
    assert outcome.summary.load_model == "open"
    assert arrivals_of(outcome) == pytest.approx([0, 0, 0.25, 0.3], abs=1e-6)


@every_mode
@pytest.mark.parametrize("stage", ["drain", "cancel"])
def test_a_stop_does_not_wait_for_arrivals(mode: Mode, stage: str, tmp_path: Path) -> None:
    """A run that is stopped while its slots wait for arrivals ends at once; those that waited have their record."""
    stop = StopSignal()
    with SimulatorProcess(SimulatorSettings(tokens=1)) as server:
        # The first arrives at once and is answered; the next one in a thousand seconds.
        outcome = run_until_first(tmp_path, server, mode, stop, getattr(stop, stage))
        assert server.stats().requests == 1
    first, *others = results_of(outcome)
    assert first.status == "ok"
    assert len(others) == (1 if mode == "serial" else 3)
    assert {(result.status, result.error and result.error.type) for result in others} == {("cancelled", "cancelled")}
    assert all(result.attempts == () and result.queue_s == 0 for result in others)
    assert outcome.status == "interrupted"
    assert outcome.summary.tasks.dropped == 0


def run_until_first(
    folder: Path, server: SimulatorProcess, mode: Mode, stop: StopSignal, then: Callable[[], None]
) -> RunOutcome:
    """Run tasks a thousand seconds apart until all slots have drawn one after the first record."""
    slots = 1 if mode == "serial" else 3

    class Watcher:
        drawn_tasks = 0

        def ready(self) -> None:
            """Do nothing."""

        def drawn(self) -> None:
            """Stop once the slot of the first task waits again."""
            self.drawn_tasks += 1
            if self.drawn_tasks == slots + 1:
                then()

        def recorded(self, glimpse: Glimpse | TaskResult) -> None:
            """Do nothing."""

    config = ConcurrentConfig(mode=mode, concurrency=slots, rate=0.001, results_dir=folder)
    endpoint = Endpoint(provider="simulator", base_url=server.base_url, model="simulated", pid=server.pid)
    run = ConcurrentBigModelExecutor(config).open(CountedWorkload(9), endpoint)
    return run.execute(stop=stop, observers=[Watcher()])
