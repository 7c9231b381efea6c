"""One suite over every engine: what it does where there is no task to begin yet, and when it has tasks kept."""

from __future__ import annotations

import dataclasses
import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest

from bench.clients._base import ClientSettings, Timeouts
from bench.clock import NS_PER_S, MonotonicClock
from bench.engines._base import Job, Pause
from bench.engines.choose import engine_for
from bench.executor.spec import ON_LOOP
from bench.policy.retry import RetryPolicy
from bench.providers import Endpoint
from bench.records import Mode, TaskResult
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.stop import StopSignal
from bench.worker import Assignment, WorkerSpec
from tests.samples import make_task
from tests.scheduler import scheduler_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.engines._base import AtTurnsEnd

MODES: tuple[Mode, ...] = get_args(Mode)

#: Later than any test waits.
NEVER_NS = 1 << 62


class Source:
    """Hands out numbered tasks, so many at once as are allowed; an engine's draw and emit, from any thread.

    Attributes:
        draws: How often it was asked.
        results: What came back.
        most_at_once: The most tasks that were out at once.
    """

    def __init__(self, tasks: int, allowed: Callable[[Source], int], until_ns: Callable[[], int]) -> None:
        self._lock = threading.Lock()
        self._left = list(reversed(range(tasks)))
        self._allowed = allowed
        self._until_ns = until_ns
        self._out = 0
        self.draws = self.most_at_once = 0
        self.results: list[TaskResult] = []
        self.rung: Callable[[], None] = lambda: None

    def draw(self) -> Assignment | Pause | None:
        """Return a task, a pause, or None where all are done or out."""
        with self._lock:
            self.draws += 1
            if not self._left:
                return None
            if self._out >= self._allowed(self):
                return Pause(self._until_ns())
            self._out += 1
            self.most_at_once = max(self.most_at_once, self._out)
            return Assignment(task=make_task(self._left.pop()), scheduled_ns=time.perf_counter_ns())

    def emit(self, result: TaskResult | bytes) -> None:
        """Take a result in."""
        with self._lock:
            self._out -= 1
            self.results.append(msgspec.json.decode(result, type=TaskResult) if isinstance(result, bytes) else result)
        self.rung()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """A server that takes half a second: longer than a pause lasts without a ring."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.5, tokens=1)) as server:
        yield Endpoint(provider="simulator", base_url=server.base_url, model="simulated")


def job_of(source: Source, endpoint: Endpoint, mode: Mode, slots: int, stop: StopSignal | None = None) -> Job:
    """Return a job that has its tasks from a source."""
    transport = "protocol" if mode in ON_LOOP else "socket"
    spec = WorkerSpec(
        endpoints=(endpoint,),
        client=ClientSettings(client="lean", transport=transport, slots=slots, timeouts=Timeouts()),
        retry=RetryPolicy(retries=0),
        timeout_s=60.0,
        stream=True,
        mode=mode,
        segment=0,
        origin_ns=time.perf_counter_ns(),
        origin_utc_s=0.0,
        chunk_times=False,
        seed=0,
    )
    job = Job(
        slots=slots,
        processes=2,
        spec=spec,
        clock=MonotonicClock(),
        stop=stop or StopSignal(),
        draw=source.draw,
        emit=source.emit,
        ready=lambda: None,
        worker_cpu=lambda _cpu_s: None,
        canary=lambda _added_s: None,
        by_turns=lambda _at_turns_end: nullcontext(),
    )
    source.rung = job.bell.ring
    return dataclasses.replace(job, scheduler=scheduler_for(mode))


@pytest.mark.parametrize("mode", MODES)
def test_a_pause_is_no_end(mode: Mode, endpoint: Endpoint) -> None:
    """Slots that are told to pause ask again after it, neither never nor all the time, and do what there is then."""
    opens_ns = 0

    def until_ns() -> int:
        nonlocal opens_ns
        opens_ns = opens_ns or time.perf_counter_ns() + 6 * NS_PER_S // 10
        return opens_ns

    source = Source(3, lambda _source: 3 if opens_ns and time.perf_counter_ns() >= opens_ns else 0, until_ns)
    engine_for(mode).run(job_of(source, endpoint, mode, 1 if mode == "serial" else 3))
    assert sorted(result.index for result in source.results) == [0, 1, 2]
    # Three slots ask at once, then each quarter of a second or when the pause is over.
    assert source.draws < 40


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "serial"])
def test_a_pause_ends_when_a_task_comes_back(mode: Mode, endpoint: Endpoint) -> None:
    """A slot in a pause without an end goes on when another's task came back and it may; it is not forgotten because
    that other slot had something to do.
    """
    source = Source(6, lambda source: 1 if len(source.results) < 2 else 2, lambda: NEVER_NS)
    engine_for(mode).run(job_of(source, endpoint, mode, 2))
    assert sorted(result.index for result in source.results) == list(range(6))
    assert source.most_at_once == 2
    assert {result.worker.slot for result in source.results} == {0, 1}
    assert source.draws < 100


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", ["drain", "cancel"])
def test_a_stop_ends_a_pause(mode: Mode, stage: str, endpoint: Endpoint) -> None:
    """An engine whose slots all pause ends when the run is stopped."""
    stop = StopSignal()
    source = Source(1, lambda _source: 0, lambda: NEVER_NS)

    def draw() -> Assignment | Pause | None:
        if source.draws == 1:
            threading.Thread(target=getattr(stop, stage)).start()
        return None if stop.draining else source.draw()

    job = job_of(source, endpoint, mode, 1 if mode == "serial" else 2, stop)
    engine_for(mode).run(dataclasses.replace(job, draw=draw))
    assert source.results == []
    assert source.draws < 40


class Turns:
    """Keeps what is drawn at the end of each turn of an engine, and at once where an engine has none.

    Attributes:
        kept_ns: When each task was kept.
        keeps: How often some were.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at_turns_end: AtTurnsEnd | None = None
        self._waiting: list[int] = []
        self.kept_ns: dict[int, int] = {}
        self.keeps = 0

    @contextmanager
    def by_turns(self, at_turns_end: AtTurnsEnd) -> Iterator[None]:
        """Keep by turns inside the block."""
        self._at_turns_end = at_turns_end
        yield
        self._at_turns_end = None

    def draw(self) -> Assignment | Pause | None:
        """Return a task that is kept now or at the turn's end."""
        drawn = self._source.draw()
        if isinstance(drawn, Assignment):
            self._waiting.append(drawn.task.index)
            if self._at_turns_end is None:
                self._keep()
            elif len(self._waiting) == 1:
                self._at_turns_end(self._keep)
        return drawn

    def _keep(self) -> None:
        self.keeps += 1
        while self._waiting:
            self.kept_ns[self._waiting.pop()] = time.perf_counter_ns()


@pytest.mark.parametrize("mode", ["asyncio", "multiprocessing", "hybrid", "distributed"])
def test_what_a_turn_draws_is_kept_together(mode: Mode, endpoint: Endpoint) -> None:
    """Engines with a loop have the tasks of all their slots kept at once, those with processes before they are sent."""
    source = Source(4, lambda _source: 4, lambda: NEVER_NS)
    turns = Turns(source)
    job = dataclasses.replace(job_of(source, endpoint, mode, 4), draw=turns.draw, by_turns=turns.by_turns)
    engine_for(mode).run(job)
    assert turns.keeps == 1
    assert set(turns.kept_ns) == {result.index for result in source.results} == set(range(4))
    if mode != "asyncio":
        started_ns = [job.spec.origin_ns + result.started_s * NS_PER_S for result in source.results]
        assert max(turns.kept_ns.values()) < min(started_ns)
