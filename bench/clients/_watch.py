"""The limits of a call on an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench.clock import NS_PER_S

if TYPE_CHECKING:
    from bench.clients._collect import Collector


class Watch:
    """Ends a call at its limit. Its timer looks at the limit when it runs out: no chunk costs a timer of its own.

    Args:
        collector: Knows the limit as things stand.
        scope: What to end; the call runs inside of it.
    """

    def __init__(self, collector: Collector, scope: asyncio.Timeout) -> None:
        self._collector = collector
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Watch, from inside of the scope.

        Raises:
            CallError: The limit has passed already.
        """
        if self._collector.limit()[0] <= time.perf_counter_ns():
            raise self._collector.timed_out()
        self._look()

    def end(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left_s = (self._collector.limit()[0] - time.perf_counter_ns()) / NS_PER_S
        if left_s > 0:
            self._timer = self._loop.call_later(min(left_s, self._collector.blind_s), self._look)
        else:
            self._scope.reschedule(self._loop.time())
