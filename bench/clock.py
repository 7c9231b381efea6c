"""The clock contract: one monotonic clock for every duration, and ways to wait on it that a stop can cut short."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from bench.stop import StopSignal

NS_PER_S: Final = 1_000_000_000


def utc_now() -> datetime:
    """Return the wall clock's UTC time, for labels and for dates that a server sends, never for durations."""
    return datetime.now(UTC)


def utc_label(instant: datetime) -> str:
    """Return a UTC time as text, to the millisecond, as in `2026-01-31T08:15:00.123Z`."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock(Protocol):
    """Where durations come from; a test passes one whose time is virtual."""

    def now_ns(self) -> int:
        """Return the monotonic time in nanoseconds; callable from any thread."""

    def sleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait in this thread until `due_ns`; return False at once when `stop` begins to drain first."""

    async def asleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait on this event loop until `due_ns`; return False at once when `stop` begins to drain first."""


class MonotonicClock:
    """The machine's clock: `time.perf_counter_ns`, which processes of one machine share."""

    def now_ns(self) -> int:
        """Return the monotonic time in nanoseconds."""
        return time.perf_counter_ns()

    def sleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait in this thread until `due_ns`; return False at once when `stop` begins to drain first."""
        return not stop.wait_draining((due_ns - time.perf_counter_ns()) / NS_PER_S)

    async def asleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Wait on this event loop until `due_ns`; return False at once when `stop` begins to drain first."""
        return not await stop.await_draining((due_ns - time.perf_counter_ns()) / NS_PER_S)
