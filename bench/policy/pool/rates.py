"""How much a quota lets through in a minute, evenly spread and never more in any minute at the server."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

#: What rates are counted over.
MINUTE_S: Final = 60.0

#: How much of a minute's amount may be spent at once.
BURST_SHARE: Final = 0.01

#: A caller that comes late by this share of a step loses nothing: the next step is that much shorter.
LATE_SHARE: Final = 0.1


class Charge:
    """An amount that was spent at one moment; it counts until the minute after it is over."""

    __slots__ = ("amount", "at_s", "counts")

    def __init__(self, at_s: float, amount: float) -> None:
        self.at_s = at_s
        self.amount = amount
        self.counts = True


class Meter:
    """Spending of one kind (calls, tokens) against a bound a minute.

    Two rules hold at once. Spacing: each amount moves the moment at which the next one is due (the generic cell rate
    algorithm of ITU-T I.371), with a burst of `BURST_SHARE`. A window: in no stretch of a minute plus `jitter_s` more
    than the bound, so that the bound also holds at a server that calls reach up to `jitter_s` closer together.

    Spending is remembered without a bound as well: one that is learnt later counts what was spent before.

    Args:
        per_min: The bound, or infinity.
        jitter_s: By how much the time between two calls may shrink on their way.
    """

    __slots__ = ("_due_s", "_jitter_s", "_late_s", "_spent", "_step_s", "_window", "_window_s", "is_bound", "per_min")

    def __init__(self, per_min: float, jitter_s: float) -> None:
        self._jitter_s = jitter_s
        self._window: deque[Charge] = deque()
        self._window_s = MINUTE_S + jitter_s
        self._spent = 0.0
        self._due_s = -math.inf
        self.bound(per_min)

    def bound(self, per_min: float) -> None:
        """Keep to another bound from now on."""
        self.per_min = per_min
        self.is_bound = not math.isinf(per_min)
        self._step_s = self._window_s / per_min
        burst = max(LATE_SHARE, BURST_SHARE * per_min - 1) if self.is_bound else 0.0
        self._late_s = burst * self._step_s

    def ready_s(self, now_s: float, amount: float) -> float:
        """Return from when on `amount` may be spent; not after `now_s` where it may be now."""
        if not self.is_bound:
            return -math.inf
        self._forget(now_s)
        spaced_s = self._due_s - self._late_s
        # More than the bound at once can only be spent alone.
        over = self._spent + min(amount, self.per_min) - self.per_min
        if over <= 0:
            return spaced_s
        for charge in self._window:
            over -= charge.amount
            if over <= 0:
                return max(spaced_s, charge.at_s + self._window_s)
        return spaced_s

    def spend(self, now_s: float, amount: float) -> Charge:
        """Count `amount` as spent now."""
        self._forget(now_s)
        charge = Charge(now_s, amount)
        self._window.append(charge)
        self._spent += amount
        self._due_s = max(self._due_s, now_s) + amount * self._step_s
        return charge

    def correct(self, charge: Charge, amount: float) -> None:
        """Put what was really spent in the place of what was expected."""
        more = amount - charge.amount
        charge.amount = amount
        self._due_s += more * self._step_s
        if charge.counts:
            self._spent += more

    def hold(self, now_s: float, reset_s: float) -> None:
        """Spend nothing for `reset_s` or until the next one is due, whichever is shorter: the server has nothing left.

        Servers mean by it the time until all is whole again, which is later than the next call.
        """
        self._due_s = max(self._due_s, now_s + min(reset_s, self._step_s) + self._late_s)

    def _forget(self, now_s: float) -> None:
        oldest_s = now_s - self._window_s
        window = self._window
        while window and window[0].at_s <= oldest_s:
            charge = window.popleft()
            charge.counts = False
            self._spent -= charge.amount
        if not window:
            # What rounding left over.
            self._spent = 0.0
