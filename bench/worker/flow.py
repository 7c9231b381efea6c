"""TaskWorker: does one task from start to its TaskResult, as one flow of steps with two drivers."""

from __future__ import annotations

import asyncio
import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from bench.clients._base import Contender, Reply, Request
from bench.clock import NS_PER_S
from bench.errors import CallError
from bench.logcontext import Scrubber, task_scope
from bench.policy.retry import GiveUp, jitter, next_wait
from bench.worker.record import Recorder, error_info

if TYPE_CHECKING:
    from collections.abc import Generator

    from bench.clients._base import AsyncClient, AsyncRacer, Outcomes, SyncClient, SyncRacer
    from bench.clock import Clock
    from bench.records import Attempt, ErrorInfo, Status, TaskResult, WorkerId
    from bench.stop import StopSignal
    from bench.worker.spec import Assignment, WorkerSpec

_log = logging.getLogger("bench.worker")

_STOPPED: Final = CallError("cancelled", "the run was stopped")


class Call(msgspec.Struct, frozen=True, gc=False):
    """Step: make this call; is sent its Reply."""

    request: Request
    deadline_ns: int


class Race(msgspec.Struct, frozen=True, gc=False):
    """Step: send the same request over several routes; is sent what became of each, the one that decides last."""

    contenders: tuple[Contender, ...]
    deadline_ns: int


class Sleep(msgspec.Struct, frozen=True, gc=False):
    """Step: wait; is sent whether the wait was whole (False: the run is stopping)."""

    until_ns: int


Step = Call | Race | Sleep


@dataclass(slots=True)
class _Progress:
    """How far a task got: what outlives a bug that ends its flow.

    Attributes:
        assignment: The task.
        attempts: Grows with each call.
        started_ns: When it began, once it has.
    """

    assignment: Assignment
    attempts: list[Attempt]
    started_ns: int | None


