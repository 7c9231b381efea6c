"""When to send what: one heap of due times and one timer for all answers of a server.

A timer for each token would cost more than the token. The event loop's timers tick in milliseconds, so all that came
due since the last tick is sent at the next one: never early, and up to about a millisecond late.
"""

import asyncio
import heapq
import time
from typing import Final, Protocol

_NS_PER_MS: Final = 1_000_000
_MS_PER_S: Final = 1_000


class Timed(Protocol):
    """Something with an absolute schedule of its own."""

    def advance(self, now_ns: int) -> int | None:
        """Do all that is due at `now_ns` and return when the next thing is due; None when nothing is left."""


class Freeze:
    """Stops the whole server for a while: nothing is accepted, read or sent, as when its machine stands still."""

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s

    def advance(self, now_ns: int) -> None:
        """Block the event loop's thread."""
        del now_ns
        time.sleep(self._duration_s)


class Timeline:
    """Calls what is due, in the order of the due times. All times are `perf_counter_ns`; one event loop uses it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Timed]] = []
        self._added = 0
        self._timer: asyncio.Handle | None = None
        self._timer_ns = 0

    def __len__(self) -> int:
        """Count what is waiting."""
        return len(self._heap)

    def add(self, due_ns: int, timed: Timed) -> None:
        """Have `timed` advance once `due_ns` has come."""
        self._push(due_ns, timed)
        if self._timer is None or due_ns < self._timer_ns:
            self._arm()

    def _push(self, due_ns: int, timed: Timed) -> None:
        self._added += 1
        heapq.heappush(self._heap, (due_ns, self._added, timed))

    def _tick(self) -> None:
        self._timer = None
        heap = self._heap
        now_ns = until_ns = time.perf_counter_ns()
        # What comes due meanwhile is left to the next tick: requests are read between two ticks.
        try:
            while heap and heap[0][0] <= until_ns:
                timed = heapq.heappop(heap)[2]
                next_ns = timed.advance(now_ns)
                if next_ns is not None:
                    self._push(next_ns, timed)
                now_ns = time.perf_counter_ns()
        finally:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._heap:
            return
        self._timer_ns = self._heap[0][0]
        wait_ns = self._timer_ns - time.perf_counter_ns()
        if wait_ns <= 0:
            self._timer = self._loop.call_soon(self._tick)
            return
        # At least one millisecond: a wait of 0 would turn the loop into a spin, on a core that the client may need.
        self._timer = self._loop.call_later(-(-wait_ns // _NS_PER_MS) / _MS_PER_S, self._tick)
