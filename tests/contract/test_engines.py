"""One behaviour suite over every engine: the same promises whatever the concurrency model."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import psutil
import pytest

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor, RunOutcome
from bench.journal import iter_last_results, iter_lines
from bench.providers import Endpoint
from bench.records import Glimpse, Mode, Task, TaskResult
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.stop import StopSignal
from tests.scheduler import scheduler_for
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODES: tuple[Mode, ...] = get_args(Mode)
PARALLEL: tuple[Mode, ...] = tuple(mode for mode in MODES if mode != "serial")


@dataclass
class Watcher:
    """An observer that counts, and calls `then` once `after` records are there."""

    after: int = 1_000_000
    then: Callable[[], None] | None = None
    events: list[str] = field(default_factory=list)
    recorded_ids: list[str] = field(default_factory=list)

    def ready(self) -> None:
        """Note it."""
        self.events.append("ready")

    def drawn(self) -> None:
        """Note it."""
        self.events.append("drawn")

    def recorded(self, glimpse: Glimpse | TaskResult) -> None:
        """Note it, and act when it is time."""
        self.recorded_ids.append(glimpse.task_id)
        if self.then and len(self.recorded_ids) == self.after:
            threading.Thread(target=self.then).start()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Every concurrency model."""
    chosen: Mode = request.param
    return chosen


@pytest.fixture
def simulate() -> Iterator[Callable[..., SimulatorProcess]]:
    """Start simulators that end with the test."""
    running: list[SimulatorProcess] = []

    def start(**settings: float) -> SimulatorProcess:
        simulator = SimulatorProcess(SimulatorSettings(**settings))  # type: ignore[arg-type] # mypy sees one type for all
        simulator.start()
        running.append(simulator)
        return simulator

    yield start
    for simulator in running:
        simulator.stop()


def endpoint_of(simulator: SimulatorProcess) -> Endpoint:
    """Where a simulator is."""
    return Endpoint(provider="simulator", base_url=simulator.base_url, model="simulated", pid=simulator.pid)


def results_of(outcome: RunOutcome) -> list[TaskResult]:
    """The records of a run."""
    return list(iter_last_results(outcome.directory, TaskResult))


def execute(
    directory: Path,
    endpoint: Endpoint,
    mode: Mode,
    slots: int,
    tasks: int,
    *,
    stop: StopSignal | None = None,
    watcher: Watcher | None = None,
    **settings: object,
) -> RunOutcome:
    """Run numbered tasks; those of mode `distributed` on nodes that all tests share, unless it asks for `processes`."""
    shared = {} if "processes" in settings else {"scheduler": scheduler_for(mode)}
    config = ConcurrentConfig(
        mode=mode,
        concurrency=1 if mode == "serial" else slots,
        results_dir=directory,
        **{**shared, **settings},  # type: ignore[arg-type] # any of its settings
    )
    run = ConcurrentBigModelExecutor(config).open(CountedWorkload(tasks), endpoint)
    return run.execute(stop=stop, observers=[watcher] if watcher else [])


