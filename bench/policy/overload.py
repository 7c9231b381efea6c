"""Whether an open loop gets more than is answered, told while it runs, so that it can be ended (see `scaling`)."""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from typing import Final

from bench.policy.scaling import saturated

#: What a run says that was ended for it; the cell of an experiment is known by these words.
OVERLOADED: Final = (
    "overload: requests under way and the time to their first token both kept rising, so more arrives than is answered"
)

#: Parts into which the time so far falls; half as many of twice the length once they are full.
_PARTS: Final = 20

#: Length of a part at first, in seconds: the first look is after half a second of arrivals.
_FIRST_PART_S: Final = 0.025

#: Tasks in each part of those that a trend is told from.
_PART_TASKS: Final = 4

#: The time so far is so many times the shortest latency: filling up is then no more than one part in ten.
_LATENCIES: Final = 10

#: Looks one after the other that have to find the same: each is at twice the time of the one before.
_LOOKS: Final = 2


class Overload:
    """Tells from the arrivals and ends of tasks whether both series rise.

    Not for use from two threads at once. A look is taken each time that the arrivals that were answered have taken
    twice as long, so that there are few of them, and chance has few turns.
    """

    def __init__(self) -> None:
        self._arrived = array("d")
        self._ended = array("d")
        self._part_s = _FIRST_PART_S
        self._parts = [[0.0, 0.0, 0.0] for _ in range(_PARTS)]
        self._shortest_s = float("inf")
        self._looks = 0

    def __repr__(self) -> str:
        """Show how much was seen."""
        return f"<Overload arrived={len(self._arrived)} ended={len(self._ended)} looks={self._looks}>"

    def arrived(self, scheduled_s: float) -> None:
        """Note a task's arrival, whether its time has come or not; arrivals come in their order."""
        self._arrived.append(scheduled_s)

    def ended(self, scheduled_s: float, first_token_s: float | None, ended_s: float) -> bool:
        """Note a task's end, and tell whether more arrives than is answered.

        Args:
            scheduled_s: When it arrived, like the others an instant in seconds.
            first_token_s: When its first token came; None where none did.
            ended_s: When it ended.
        """
        insort(self._ended, ended_s)
        self._shortest_s = min(self._shortest_s, ended_s - scheduled_s)
        under_way = bisect_right(self._arrived, scheduled_s) - bisect_right(self._ended, scheduled_s)
        # Who got no token waited for one until the end.
        wait_s = (ended_s if first_token_s is None else first_token_s) - scheduled_s
        while (place := int((scheduled_s - self._arrived[0]) / self._part_s)) >= _PARTS:
            self._looks = self._looks + 1 if self._look() else 0
        part = self._parts[max(0, place)]
        part[0] += 1
        part[1] += under_way
        part[2] += wait_s
        return self._looks >= _LOOKS

    def _look(self) -> bool:
        """Make half as many parts of twice the length, and tell whether both series rise over them."""
        pairs = zip(self._parts[::2], self._parts[1::2], strict=True)
        whole = [[one + other for one, other in zip(*pair, strict=True)] for pair in pairs]
        long_enough = _PARTS * self._part_s >= _LATENCIES * self._shortest_s
        self._part_s *= 2
        self._parts = [*whole, *([0.0, 0.0, 0.0] for _ in range(_PARTS // 2))]
        if not long_enough or min(count for count, *_ in whole) < _PART_TASKS:
            return False
        in_flight, waits = (
            [(place * self._part_s, part[which] / part[0]) for place, part in enumerate(whole)] for which in (1, 2)
        )
        return saturated(in_flight, waits).saturated