class TaskWorker:
    """Does tasks, one at a time per slot; a failure is a record, never an exception.

    `run` and `arun` are the drivers: they carry out the steps of the same flow, with a blocking or an asynchronous
    client.
    One object serves all slots of its process.

    Args:
        spec: The run's settings.
        clock: The clock for deadlines, waits and records.
        stop: Cuts waits short; tells whether a cancellation was meant.
    """

    def __init__(self, spec: WorkerSpec, clock: Clock, stop: StopSignal) -> None:
        self._spec = spec
        self._clock = clock
        self._stop = stop
        self._recorder = Recorder(spec)
        self._dropped = CallError("dropped", f"no slot was free within {spec.max_wait_s or 0:g} s of its time")
        self._scrub = Scrubber(spec.secrets)

    def stopped_by(self, stop: StopSignal) -> TaskWorker:
        """Return one like it that another signal stops, which costs less than a new one."""
        other = copy.copy(self)
        other._stop = stop  # noqa: SLF001 - it is one of the same kind
        return other

    def run(self, assignment: Assignment, client: SyncClient, who: WorkerId) -> TaskResult:
        """Do a task in this thread."""
        with task_scope(assignment.task.task_id):
            progress = _Progress(assignment, list(assignment.prior), assignment.started_ns)
            outcome: Reply | Outcomes | bool | None = None
            try:
                flow = self._flow(progress, who)
                while True:
                    try:
                        step = flow.send(outcome)
                    except StopIteration as end:
                        result: TaskResult = end.value
                        return result
                    if isinstance(step, Call):
                        outcome = client.call(step.request, step.deadline_ns)
                    elif isinstance(step, Race):
                        outcome = cast("SyncRacer", client).race(step.contenders, step.deadline_ns)
                    else:
                        outcome = self._clock.sleep_until(step.until_ns, self._stop)
            except Exception as error:  # noqa: BLE001 - the task's edge: a bug costs its task, not the run
                return self._broken(progress, who, error)

    async def arun(self, assignment: Assignment, client: AsyncClient, who: WorkerId) -> TaskResult:
        """Do a task on this event loop; a cancellation that the run's stop does not explain passes through."""
        with task_scope(assignment.task.task_id):
            progress = _Progress(assignment, list(assignment.prior), assignment.started_ns)
            outcome: Reply | Outcomes | bool | None = None
            try:
                flow = self._flow(progress, who)
                while True:
                    try:
                        step = flow.send(outcome)
                    except StopIteration as end:
                        result: TaskResult = end.value
                        return result
                    begun_ns = self._clock.now_ns()
                    try:
                        if isinstance(step, Call):
                            outcome = await client.call(step.request, step.deadline_ns)
                        elif isinstance(step, Race):
                            outcome = await cast("AsyncRacer", client).race(step.contenders, step.deadline_ns)
                        else:
                            outcome = await self._clock.asleep_until(step.until_ns, self._stop)
                    except asyncio.CancelledError:
                        if not self._is_stopped():
                            raise
                        outcome = self._cut_short(step, begun_ns)
            except Exception as error:  # noqa: BLE001 - the task's edge: a bug costs its task, not the run
                return self._broken(progress, who, error)

    def _is_stopped(self) -> bool:
        """Clear the cancellation that is being handled if the run's stop explains it; return whether it does."""
        task = asyncio.current_task()
        if task is None or not self._stop.cancelled:
            return False
        task.uncancel()
        return True

    def _cut_short(self, step: Step, begun_ns: int) -> Reply | Outcomes | bool:
        """Return the outcome of a step that the run's stop ended."""
        if isinstance(step, Sleep):
            return False
        reply = Reply(sent_ns=begun_ns, end_ns=self._clock.now_ns(), error=_STOPPED, cancelled=True)
        return reply if isinstance(step, Call) else [(0, reply)]

    def _flow(self, progress: _Progress, who: WorkerId) -> Generator[Step, Any, TaskResult]:
        """Yield the steps of a task and return its result; each step is sent its outcome (see `Call`, `Sleep`)."""
        scheduled_ns, started_ns = progress.assignment.scheduled_ns, progress.assignment.started_ns
        if started_ns is None:
            started_ns = self._clock.now_ns()
            if started_ns < scheduled_ns:
                if not (yield Sleep(scheduled_ns)):
                    return self._recorder.lost(progress.assignment, self._clock.now_ns(), _STOPPED, who)
                started_ns = max(scheduled_ns, self._clock.now_ns())
            elif self._is_too_late(started_ns - scheduled_ns):
                return self._recorder.lost(progress.assignment, started_ns, self._dropped, who)
            progress.started_ns = started_ns
        return (yield from self._attempts(progress, started_ns, who))

    def _is_too_late(self, wait_ns: int) -> bool:
        return self._spec.max_wait_s is not None and wait_ns > self._spec.max_wait_s * NS_PER_S

    def _attempts(self, progress: _Progress, started_ns: int, who: WorkerId) -> Generator[Step, Any, TaskResult]:
        """Yield the steps of a task that has begun."""
        assignment, attempts = progress.assignment, progress.attempts
        deadline_ns = started_ns + int(self._spec.timeout_s * NS_PER_S)
        request = self._request(assignment, route := assignment.route)
        wait_s = assignment.wait_s
        while True:
            reply: Reply
            if assignment.rivals:
                route, reply = yield from self._race(progress, request, deadline_ns)
            else:
                reply = yield Call(request, deadline_ns)
            attempts.append(self._recorder.attempt(reply, wait_s, route))
            status, error, decision = self._judge(reply, assignment, len(attempts), deadline_ns)
            if isinstance(decision, GiveUp):
                break
            wait_s = decision
            _log.info("attempt %d failed, the next in %.2f s: %s", len(attempts), wait_s, reply.error)
            if not (yield Sleep(self._clock.now_ns() + int(wait_s * NS_PER_S))):
                status, error = "cancelled", error_info(_STOPPED)
                break
        ended_ns = self._clock.now_ns()
        if error is not None:
            _log.info("%s after %d attempts: %s: %s", status, len(attempts), error.type, error.message)
        return self._recorder.result(
            assignment,
            reply,
            status=status,
            error=error,
            attempts=attempts,
            started_ns=started_ns,
            ended_ns=ended_ns,
            who=who,
            route=route,
        )

    def _race(
        self, progress: _Progress, request: Request, deadline_ns: int
    ) -> Generator[Race, Outcomes, tuple[int, Reply]]:
        """Yield the step of a race, note the attempts that did not decide it, and return the one that did."""
        assignment = progress.assignment
        rivals = [
            Contender(request=self._request(assignment, rival.route), after_s=rival.after_s)
            for rival in assignment.rivals
        ]
        routes = [assignment.route, *(rival.route for rival in assignment.rivals)]
        *others, (place, reply) = yield Race((Contender(request=request), *rivals), deadline_ns)
        progress.attempts += [self._recorder.attempt(other, 0.0, routes[lost]) for lost, other in others]
        return routes[place], reply

    def _request(self, assignment: Assignment, route: int) -> Request:
        task, endpoint = assignment.task, self._spec.endpoints[route]
        return Request(
            model=task.model or endpoint.model,
            messages=task.messages,
            params={**endpoint.extra_body, **task.params},
            stream=self._spec.stream,
            route=route,
        )

    def _judge(
        self, reply: Reply, assignment: Assignment, made: int, deadline_ns: int
    ) -> tuple[Status, ErrorInfo | None, float | GiveUp]:
        """Return how the task stands after this reply, and the wait before the next attempt, if one is worth it."""
        if reply.error is None:
            return "ok", None, GiveUp()
        if reply.cancelled:
            return "cancelled", error_info(reply.error), GiveUp()
        decision = next_wait(
            self._spec.retry,
            failed=made,
            retryable=reply.error.retryable,
            retry_after_s=reply.error.retry_after_s,
            left_s=(deadline_ns - self._clock.now_ns()) / NS_PER_S,
            draw=jitter(self._spec.seed, assignment.task.task_id, made),
        )
        return "failed", error_info(reply.error, decision.reason if isinstance(decision, GiveUp) else ""), decision

    def _broken(self, progress: _Progress, who: WorkerId, error: Exception) -> TaskResult:
        """Return the record of a task that met a bug of ours, after logging it."""
        _log.error("a bug in the worker", exc_info=error)
        # Whatever raised may have quoted the key, or text that cannot be encoded.
        text = self._scrub(f"a bug in the worker: {type(error).__name__}: {error}")
        cause = CallError("internal", text.encode("utf-8", "backslashreplace").decode())
        left = msgspec.structs.replace(
            progress.assignment, started_ns=progress.started_ns, prior=tuple(progress.attempts)
        )
        return self._recorder.lost(left, self._clock.now_ns(), cause, who)
