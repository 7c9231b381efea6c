"""The contract of an engine: run a workload's tasks with N slots in one concurrency model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from bench.engines.bell import Bell

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bench.clock import Clock
    from bench.manifest import NodeFacts
    from bench.records import TaskResult
    from bench.stop import StopSignal
    from bench.worker import Assignment, WorkerSpec


class Pause(msgspec.Struct, frozen=True, gc=False):
    """There is no task to begin before this instant, unless another one comes back first."""

    until_ns: int


#: Calls what it is given at the end of the present turn of a loop.
AtTurnsEnd = Callable[[Callable[[], None]], object]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What an engine is given. The callables never raise and may be called from any thread of the parent process.

    Attributes:
        slots: N, the number of tasks that are under way at once while there are enough.
        processes: How many worker processes share the slots, where the model has a choice.
        spec: What the workers share.
        clock: The clock.
        stop: The engine draws nothing more once it drains, and gives up what is in flight once it is cancelled.
        draw: Returns the next task; a pause where one may come later; None when there is none or the run is draining.
        emit: Takes each result exactly once; one from another process encoded as JSON.
        ready: To be called once, when all slots stand ready and before the first draw.
        worker_cpu: Takes the CPU seconds of a worker process that ended.
        canary: Takes what the client added to a canary's first token, in seconds.
        by_turns: Inside the block that it returns, what one turn of the engine's loop draws and emits is kept together,
            at the turn's end; `draw` and `emit` are then called from that loop's thread alone. Outside it is kept when
            they return.
        bell: Rings when a pause may be over before its time.
        nodes: Takes those that took part, in the order in which they came, once they do no more.
        resume: The option that goes on with the run, for messages.
        scheduler: Where the scheduler of the nodes listens; None for nodes of this machine, begun with the job.
    """

    slots: int
    processes: int
    spec: WorkerSpec
    clock: Clock
    stop: StopSignal
    draw: Callable[[], Assignment | Pause | None]
    emit: Callable[[TaskResult | bytes], None]
    ready: Callable[[], None]
    worker_cpu: Callable[[float], None]
    canary: Callable[[float], None]
    by_turns: Callable[[AtTurnsEnd], AbstractContextManager[None]]
    bell: Bell = field(default_factory=Bell)
    nodes: Callable[[Sequence[NodeFacts]], None] = lambda _: None
    resume: str = "--resume RUN"
    scheduler: str | None = None


class Engine(Protocol):
    """A concurrency model."""

    def run(self, job: Job) -> None:
        """Do tasks until `draw` gives none, and return when each drawn task was emitted.

        Called in the parent's main thread, which signal handlers interrupt. Leaves no thread and no process behind.

        Raises:
            WorkerError: The slots cannot be made.
        """
        ...
