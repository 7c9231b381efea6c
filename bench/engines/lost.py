"""What becomes of the tasks of a worker process or node that is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.errors import CallError
from bench.worker.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.engines._base import Job
    from bench.records import WorkerId
    from bench.worker import Assignment


class LostTasks:
    """What becomes of tasks whose worker was lost: another attempt, or a record of the loss."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recorder = Recorder(job.spec)
        self._encoder = msgspec.json.Encoder()

    def give_up(
        self, given: Iterable[tuple[int, Assignment, int]], how: str, who: Callable[[int], WorkerId]
    ) -> list[Assignment]:
        """Charge a loss with one attempt to each task that had begun; record those that may not be tried again.

        Args:
            given: Slots, their tasks, and since when they had them.
            how: How the worker was lost.
            who: Tells who had a slot.

        Returns:
            The tasks that are to be done by another worker.
        """
        now_ns = self._job.clock.now_ns()
        left: list[Assignment] = []
        for slot, assignment, given_ns in given:
            charged = self._charged(assignment, given_ns, now_ns, how)
            if self._job.stop.draining:
                self._record(charged, CallError("cancelled", "the run was stopped"), who(slot))
            elif len(charged.prior) > self._job.spec.retry.retries:
                self._record(charged, CallError("worker_lost", how), who(slot))
            else:
                left.append(charged)
        return left

    def cancel(self, left: list[Assignment], who: WorkerId) -> None:
        """Record tasks that were left to do as cancelled, and forget them: the run takes nothing up any more."""
        while left:
            self._record(left.pop(), CallError("cancelled", "the run was stopped"), who)

    def _charged(self, assignment: Assignment, given_ns: int, now_ns: int, how: str) -> Assignment:
        if now_ns < assignment.scheduled_ns:
            # It waited for its time: the loss cost it nothing.
            return assignment
        started_ns = assignment.started_ns or max(given_ns, assignment.scheduled_ns)
        begun = msgspec.structs.replace(assignment, started_ns=started_ns)
        attempt = self._recorder.lost_attempt(begun, now_ns, how)
        return msgspec.structs.replace(begun, prior=(*begun.prior, attempt))

    def _record(self, assignment: Assignment, error: CallError, who: WorkerId) -> None:
        """Emit the record of a task that ends here."""
        result = self._recorder.lost(assignment, self._job.clock.now_ns(), error, who)
        self._job.emit(self._encoder.encode(result))