def test_each_task_once(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """Each task is drawn once, sent once, recorded once and answered with its own text, in every mode."""
    simulator = simulate(ttft_s=0.005, itl_s=0.001, tokens=4)
    watcher = Watcher()
    outcome = execute(tmp_path, endpoint_of(simulator), mode, 4, 40, watcher=watcher)
    ids = {f"{index}-i0-v0" for index in range(40)}
    results = results_of(outcome)
    assert outcome.status == "completed"
    assert {result.task_id for result in results} == ids
    assert len(results) == 40
    assert Counter(watcher.recorded_ids) == Counter(ids)
    assert len(list(iter_lines(outcome.directory / "workload.jsonl"))) == 40
    assert simulator.stats().requests == 40
    digests = {task.task_id: digest(task) for task in CountedWorkload(40)}
    assert all(digests[result.task_id] in (result.content or "") for result in results)
    assert all(result.mode == mode and result.status == "ok" for result in results)


def digest(task: Task) -> str:
    """What the simulator puts first into its answer to a task."""
    return hashlib.sha256(str(task.messages[-1]["content"]).encode()).hexdigest()[:16]


def test_ready_before_first(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """All slots stand ready, once, before the first task is drawn; the wait for that is start-up, not latency."""
    watcher = Watcher()
    outcome = execute(tmp_path, endpoint_of(simulate(tokens=2)), mode, 3, 6, watcher=watcher)
    assert watcher.events[0] == "ready"
    assert watcher.events.count("ready") == 1
    startup_s = outcome.summary.harness.startup_s
    assert startup_s is not None
    assert all(result.scheduled_s >= startup_s for result in results_of(outcome))


@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize("mode", PARALLEL)
def test_r20_n_means_n(mode: Mode, slots: int, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """With N slots the server sees exactly N requests in flight at its peak, on no more than N connections."""
    simulator = simulate(ttft_s=0.15, itl_s=0.01, tokens=5)
    execute(tmp_path, endpoint_of(simulator), mode, slots, 4 * slots)
    stats = simulator.stats()
    assert stats.peak_in_flight == slots
    assert stats.connections_used <= slots


def test_r08_records_hold_times_in_order(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """The instants of a record never run backwards, and none that a success has is missing."""
    outcome = execute(tmp_path, endpoint_of(simulate(ttft_s=0.02, itl_s=0.005, tokens=4)), mode, 2, 6)
    for result in results_of(outcome):
        (attempt,) = result.attempts
        instants = [
            result.scheduled_s,
            result.started_s,
            attempt.sent_s,
            attempt.headers_s,
            attempt.first_chunk_s,
            attempt.first_content_s,
            attempt.last_content_s,
            attempt.end_s,
            result.ended_s,
        ]
        known = [instant for instant in instants if instant is not None]
        assert len(known) == len(instants)
        assert known == sorted(known)
        assert result.ttft_s is not None
        assert result.ttft_s >= 0.02
        assert result.chunks == 4
        assert result.completion_tokens == 4


def test_r22_failures_are_records(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """Faults of the server end as records with their attempts, one hit at the server for each attempt."""
    simulator = simulate(tokens=3, error_rate=0.2, truncate_rate=0.2, seed=3)
    outcome = execute(tmp_path, endpoint_of(simulator), mode, 4, 30, retries=1, retry_delay=0.01)
    results = results_of(outcome)
    assert outcome.status == "completed"
    assert len(results) == 30
    assert sum(len(result.attempts) for result in results) == simulator.stats().requests
    failures = [result for result in results if result.status == "failed"]
    assert failures
    assert {result.error.type for result in failures if result.error} <= {"server_error", "truncated"}
    assert all(len(result.attempts) == 2 for result in failures)
    assert any(len(result.attempts) == 2 for result in results if result.status == "ok")


def test_drain(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """A run that drains takes nothing new, lets what is in flight finish, and is interrupted, not failed."""
    simulator = simulate(ttft_s=0.05, tokens=2)
    stop = StopSignal()
    watcher = Watcher(after=5, then=stop.drain)
    outcome = execute(tmp_path, endpoint_of(simulator), mode, 4, 500, stop=stop, watcher=watcher)
    results = results_of(outcome)
    assert outcome.status == "interrupted"
    assert 5 <= len(results) < 100
    assert all(result.status == "ok" for result in results)
    assert simulator.stats().requests == len(results)
    assert outcome.summary.tasks.not_started == 500 - len(results)


def test_cancel(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """A cancelled run gives up what is in flight at once, with a record for each, and closes those connections."""
    simulator = simulate(ttft_s=0.05, tokens=1000, itl_s=0.1)
    stop = StopSignal()

    class CancelWhenBusy(Watcher):
        def drawn(self) -> None:
            super().drawn()
            if self.events.count("drawn") == (1 if mode == "serial" else 4):
                threading.Timer(0.3, stop.cancel).start()

    outcome = execute(tmp_path, endpoint_of(simulator), mode, 4, 50, stop=stop, watcher=CancelWhenBusy())
    results = results_of(outcome)
    assert outcome.status == "interrupted"
    assert len(results) == (1 if mode == "serial" else 4)
    assert {result.status for result in results} == {"cancelled"}
    assert all(result.latency_s < 5 for result in results)
    assert simulator.stats().in_flight == 0


def test_stop_before_start(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """A run that is stopped before it began sends nothing and ends."""
    simulator = simulate(tokens=1)
    stop = StopSignal()
    stop.drain()
    outcome = execute(tmp_path, endpoint_of(simulator), mode, 2, 5, stop=stop)
    assert outcome.status == "interrupted"
    assert results_of(outcome) == []
    assert simulator.stats().requests == 0


def test_nothing_left_behind(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """A run leaves no thread and no process behind, neither worker nor node."""
    simulator = simulate(tokens=1)
    before = {thread.name for thread in threading.enumerate()}
    there = set(psutil.Process().children(recursive=True))
    own = {"processes": 2, "client": "lean"} if mode == "distributed" else {}
    execute(tmp_path, endpoint_of(simulator), mode, 4, 8, **own)  # type: ignore[arg-type] # none of its own names
    assert {thread.name for thread in threading.enumerate()} <= before
    names = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True) if child not in there]
    assert [name for name in names if "bench.simulator" not in name and "forkserver" not in name
            and "resource_tracker" not in name] == []  # fmt: skip


def worker_of(simulator: SimulatorProcess) -> psutil.Process:
    """The youngest worker process or node: a grandchild, started by a fork server."""
    children = psutil.Process().children(recursive=True)
    workers = [child for child in children if child.pid != simulator.pid and child.ppid() != os.getpid()]
    return max(workers, key=psutil.Process.create_time)


#: Modes whose workers are processes, and how many of four slots one of them has.
WITH_PROCESSES = [
    ("multiprocessing", {}, 1),
    ("hybrid", {"processes": 2}, 2),
    ("distributed", {"processes": 2, "client": "lean"}, 2),
]


@pytest.mark.parametrize(("mode", "settings", "lost"), WITH_PROCESSES)
def test_killed_worker(
    mode: Mode, settings: dict[str, object], lost: int, tmp_path: Path, simulate: Callable[..., SimulatorProcess]
) -> None:
    """A worker process killed in the middle of its tasks costs each of them one attempt; the run ends whole."""
    simulator = simulate(ttft_s=0.2, tokens=3, itl_s=0.01)
    killed: list[int] = []

    def kill_one() -> None:
        worker = worker_of(simulator)
        killed.append(worker.pid)
        worker.kill()

    watcher = Watcher(after=2, then=kill_one)
    outcome = execute(tmp_path, endpoint_of(simulator), mode, 4, 16, watcher=watcher, **settings)  # type: ignore[arg-type] # none of its own names
    results = results_of(outcome)
    assert outcome.status == "completed"
    assert len(results) == 16
    assert {result.status for result in results} == {"ok"}
    again = [result for result in results if len(result.attempts) > 1]
    assert 1 <= len(again) <= lost
    for result in again:
        assert [attempt.error_type for attempt in result.attempts] == ["worker_lost", None]
        how = "is gone" if mode == "distributed" else "was killed by SIGKILL"
        assert re.search(rf"process {killed[0]},? {how}", result.attempts[0].error_message or "")
        assert result.worker.pid != killed[0]


@pytest.mark.parametrize("mode", [pytest.param("multiprocessing", marks=pytest.mark.full), "hybrid"])
def test_poison_task(mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """A task whose workers always die fails as `worker_lost` after its attempts; the others are not touched."""
    simulator = simulate(ttft_s=0.3, tokens=1)
    stop_killing = threading.Event()

    def kill_forever() -> None:
        while not stop_killing.wait(0.05):
            if simulator.stats().in_flight:
                worker_of(simulator).kill()

    killer = Watcher(after=1, then=kill_forever)
    try:
        outcome = execute(tmp_path, endpoint_of(simulator), mode, 1, 2, retries=2, watcher=killer)
    finally:
        stop_killing.set()
    first, second = results_of(outcome)
    assert first.status == "ok"
    assert second.status == "failed"
    assert second.error is not None
    assert second.error.type == "worker_lost"
    assert [attempt.error_type for attempt in second.attempts] == ["worker_lost"] * 3


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_hybrid_shares_its_slots_out(processes: int, tmp_path: Path, simulate: Callable[..., SimulatorProcess]) -> None:
    """P processes have N slots in all, as many each or one more, each used, and N requests are in flight."""
    simulator = simulate(ttft_s=0.2, tokens=2)
    outcome = execute(tmp_path, endpoint_of(simulator), "hybrid", 5, 20, processes=processes)
    workers = {(result.worker.pid, result.worker.slot) for result in results_of(outcome)}
    assert sorted(slot for _, slot in workers) == [0, 1, 2, 3, 4]
    widths = Counter(pid for pid, _ in workers)
    assert len(widths) == processes
    assert max(widths.values()) - min(widths.values()) <= 1
    assert simulator.stats().peak_in_flight == 5


def test_f15_workers_of_a_parent_that_used_the_client(
    mode: Mode, tmp_path: Path, simulate: Callable[..., SimulatorProcess]
) -> None:
    """A process that has had the client, its connections and threads in use does every mode's tasks as a new one."""
    simulator = simulate(ttft_s=0.005, tokens=2)
    execute(tmp_path, endpoint_of(simulator), "threading", 4, 8)
    outcome = execute(tmp_path, endpoint_of(simulator), mode, 4, 40)
    assert [result.status for result in results_of(outcome)] == ["ok"] * 40
    assert simulator.stats().requests == 48
