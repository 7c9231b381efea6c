"""Where a run of profile `prod` decides: which task goes next, over which route, and whether a failure is tried again.

It stands between the ledger and the engine. The engine's slots make one attempt of a task at a time, or a race; a task
that has to wait, for its backoff or for an equal prompt that is being answered, waits here and holds no slot.
"""

from __future__ import annotations

import heapq
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S
from bench.engines._base import Pause
from bench.errors import RunError
from bench.executor.endings import Endings
from bench.executor.known import Turn, Waiting
from bench.executor.permits import Permits
from bench.policy.again import again
from bench.policy.pool import Never, Wait
from bench.records import TaskResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cache import CachedAnswer
    from bench.clock import Clock
    from bench.errors import CallError
    from bench.executor.known import KnownAnswers
    from bench.executor.source import Source
    from bench.policy.pool import Change, Pool, RouteState
    from bench.policy.retry import RetryPolicy
    from bench.stop import StopSignal
    from bench.worker import Assignment, WorkerSpec

#: How long a task waits before it looks again whether an equal prompt has been answered.
_LOOK_AGAIN_NS: Final = NS_PER_S // 20

#: How many tasks may wait outside of slots, for each slot: beyond it no new one is drawn.
_WAITING_PER_SLOT: Final = 8

#: How many tasks that wait for another provider are passed over in one look for one that could go.
_PASSED_OVER: Final = 8


@dataclass(frozen=True, kw_only=True)
class Dispatching:
    """What a dispatcher works with.

    Attributes:
        ledger: Where tasks come from and results go.
        pool: The routes, and which of them may be used.
        retry: How often a task may fail, and the waits between its attempts.
        known: Answers that need not be asked for, if they may be used.
        race: Whether a call that takes long is made elsewhere as well.
        hedge_delay_s: How long such a call is waited for; None for what its provider usually takes.
        changed: Takes what has changed about the routes.
        rung: Called when a task came back.
        is_shown: Whether answers are shown as they arrive.
    """

    ledger: Source
    pool: Pool
    retry: RetryPolicy
    known: KnownAnswers | None
    race: bool
    hedge_delay_s: float | None
    changed: Callable[[list[Change]], None]
    rung: Callable[[], None]
    is_shown: bool = False


