"""The one place where tasks leave the workload and results reach the journal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from bench.clock import NS_PER_S
from bench.errors import BenchError
from bench.records import Glimpse
from bench.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.clock import Clock
    from bench.journal import Journal
    from bench.observers import Observer
    from bench.records import Task, TaskResult
    from bench.stop import StopSignal


class Ledger:
    """Hands out tasks and takes in results, for any number of threads; the first error stops the run and is kept.

    Args:
        tasks: The tasks, in order; drawn one at a time and never ahead.
        journal: Keeps each task before it is handed out and each result before it is shown.
        observers: Told of both.
        clock: Stamps when a slot asked.
        stop: Once it drains no task is handed out; cancelled here on an error.
        arrivals: Open loop: the time of each task, in seconds after `begin`; None where a task's time is that of the
            asking.
    """

    def __init__(
        self,
        tasks: Iterator[Task],
        journal: Journal,
        observers: Sequence[Observer],
        clock: Clock,
        stop: StopSignal,
        arrivals: Iterator[float] | None = None,
    ) -> None:
        self._tasks = tasks
        self._journal = journal
        self._observers = observers
        self._clock = clock
        self._stop = stop
        self._arrivals = arrivals
        self._zero_ns = clock.now_ns()
        self._lock = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Glimpse).decode
        self.error: BenchError | None = None

    def __repr__(self) -> str:
        """Show how far the journal got."""
        return f"<Ledger {self._journal!r} error={self.error!r}>"

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
                    scheduled_ns = self._zero_ns + int(next(self._arrivals) * NS_PER_S)
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
        if self._observers:
            seen = self._decode(result) if isinstance(result, bytes) else result
            for observer in self._observers:
                observer.recorded(seen)

    def _fail(self, error: BenchError) -> None:
        if self.error is None:
            self.error = error
            # Its callbacks may need the lock that is held here.
            threading.Thread(target=self._stop.cancel, name="stopper").start()
