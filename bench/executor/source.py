"""What a dispatcher stands between: where its tasks come from and their records go, and those who do them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clock import Clock
    from bench.errors import BenchError
    from bench.records import TaskResult
    from bench.stop import StopSignal
    from bench.worker import Assignment, WorkerSpec


class Source(Protocol):
    """Where tasks come from and their records go; callable from any thread, one at a time."""

    @property
    def error(self) -> BenchError | None:
        """Why nothing is to begin any more, if anything has gone wrong."""

    def draw(self) -> Assignment | None:
        """Return the next task, or None where there is none now."""

    def emit(self, result: TaskResult | bytes) -> None:
        """Keep the last word on a task."""

    def stop_for(self, error: BenchError) -> None:
        """Take note that no task can be done any more."""


@dataclass(frozen=True, kw_only=True)
class Doers:
    """Those who do the tasks, as far as a dispatcher knows them.

    Attributes:
        spec: What they share.
        clock: Their clock.
        stop: Tells them, and the dispatcher, to end.
        rung: Called when a task came back.
    """

    spec: WorkerSpec
    clock: Clock
    stop: StopSignal
    rung: Callable[[], None]