class Dispatcher:
    """Hands out attempts and takes in what they came to, for any number of threads.

    Args:
        parts: What it works with.
        spec: What the workers share.
        clock: The run's clock.
        stop: Once it drains nothing is handed out, and what waits is recorded as cancelled.
        slots: How many attempts may be under way.
    """

    def __init__(self, parts: Dispatching, spec: WorkerSpec, clock: Clock, stop: StopSignal, slots: int) -> None:
        self._parts = parts
        self._ledger = parts.ledger
        self._pool = parts.pool
        self._clock = clock
        self._stop = stop
        self._timeout_ns = int(spec.timeout_s * NS_PER_S)
        self._seed = spec.seed
        self._permits = Permits(parts.pool, spec, race=parts.race, hedge_delay_s=parts.hedge_delay_s)
        self._endings = Endings(spec)
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder(TaskResult).decode
        self._waiting: list[tuple[int, int, Waiting]] = []
        self._added = 0
        self._most_waiting = slots * _WAITING_PER_SLOT
        self._under_way: dict[str, Waiting] = {}

    def __repr__(self) -> str:
        """Show how many tasks wait and how many are under way."""
        return f"<Dispatcher {len(self._waiting)} waiting {len(self._under_way)} under way>"

    def draw(self) -> Assignment | Pause | None:
        """Return the next attempt to make, a pause while none may be made, or None when nothing is left to begin."""
        with self._lock:
            passed: list[Waiting] = []
            try:
                return self._drawn(passed)
            finally:
                for waiting in passed:
                    # It keeps its place before those that are drawn later.
                    self._wait_until(waiting.assignment.scheduled_ns, waiting)

    def emit(self, result: TaskResult | bytes) -> None:
        """Take in what an attempt came to: keep it, or let its task wait for another."""
        ended = self._decode(result) if isinstance(result, bytes) else result
        with self._lock:
            under_way = self._under_way.pop(ended.task_id)
            self._permits.back(under_way, ended, self._clock.now_ns())
            wait_s = self._wait_s(ended) if ended.status == "failed" and not self._is_over else None
            if wait_s is None:
                self._finish(under_way, result if isinstance(result, bytes) else ended, ended)
            else:
                self._put_off(under_way, ended, wait_s)
            self._parts.changed(self._pool.take_changes())
        self._parts.rung()

    def withdraw(self, task_id: str, why: CallError) -> bool:
        """Record a task that waits as given up; return whether one waits here: it may be under way, or not drawn."""
        with self._lock:
            waiting = self._taken_out(task_id)
            if waiting is None:
                return False
            given_up = self._endings.cancelled(waiting.assignment, self._clock.now_ns(), why)
            self._finish(waiting, given_up, given_up)
        self._parts.rung()
        return True

    def routes(self) -> tuple[RouteState, ...]:
        """Return how each route stands now."""
        with self._lock:
            return self._pool.snapshot(self._clock.now_ns() / NS_PER_S)

    def close(self) -> None:
        """Record what still waits as cancelled: where a run was cut short no slot may have come to draw again."""
        with self._lock:
            self._cancel_waiting()

    @property
    def _is_over(self) -> bool:
        """Whether nothing is to begin any more; after an error the stop is on its way, in a thread of its own."""
        return self._stop.draining or self._ledger.error is not None

    def _drawn(self, passed: list[Waiting]) -> Assignment | Pause | None:
        """Return what `draw` does; tasks that were passed over are added to `passed`."""
        pause: Pause | None = None
        while True:
            if self._is_over:
                self._cancel_waiting()
                return None
            now_ns = self._clock.now_ns()
            waiting = self._next(now_ns)
            if waiting is None or isinstance(waiting, Pause):
                return _sooner(pause, waiting)
            drawn = self._begun(waiting, now_ns)
            if isinstance(drawn, Pause):
                passed.append(waiting)
                pause = _sooner(pause, drawn)
                if not waiting.failed_on or len(passed) >= _PASSED_OVER:
                    return pause
            elif drawn is not None:
                return drawn

    def _next(self, now_ns: int) -> Waiting | Pause | None:
        """Return a task whose wait is over, else a new one, else a pause until the first wait is over."""
        if self._waiting and self._waiting[0][0] <= now_ns:
            return heapq.heappop(self._waiting)[2]
        following = 0 if self._parts.known is None else self._parts.known.following
        if len(self._waiting) + following < self._most_waiting:
            assignment = self._ledger.draw()
            if assignment is not None:
                if assignment.scheduled_ns <= now_ns:
                    return Waiting(assignment)
                self._wait_until(assignment.scheduled_ns, Waiting(assignment))
        elif not self._waiting:
            # All of them follow others, which end the pause when they are finished.
            return Pause(now_ns + NS_PER_S)
        return Pause(self._waiting[0][0]) if self._waiting else None

    def _begun(self, waiting: Waiting, now_ns: int) -> Assignment | Pause | None:
        """Return the attempt of a task, or until when it has to wait; None where the task was dealt with otherwise."""
        if self._parts.known is not None and not self._is_to_be_asked(waiting, self._parts.known.look(waiting), now_ns):
            return None
        if waiting.last is not None and now_ns >= self._deadline_ns(waiting, now_ns):
            late = self._endings.late(waiting.last, now_ns)
            self._finish(waiting, late, late)
            return None
        answer = self._permits.ask(waiting, now_ns)
        if isinstance(answer, Never):
            self._refuse(waiting, answer.reason, now_ns)
            return None
        if isinstance(answer, Wait):
            until_ns = self._deadline_ns(waiting, now_ns)
            if not math.isinf(answer.until_s):
                until_ns = min(until_ns, int(answer.until_s * NS_PER_S))
            return Pause(max(until_ns, now_ns + 1))
        self._under_way[waiting.assignment.task.task_id] = waiting
        return msgspec.structs.replace(answer, wait_s=self._endings.wait_s(answer, now_ns))

    def _is_to_be_asked(self, waiting: Waiting, known: CachedAnswer | Turn, now_ns: int) -> bool:
        """Keep a task's answer if it is known, or let it wait if it soon will be; otherwise return True."""
        match known:
            case Turn.ASK:
                return True
            case Turn.FOLLOW:
                pass  # it comes back when the one that it follows is finished
            case Turn.LOOK_AGAIN:
                self._wait_until(now_ns + _LOOK_AGAIN_NS, waiting)
            case answer:
                self._ledger.emit(self._endings.known(waiting.assignment, answer, now_ns))
        return False

    def _wait_s(self, ended: TaskResult) -> float | None:
        """Return how long a task that failed waits for another attempt, or None if it is over."""
        if self._parts.is_shown and ended.content is not None:
            return None  # another answer would begin anew, and what was shown cannot be taken back
        now_ns = self._clock.now_ns()
        return again(
            self._parts.retry,
            ended,
            providers=self._pool.providers(now_ns / NS_PER_S),
            left_s=self._timeout_ns / NS_PER_S - self._endings.since_s(ended.started_s, now_ns),
            may_retry=self._pool.may_retry,
            seed=self._seed,
        )

    def _put_off(self, under_way: Waiting, ended: TaskResult, wait_s: float) -> None:
        scheduled_ns = under_way.assignment.scheduled_ns
        under_way.last = ended
        under_way.assignment = msgspec.structs.replace(
            under_way.assignment, prior=ended.attempts, started_ns=max(self._endings.start_ns(ended), scheduled_ns)
        )
        self._wait_until(self._clock.now_ns() + int(wait_s * NS_PER_S), under_way)

    def _finish(self, waiting: Waiting, line: TaskResult | bytes, ended: TaskResult) -> None:
        """Keep the last word on a task, and let those who wait for the same answer have it or ask themselves."""
        if self._parts.known is not None:
            for follower in self._parts.known.settle(waiting, ended):
                self._wait_until(self._clock.now_ns(), follower)
        self._ledger.emit(line)

    def _refuse(self, waiting: Waiting, reason: str, now_ns: int) -> None:
        """Record a task that nobody may be asked for, and stop the run: the others would fare no better."""
        last = waiting.last or self._endings.refused(waiting.assignment, reason, now_ns)
        self._finish(waiting, last, last)
        self._ledger.stop_for(RunError(reason))

    def _cancel_waiting(self) -> None:
        now_ns = self._clock.now_ns()
        # What is finished here may set others free that waited for its answer.
        while self._waiting:
            waiting = heapq.heappop(self._waiting)[2]
            cancelled = self._endings.cancelled(waiting.assignment, now_ns)
            self._finish(waiting, cancelled, cancelled)

    def _taken_out(self, task_id: str) -> Waiting | None:
        """Return a task that waits, for its time or for the answer of another, which it does no more."""
        for place, (_, _, waiting) in enumerate(self._waiting):
            if waiting.assignment.task.task_id == task_id:
                del self._waiting[place]
                heapq.heapify(self._waiting)
                return waiting
        return None if self._parts.known is None else self._parts.known.leave(task_id)

    def _wait_until(self, due_ns: int, waiting: Waiting) -> None:
        self._added += 1
        heapq.heappush(self._waiting, (due_ns, self._added, waiting))

    def _deadline_ns(self, waiting: Waiting, now_ns: int) -> int:
        started_ns = waiting.assignment.started_ns
        return (now_ns if started_ns is None else started_ns) + self._timeout_ns


def _sooner(one: Pause | None, other: Pause | None) -> Pause | None:
    """Return the pause that is over first, if there is any."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda pause: pause.until_ns)
