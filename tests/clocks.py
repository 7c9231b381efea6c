"""A clock for tests whose time is virtual: waiting takes no time, and what is planned happens on the way."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stop import StopSignal

NS_PER_S: Final = 1_000_000_000

#: An arbitrary present, not 0, as with the machine's own clock.
PRESENT_NS: Final = 5_000 * NS_PER_S


class VirtualClock:
    """Time that stands still until somebody waits; a `bench.clock.Clock`.

    What was planned for an instant is done when a wait reaches it, in the thread that waits.
    """

    def __init__(self) -> None:
        self._now_ns = PRESENT_NS
        self._planned: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        """Show the seconds that passed."""
        return f"<VirtualClock +{(self._now_ns - PRESENT_NS) / NS_PER_S:g} s>"

    def now_ns(self) -> int:
        """Return the virtual time in nanoseconds."""
        return self._now_ns

    def plan(self, after_s: float, action: Callable[[], None]) -> None:
        """Have `action` done `after_s` seconds from now."""
        heapq.heappush(self._planned, (self._now_ns + round(after_s * NS_PER_S), next(self._numbers), action))

    def advance_to(self, due_ns: int, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Move to `due_ns`, doing what is planned on the way; stay where `interrupted` first holds and return False."""
        while not interrupted():
            if not self._planned or self._planned[0][0] > due_ns:
                self._now_ns = max(self._now_ns, due_ns)
                return True
            planned_ns, _, action = heapq.heappop(self._planned)
            self._now_ns = max(self._now_ns, planned_ns)
            action()
        return False

    def sleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Move to `due_ns`; return False once `stop` drains first."""
        return self.advance_to(due_ns, lambda: stop.draining)

    async def asleep_until(self, due_ns: int, stop: StopSignal) -> bool:
        """Move to `due_ns`; return False once `stop` drains first, and let the loop deliver a cancellation."""
        whole = self.advance_to(due_ns, lambda: stop.draining)
        await asyncio.sleep(0)
        return whole
