"""When a server that fails is left alone, and when it is tried again."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

#: Outcomes that are looked at for a share of failures, how many of them it takes, and the share that is too much.
LOOKED_AT: Final = 20
LOOKS_NEEDED: Final = 10
TOO_MANY: Final = 0.4

#: After so many successes in a row the next rest is a first one again.
TRUSTED_AFTER: Final = 20

#: Two to this power times any pause is beyond every cap.
MOST_DOUBLINGS: Final = 30


def growing_s(first_s: float, times: int, cap_s: float) -> float:
    """Return the `times`-th pause (from 1): each is twice the one before, up to the cap."""
    return float(min(cap_s, first_s * 2.0 ** min(times - 1, MOST_DOUBLINGS)))


class Breaker:
    """A circuit breaker: after failures a rest, then one call to try, then a longer rest or back to work.

    Outcomes of calls that were sent before the last rest began are not counted: they tell what is known.

    Args:
        failures: In a row, until a rest.
        first_s: The first rest.
        cap_s: The longest.
    """

    __slots__ = (
        "_cap_s", "_failed_s", "_first_s", "_looks", "_probe", "_rests", "_since", "_successes",
        "failures", "in_row", "until_s",
    )  # fmt: skip

    def __init__(self, *, failures: int, first_s: float, cap_s: float) -> None:
        self.failures = failures
        self._first_s = first_s
        self._cap_s = cap_s
        self._rests = 0
        self._successes = 0
        self._since = 0
        self._failed_s = -math.inf
        self._probe: int | None = None
        self._looks: deque[bool] = deque(maxlen=LOOKED_AT)
        self.in_row = 0
        self.until_s: float | None = None

    def ready_s(self) -> float:
        """Return from when on a call may go through: infinity while one that was let through has not come back."""
        if self.until_s is None:
            return -math.inf
        return self.until_s if self._probe is None else math.inf

    def recent_failures(self, now_s: float) -> int:
        """Return the failures in a row, or 0 where the last one is longer ago than the first rest would be."""
        return self.in_row if now_s - self._failed_s <= self._first_s else 0

    def granted(self, number: int) -> None:
        """Note that a call goes out; after a rest it is the one that tries."""
        if self.until_s is not None:
            self._probe = number

    def said_nothing(self, number: int) -> None:
        """Note an outcome that says nothing about the server: the next call may try."""
        if number == self._probe:
            self._probe = None

    def succeeded(self, number: int) -> bool:
        """Note a success; return whether it ends a rest."""
        if number < self._since:
            return False
        self.in_row = 0
        self._looks.append(True)
        self._successes += 1
        if self._successes >= TRUSTED_AFTER:
            self._rests = 0
        ends = self.until_s is not None
        self.until_s = self._probe = None
        return ends

    def failed(self, now_s: float, number: int, upcoming: int, *, has_others: bool = False) -> float | None:
        """Note a failure; return for how long the server rests, or None where it goes on.

        Args:
            now_s: Now.
            number: The call's.
            upcoming: The number that the next call will have.
            has_others: Whether others can do the work, so that failing often is enough for a rest.
        """
        if number < self._since:
            return None
        self.in_row += 1
        self._failed_s = now_s
        self._successes = 0
        self._looks.append(False)
        if self.until_s is None and self.in_row < self.failures and not (has_others and self._fails_often()):
            return None
        self._rests += 1
        rest_s = growing_s(self._first_s, self._rests, self._cap_s)
        self.until_s = now_s + rest_s
        self._probe = None
        self._since = upcoming
        self._looks.clear()
        return rest_s

    def _fails_often(self) -> bool:
        looks = self._looks
        return len(looks) >= LOOKS_NEEDED and looks.count(False) >= TOO_MANY * len(looks)
