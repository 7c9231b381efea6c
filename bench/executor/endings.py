"""Records of tasks that end outside of a worker: answered before they were asked, out of time, or given up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import CallError
from bench.executor.answers import reply_of
from bench.records import DISPATCHER, TaskResult, WorkerId
from bench.worker.record import Recorder

if TYPE_CHECKING:
    from bench.cache import CachedAnswer
    from bench.worker import Assignment, WorkerSpec

_STOPPED: Final = CallError("cancelled", "the run was stopped")


class Endings:
    """Makes such records, on the clock of the run.

    Args:
        spec: What the workers share.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self._recorder = Recorder(spec)
        self._who = WorkerId(pid=os.getpid(), thread=DISPATCHER, slot=0)

    def known(self, assignment: Assignment, answer: CachedAnswer, now_ns: int) -> TaskResult:
        """Return the record of a task whose answer was there already."""
        started_ns = max(assignment.started_ns or now_ns, assignment.scheduled_ns)
        result = self._recorder.result(
            assignment,
            reply_of(answer, now_ns),
            status="ok",
            error=None,
            attempts=list(assignment.prior),
            started_ns=started_ns,
            ended_ns=max(started_ns, now_ns),
            who=self._who,
        )
        return msgspec.structs.replace(result, cached=True, provider=answer.provider, model=answer.model, chunks=None)

    def late(self, last: TaskResult, now_ns: int) -> TaskResult:
        """Return the record of a task whose time ran out while it waited: its last failure, which ends now."""
        ended_s = max(last.ended_s, self._recorder.since_origin_s(now_ns))
        return msgspec.structs.replace(
            last, ended_s=ended_s, latency_s=ended_s - last.scheduled_s, service_s=ended_s - last.started_s
        )

    def refused(self, assignment: Assignment, reason: str, now_ns: int) -> TaskResult:
        """Return the record of a task that nobody may be asked for."""
        return self._recorder.lost(assignment, now_ns, CallError("auth", reason), self._who)

    def cancelled(self, assignment: Assignment, now_ns: int, why: CallError = _STOPPED) -> TaskResult:
        """Return the record of a task that was given up while it waited."""
        return self._recorder.lost(assignment, now_ns, why, self._who)

    def since_s(self, started_s: float, now_ns: int) -> float:
        """Return how long ago an instant of a record was, in seconds."""
        return self._recorder.since_origin_s(now_ns) - started_s

    def wait_s(self, assignment: Assignment, now_ns: int) -> float:
        """Return how long a task has waited since its last attempt, in seconds."""
        return max(0.0, self.since_s(assignment.prior[-1].end_s, now_ns)) if assignment.prior else 0.0

    def start_ns(self, ended: TaskResult) -> int:
        """Return when the task of a record started."""
        return self._recorder.instant_ns(ended.started_s)
