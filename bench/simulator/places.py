"""The places of a server that works on so many requests at once: who finds none waits, in order of arrival."""

import time
from collections import OrderedDict
from collections.abc import Callable

from bench.simulator.exchange import Exchange
from bench.simulator.stats import Stats


class Places:
    """A fixed number of places and the queue for them. One event loop uses it."""

    def __init__(self, capacity: int, *, stats: Stats) -> None:
        """Make places, all free.

        Args:
            capacity: How many there are.
            stats: Is told how many wait.
        """
        self._free = capacity
        self._stats = stats
        # Who leaves the queue may stand anywhere in it; of a plain dictionary, the first would be slow to find.
        self._queue: OrderedDict[int, tuple[Exchange, Callable[[], None]]] = OrderedDict()
        self._is_giving = False

    def __repr__(self) -> str:
        """Show what is free and who waits."""
        return f"<Places {self._free} free, {len(self._queue)} waiting>"

    def take(self, exchange: Exchange, start: Callable[[], None]) -> None:
        """Give a request a place, at once or when its turn has come, and start work on it then."""
        self._queue[exchange.seq] = (exchange, start)
        self._give()

    def leave(self, exchange: Exchange) -> None:
        """Take back the place of a request that took one, or its turn if it still waits for it."""
        if self._queue.pop(exchange.seq, None) is None:
            self._free += 1
        self._give()

    def _give(self) -> None:
        """Give free places to those who wait."""
        # What is started may end at once, which leads here again: the loop that is under way gives its place on.
        if self._is_giving:
            return
        self._is_giving = True
        try:
            while self._free and self._queue:
                _, (exchange, start) = self._queue.popitem(last=False)
                self._free -= 1
                exchange.placed_ns = time.perf_counter_ns()
                start()
        finally:
            self._is_giving = False
        self._stats.waiting_now(len(self._queue))
