"""The one place where tasks leave the workload and results reach the journal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from bench.clock import NS_PER_S
from bench.errors import BenchError, RunError
from bench.policy.overload import OVERLOADED
from bench.records import ErrorInfo, Glimpse, Status
from bench.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.clock import Clock
    from bench.executor.arrivals import Schedule
    from bench.journal import Journal
    from bench.observers import Observer
    from bench.policy.giving_up import GivingUp
    from bench.policy.overload import Overload
    from bench.records import Task, TaskResult
    from bench.stop import StopSignal


class _Ended(msgspec.Struct, frozen=True, gc=False):
    """The fields of a TaskResult that tell whether tasks wait longer and longer."""

    scheduled_s: float
    first_token_s: float | None
    ended_s: float


class _Failed(msgspec.Struct, frozen=True, gc=False):
    """The fields of a TaskResult that tell whether and why a task failed."""

    status: Status
    error: ErrorInfo | None


class Ledger:
    """Hands out tasks and takes in results, for any number of threads; the first error stops the run and is kept.

    Args:
        tasks: The tasks, in order; drawn one at a time and never ahead.
        journal: Keeps each task before it is handed out and each result before it is shown.
        observers: Told of both.
        clock: Stamps when a slot asked.
        stop: Once it drains no task is handed out; cancelled here on an error.
        arrivals: Open loop: the time of each task, after `begin`; None where a task's time is that of the asking.
    """

    def __init__(
        self,
        tasks: Iterator[Task],
        journal: Journal,
        observers: Sequence[Observer],
        clock: Clock,
        stop: StopSignal,
        arrivals: Schedule | None = None,
    ) -> None:
        self._tasks = tasks
        self._journal = journal
        self._observers = observers
        self._clock = clock
        self._stop = stop
        self._arrivals = arrivals
        self._giving_up: GivingUp | None = None
        self._zero_ns = clock.now_ns()
        self._lock = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Glimpse).decode
        self._decode_ended = msgspec.json.Decoder(_Ended).decode
        self._decode_failed = msgspec.json.Decoder(_Failed).decode
        self.error: BenchError | None = None

    def __repr__(self) -> str:
        """Show how far the journal got."""
        return f"<Ledger {self._journal!r} error={self.error!r}>"

    def give_up_by(self, giving_up: GivingUp) -> None:
        """Stop the intake once so many tasks have failed as it says; to be called before the first draw."""
        self._giving_up = giving_up

    def begin(self) -> None:
        """Start the schedule of an open loop: its zero is now."""
        self._zero_ns = self._clock.now_ns()

    def draw(self) -> Assignment | None:
        """Return the next task, or None when there is none or the run is draining.

        In an open loop it is the one that arrives next, whether its time has come or not.
        """
        scheduled_ns = self._clock.now_ns()
        with self._lock:
            # After an error the stop is on its way, in a thread of its own.
            if self._stop.draining or self.error is not None:
                return None
            try:
                task = next(self._tasks, None)
                if task is None:
                    return None
                self._journal.drew(task)
                if self._arrivals is not None:
                    scheduled_ns = self._zero_ns + int(next(self._arrivals.times_s) * NS_PER_S)
                    if self._arrivals.overload is not None:
                        self._arrivals.overload.arrived((scheduled_ns - self._arrivals.origin_ns) / NS_PER_S)
            except BenchError as error:
                self._fail(error)
                return None
        for observer in self._observers:
            observer.drawn()
        return Assignment(task=task, scheduled_ns=scheduled_ns)

    def emit(self, result: TaskResult | bytes) -> None:
        """Keep a result and show it; one that comes from another process is encoded already."""
        line = result if isinstance(result, bytes) else self._encode(result)
        with self._lock:
            try:
                self._journal.append(line)
            except BenchError as error:
                self._fail(error)
                return
            if self._arrivals is not None and self._arrivals.overload is not None:
                self._look_at(self._arrivals.overload, result)
            if self._giving_up is not None:
                self._count(self._giving_up, result)
        if self._observers:
            seen = self._decode(result) if isinstance(result, bytes) else result
            for observer in self._observers:
                observer.recorded(seen)

    def stop_for(self, error: BenchError) -> None:
        """Stop the intake of a run whose other tasks would fare no better; what is in flight goes on."""
        with self._lock:
            self._fail(error, self._stop.drain)

    def _look_at(self, overload: Overload, result: TaskResult | bytes) -> None:
        """Stop the intake of a run that gets more than is answered; what is in flight goes on."""
        ended = self._decode_ended(result) if isinstance(result, bytes) else result
        if overload.ended(ended.scheduled_s, ended.first_token_s, ended.ended_s):
            self._fail(RunError(OVERLOADED), self._stop.drain)

    def _count(self, giving_up: GivingUp, result: TaskResult | bytes) -> None:
        """Stop the intake of a run whose tasks fail; what is in flight goes on."""
        ended = self._decode_failed(result) if isinstance(result, bytes) else result
        reason = giving_up.ended(ended.status, None if ended.error is None else ended.error.type)
        if reason is not None:
            self._fail(RunError(reason), self._stop.drain)
        if giving_up.is_idle:
            self._giving_up = None

    def _fail(self, error: BenchError, stop: Callable[[], None] | None = None) -> None:
        if self.error is None:
            self.error = error
            # Its callbacks may need the lock that is held here.
            threading.Thread(target=stop or self._stop.cancel, name="stopper").start()
