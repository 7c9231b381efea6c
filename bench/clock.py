"""The clock contract: one monotonic clock for every duration, and ways to wait on it that a stop can cut short."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import heapq
import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.stop import StopSignal

NS_PER_S: Final = 1_000_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the wall clock's UTC time, for labels and for dates that a server sends, never for durations."""
    return datetime.now(UTC)


def utc_label(instant: datetime) -> str:
    """Return a UTC time as text, to the millisecond, as in `2026-01-31T08:15:00.123Z`."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_us(instant: datetime) -> int:
    """Return a UTC time in microseconds since 1970."""
    return (instant - _EPOCH) // _US


class Clock(Protocol):
    """Where durations come from; a test passes one whose time is virtual."""

    def now_ns(self) -> int:
        """Return the monotonic time in nanoseconds; callable from any thread."""

    def sleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait in this thread until `due_ns`; return False at once when `stop` begins to drain first."""

    async def asleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait on this event loop until `due_ns`; return False at once when `stop` begins to drain first."""


class MonotonicClock:
    """The machine's clock: `time.perf_counter_ns`, which processes of one machine share.

    Its waits are never short, and where the machine is idle some 0.1 ms long in threads and, on Linux, on event loops;
    elsewhere a wait on an event loop ends up to 2 ms late.
    """

    def __init__(self) -> None:
        self._alarm: _Alarm | None = None

    def now_ns(self) -> int:
        """Return the monotonic time in nanoseconds."""
        return time.perf_counter_ns()

    def sleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait in this thread until `due_ns`; return False at once when `stop` begins to drain first."""
        return not stop.wait_draining((due_ns - time.perf_counter_ns()) / NS_PER_S)

    async def asleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait on this event loop until `due_ns`; return False at once when `stop` begins to drain first."""
        loop = asyncio.get_running_loop()
        alarm = self._alarm
        if alarm is None or alarm.loop is not loop:
            alarm = self._alarm = _Alarm(loop)
        over: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(_end, over)

        with stop.watched(wake), alarm.set_for(due_ns, over):
            await over
        return not stop.draining


def _end(wait: asyncio.Future[None]) -> None:
    if not wait.done():
        wait.set_result(None)


class _Alarm:
    """Ends the waits of one event loop at absolute instants of `perf_counter_ns`, never early.

    The loop's own timers tick in milliseconds, and uvloop rounds to the nearest, which may be an early one. So one
    timer of the kernel serves all waits, for as long as there are any.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._added = 0
        self._waiting = 0
        self._timer_fd: int | None = None

    @contextlib.contextmanager
    def set_for(self, due_ns: int, wait: asyncio.Future[None]) -> Iterator[None]:
        """End `wait` at `due_ns`, unless the block ends before."""
        self._waiting += 1
        self._added += 1
        heapq.heappush(self._heap, (due_ns, self._added, wait))
        try:
            if self._heap[0][2] is wait:
                self._arm()
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._disarm()

    def _arm(self) -> None:
        due_ns = self._heap[0][0]
        if due_ns <= time.perf_counter_ns():
            self.loop.call_soon(self._ring)
            return
        if self._timer_fd is None:
            self._timer_fd = _open_timer()
            if self._timer_fd is not None:
                self.loop.add_reader(self._timer_fd, self._on_timer, self._timer_fd)
        if self._timer_fd is None:
            # Rounded up; where that is early all the same, the ring arms anew.
            self.loop.call_later((due_ns - time.perf_counter_ns()) / NS_PER_S + _TICK_S, self._ring)
        else:
            _set_timer(self._timer_fd, due_ns)

    def _on_timer(self, timer_fd: int) -> None:
        with contextlib.suppress(BlockingIOError):  # it was set anew meanwhile
            os.read(timer_fd, 8)
        self._ring()

    def _ring(self) -> None:
        now_ns = time.perf_counter_ns()
        # Waits that a stop ended stay in the heap until their time has come or nobody waits any more.
        while self._heap and (self._heap[0][0] <= now_ns or self._heap[0][2].done()):
            _end(heapq.heappop(self._heap)[2])
        if self._heap:
            self._arm()

    def _disarm(self) -> None:
        self._heap.clear()
        if self._timer_fd is not None:
            self.loop.remove_reader(self._timer_fd)
            os.close(self._timer_fd)
            self._timer_fd = None


class _Instant(ctypes.Structure):
    """C's `struct timespec`."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Times(ctypes.Structure):
    """C's `struct itimerspec`."""

    _fields_ = (("interval", _Instant), ("due", _Instant))


# Python itself has timerfd from 3.13 on.
_C: Final = ctypes.CDLL(None, use_errno=True)

#: TFD_NONBLOCK and TFD_CLOEXEC, which are those of open(2).
_TIMER_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC

#: TFD_TIMER_ABSTIME: the due time is an instant, not a duration.
_ABSOLUTE: Final = 1

#: One tick of an event loop's own timers.
_TICK_S: Final = 0.001


def _open_timer() -> int | None:
    """Return a descriptor that becomes readable at a set instant, or None where the system has no such thing."""
    if not hasattr(_C, "timerfd_create"):
        return None
    timer_fd: int = _C.timerfd_create(time.CLOCK_MONOTONIC, _TIMER_FLAGS)
    return None if timer_fd < 0 else timer_fd


def _set_timer(timer_fd: int, due_ns: int) -> None:
    times = _Times(_Instant(0, 0), _Instant(*divmod(due_ns, NS_PER_S)))
    _C.timerfd_settime(timer_fd, _ABSOLUTE, ctypes.byref(times), None)
