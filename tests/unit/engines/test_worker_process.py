"""What becomes of the tasks of a worker process that died."""

from __future__ import annotations

import multiprocessing
import socket
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.engines._base import Job
from bench.engines.lost import LostTasks
from bench.engines.worker_process import WorkerProcess
from bench.policy.retry import RetryPolicy
from bench.records import TaskResult
from bench.stop import StopSignal
from bench.worker import Assignment
from tests.clocks import NS_PER_S, PRESENT_NS, VirtualClock
from tests.flows import make_spec
from tests.samples import failed_attempt, make_task

if TYPE_CHECKING:
    from collections.abc import Iterator

HOW = "worker process 7 was killed by SIGKILL"


class Scene:
    """A worker with three slots, the run's stop, and the records that come of it."""

    def __init__(self, connection: socket.socket) -> None:
        self.clock, self.stop = VirtualClock(), StopSignal()
        self.records: list[TaskResult] = []
        self.worker = WorkerProcess(0, range(3, 6), multiprocessing.get_context("spawn").Process(), connection)
        job = Job(
            slots=6,
            processes=2,
            spec=make_spec(retry=RetryPolicy(retries=1)),
            clock=self.clock,
            stop=self.stop,
            draw=lambda: None,
            emit=self._keep,
            ready=lambda: None,
            worker_cpu=lambda _: None,
            canary=lambda _: None,
            by_turns=lambda _at_turns_end: nullcontext(),
        )
        self.lost = LostTasks(job)

    def _keep(self, result: TaskResult | bytes) -> None:
        self.records.append(result if isinstance(result, TaskResult) else msgspec.json.decode(result, type=TaskResult))

    def give(self, index: int, *, after_s: float = 0.0, **changes: object) -> None:
        """Give the worker a task that arrives so many seconds from the present."""
        plain = Assignment(task=make_task(index), scheduled_ns=PRESENT_NS + round(after_s * NS_PER_S))
        self.worker.give(msgspec.structs.replace(plain, **changes), self.clock.now_ns())

    def lose(self) -> list[Assignment]:
        """Lose the worker with all that it had."""
        return self.lost.give_up(self.worker.take_given(), HOW, self.worker.who)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A scene whose pipe leads nowhere."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Scene(ours)


def test_each_task_is_charged_one_attempt(scene: Scene) -> None:
    """Every task that had begun is charged one attempt, from when it was given to the death, and goes on elsewhere."""
    scene.give(0, after_s=-2.0)
    scene.clock.advance_to(PRESENT_NS + NS_PER_S)
    scene.give(1, after_s=1.0)
    scene.clock.advance_to(PRESENT_NS + 3 * NS_PER_S)
    first, second = scene.lose()
    assert [attempt.error_message for attempt in (*first.prior, *second.prior)] == [HOW, HOW]
    # The run's clock began 10 s before the present; the first task had waited for a slot.
    assert [(one.sent_s, one.end_s) for one in (*first.prior, *second.prior)] == [(10.0, 13.0), (11.0, 13.0)]
    assert [first.started_ns, second.started_ns] == [PRESENT_NS, PRESENT_NS + NS_PER_S]
    assert scene.records == []
    assert scene.worker.given == {}


def test_a_task_that_had_not_arrived_costs_nothing(scene: Scene) -> None:
    """A task whose time had not come when its worker died is done by another worker as if nothing had happened."""
    scene.give(0, after_s=5.0)
    (left,) = scene.lose()
    assert (left.started_ns, left.prior) == (None, ())
    assert left.scheduled_ns == PRESENT_NS + 5 * NS_PER_S


def test_a_task_out_of_attempts_is_lost(scene: Scene) -> None:
    """A task that has no attempt left fails as `worker_lost`, in its slot; the others are not touched."""
    scene.give(0, started_ns=PRESENT_NS, prior=(failed_attempt("worker_lost", sent_s=10.0, end_s=10.0),))
    scene.give(1)
    scene.clock.advance_to(PRESENT_NS + NS_PER_S)
    (left,) = scene.lose()
    (record,) = scene.records
    assert left.task.index == 1
    assert (record.index, record.status, record.error and record.error.type) == (0, "failed", "worker_lost")
    assert len(record.attempts) == 2
    assert record.worker.slot == 3


def test_nothing_goes_on_in_a_run_that_stops(scene: Scene) -> None:
    """In a run that drains what a dead worker had, and what had been left to do, is cancelled."""
    scene.give(0)
    scene.give(1, after_s=9.0)
    left = [Assignment(task=make_task(2), scheduled_ns=PRESENT_NS)]
    scene.clock.advance_to(PRESENT_NS + NS_PER_S)
    scene.stop.drain()
    assert scene.lose() == []
    scene.lost.cancel(left, scene.worker.who(3))
    assert left == []
    assert sorted((record.index, record.status) for record in scene.records) == [
        (0, "cancelled"),
        (1, "cancelled"),
        (2, "cancelled"),
    ]
    assert {record.index: len(record.attempts) for record in scene.records} == {0: 1, 1: 0, 2: 0}
    assert all(record.latency_s >= 0 for record in scene.records)
