"""What a route's recent calls were like: statistics that forget."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from bench.policy.statistics import percentile

#: After so many seconds a call counts half: a minute is the unit in which providers measure.
HALF_LIFE_S: Final = 60.0

#: Older values say nothing about now.
MEMORY_S: Final = 300.0

#: How many values are kept: enough for a p95, and few enough to sort in some microseconds.
KEPT: Final = 128

#: Fewer values carry no p95: one of them would be it.
NEEDED: Final = 20

#: Percentiles are taken anew after so many further values.
FRESH: Final = 8


class Successes:
    """The share of calls that succeeded, where a call counts half after each `HALF_LIFE_S`."""

    __slots__ = ("_at_s", "_calls", "_failed")

    def __init__(self) -> None:
        self._at_s = 0.0
        self._calls = 0.0
        self._failed = 0.0

    def add(self, now_s: float, *, ok: bool) -> None:
        """Count a call that ended at `now_s`."""
        kept = math.exp2((self._at_s - now_s) / HALF_LIFE_S)
        self._calls = self._calls * kept + 1
        self._failed = self._failed * kept + (not ok)
        self._at_s = now_s

    def share(self) -> float | None:
        """Return the share, or None before the first call."""
        return 1 - self._failed / self._calls if self._calls else None

    def fear(self, now_s: float) -> float:
        """Return the share of failures to expect: one success is assumed beside the calls that still count.

        So a route that was never used, or not for long, is expected to succeed.
        """
        if not self._failed:
            return 0.0
        kept = math.exp2((self._at_s - now_s) / HALF_LIFE_S)
        return self._failed * kept / (self._calls * kept + 1)


class Recent:
    """The last values of one kind, with their percentiles."""

    __slots__ = ("_added", "_values", "_view", "_view_s", "_viewed")

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._added = 0
        self._view: list[float] = []
        self._viewed = 0
        self._view_s = 0.0

    def add(self, now_s: float, value: float) -> None:
        """Keep a value that was measured at `now_s`."""
        self._values.append((now_s, value))
        self._added += 1

    def percentile(self, now_s: float, share: float, needed: int = 1) -> float | None:
        """Return the value below which `share` of the recent ones lie, or None where fewer than `needed` are kept."""
        is_old = self._added - self._viewed >= FRESH or now_s - self._view_s > HALF_LIFE_S
        if is_old or (len(self._view) < NEEDED and self._added > self._viewed):
            oldest_s = now_s - MEMORY_S
            while self._values and self._values[0][0] < oldest_s:
                self._values.popleft()
            self._view = sorted(value for _, value in self._values)
            self._viewed, self._view_s = self._added, now_s
        return percentile(self._view, share) if len(self._view) >= max(needed, 1) else None
