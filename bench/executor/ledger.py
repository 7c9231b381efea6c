"""The one place where tasks leave the workload and results reach the journal."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from bench.clock import NS_PER_S
from bench.errors import BenchError, RunError
from bench.policy.overload import OVERLOADED
from bench.records import Glimpse
from bench.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.clock import Clock
    from bench.engines._base import AtTurnsEnd
    from bench.executor.arrivals import Schedule
    from bench.journal import Journal
    from bench.observers import Observer
    from bench.policy.giving_up import GivingUp
    from bench.records import Task, TaskResult
    from bench.stop import StopSignal

#: What is looked at of a result: the record itself where this process made it.
_Ended: TypeAlias = "Glimpse | TaskResult"


class Ledger:
    """Hands out tasks and takes in results, for any number of threads; the first error stops the run and is kept.

    What is drawn and emitted is written at once, or by turns (see `by_turns`).

    Args:
        tasks: The tasks, in order; drawn one at a time and never ahead.
        journal: Keeps each task and each result before anybody hears of it.
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
        self._overload = None if arrivals is None else arrivals.overload
        self._giving_up: GivingUp | None = None
        self._zero_ns = clock.now_ns()
        self._lock = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Glimpse).decode
        self._at_turns_end: AtTurnsEnd | None = None
        #: What is to be written: tasks, results as lines, and what is to be told of these.
        self._drawn: list[Task] = []
        self._lines: list[bytes] = []
        self._ended: list[_Ended] = []
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

    @contextlib.contextmanager
    def by_turns(self, at_turns_end: AtTurnsEnd) -> Iterator[None]:
        """Inside the block, write what one turn of a loop draws and emits at its end, with one write a file.

        A process that is killed in between has sent tasks that are not in the workload's file: a resume reads them from
        their source and does them, like all that have no record.
        """
        self._at_turns_end = at_turns_end
        try:
            yield
        finally:
            self._at_turns_end = None
            self._keep()

    def draw(self) -> Assignment | None:
        """Return the next task, or None when there is none or the run is draining.

        In an open loop it is the one that arrives next, whether its time has come or not.
        """
        scheduled_ns = self._clock.now_ns()
        with self._lock:
            if self._is_over():
                return None
            try:
                task = next(self._tasks, None)
                if task is None:
                    return None
                if self._arrivals is not None:
                    scheduled_ns = self._arrival_ns(self._arrivals)
            except BenchError as error:
                self._fail(error)
                return None
            self._drawn.append(task)
            drawn, seen = self._settled()
            if self.error is not None:
                return None
        self._tell(drawn, seen)
        return Assignment(task=task, scheduled_ns=scheduled_ns)

    def emit(self, result: TaskResult | bytes) -> None:
        """Keep a result and show it; one that comes from another process is encoded already."""
        ended: _Ended
        if isinstance(result, bytes):
            line, ended = result, self._decode(result)
        else:
            line, ended = self._encode(result), result
        with self._lock:
            self._lines.append(line)
            self._ended.append(ended)
            drawn, seen = self._settled()
            self._judge(ended)
        self._tell(drawn, seen)

    def stop_for(self, error: BenchError) -> None:
        """Stop the intake of a run whose other tasks would fare no better; what is in flight goes on."""
        with self._lock:
            self._fail(error, self._stop.drain)

    def _is_over(self) -> bool:
        # After an error the stop is on its way, in a thread of its own.
        return self._stop.draining or self.error is not None

    def _arrival_ns(self, arrivals: Schedule) -> int:
        """Return when the next task arrives."""
        scheduled_ns = self._zero_ns + int(next(arrivals.times_s) * NS_PER_S)
        if arrivals.overload is not None:
            arrivals.overload.arrived((scheduled_ns - arrivals.origin_ns) / NS_PER_S)
        return scheduled_ns

    def _judge(self, ended: _Ended) -> None:
        """Stop the intake of a run that gets more than is answered, or whose tasks fail; what is in flight goes on."""
        overload, giving_up = self._overload, self._giving_up
        if overload is not None and overload.ended(ended.scheduled_s, ended.first_token_s, ended.ended_s):
            self._fail(RunError(OVERLOADED), self._stop.drain)
        if giving_up is not None:
            reason = giving_up.ended(ended.status, None if ended.error is None else ended.error.type)
            if reason is not None:
                self._fail(RunError(reason), self._stop.drain)
            if giving_up.is_idle:
                self._giving_up = None

    def _settled(self) -> tuple[int, list[_Ended]]:
        """Write now, or see to it that the turn's end does; return how many draws and which results can be told."""
        if self._at_turns_end is None:
            return self._written()
        if len(self._drawn) + len(self._lines) == 1:
            self._at_turns_end(self._keep)
        return 0, []

    def _keep(self) -> None:
        """Write what has come since the last time, and tell of it."""
        with self._lock:
            drawn, seen = self._written()
        self._tell(drawn, seen)

    def _written(self) -> tuple[int, list[_Ended]]:
        """Write all that waits, a record never before its task; return what `_settled` does."""
        drawn, self._drawn = self._drawn, []
        lines, self._lines = self._lines, []
        ended, self._ended = self._ended, []
        recorded = self._journal.recorded
        try:
            if drawn:
                self._journal.drew(*drawn)
        except BenchError as error:
            self._fail(error)
        try:
            if lines:
                self._journal.append(*lines)
        except BenchError as error:
            self._fail(error)
        return len(drawn), ended[: self._journal.recorded - recorded]

    def _tell(self, drawn: int, ended: list[_Ended]) -> None:
        for observer in self._observers:
            for each in ended:
                observer.recorded(each)
            for _ in range(drawn):
                observer.drawn()

    def _fail(self, error: BenchError, stop: Callable[[], None] | None = None) -> None:
        if self.error is None:
            self.error = error
            # Its callbacks may need the lock that is held here.
            threading.Thread(target=stop or self._stop.cancel, name="stopper").start()
