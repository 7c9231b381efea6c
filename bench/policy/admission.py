"""Who goes next among those that wait for a slot, and when somebody who was refused should come back; arithmetic."""

from __future__ import annotations

import bisect
import math
from collections import deque
from typing import Final

#: How many tasks tell how long one takes: enough to even out single ones, few enough to follow a change.
_REMEMBERED: Final = 32

#: How long a task is taken to last before any has ended: the shortest that can be said in whole seconds.
_UNKNOWN_S: Final = 1.0


class AgeingQueue:
    """Those that wait, in the order in which they go.

    One of class c that came at time t goes as if it had come, with class 0, c times `ageing_s` later: within a class
    the first comes first, for each `ageing_s` waited one counts as a class higher, and nobody waits for ever.

    Args:
        ageing_s: How long to wait to count as one class higher, in seconds, above 0.
    """

    def __init__(self, ageing_s: float) -> None:
        self._ageing_s = ageing_s
        self._line: list[tuple[float, int, str]] = []
        self._place_of: dict[str, tuple[float, int, str]] = {}
        self._added = 0

    def __repr__(self) -> str:
        """Show how many wait."""
        return f"<AgeingQueue {len(self)}>"

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._line)

    def add(self, item: str, *, priority: int, now_s: float) -> None:
        """Let one wait, of a class from 0 (goes first) on."""
        self._added += 1
        place = (now_s + priority * self._ageing_s, self._added, item)
        self._place_of[item] = place
        bisect.insort(self._line, place)

    def pop(self) -> str | None:
        """Take out who goes next; None where nobody waits."""
        if not self._line:
            return None
        item = self._line.pop(0)[2]
        del self._place_of[item]
        return item

    def remove(self, item: str) -> bool:
        """Take one out who does not wait any longer; return whether it did."""
        place = self._place_of.pop(item, None)
        if place is None:
            return False
        del self._line[bisect.bisect_left(self._line, place)]
        return True

    def ahead_of(self, item: str) -> int | None:
        """Return how many go before one that waits; None where it does not."""
        place = self._place_of.get(item)
        return None if place is None else bisect.bisect_left(self._line, place)


class Admission:
    """A bounded pool: so many slots, so many places to wait, and who goes next.

    Args:
        slots: How many are served at once, at least 1.
        queue_size: How many may wait beyond them.
        ageing_s: See `AgeingQueue`.
        longest_s: The longest time that somebody who is refused is sent away for, in seconds.

    Attributes:
        slots: As given.
        queue_size: As given.
        busy: How many are being served.
        rejected: How many were refused.
        timed_out: How many were given up because their time was over.
    """

    def __init__(self, *, slots: int, queue_size: int, ageing_s: float, longest_s: float) -> None:
        self.slots = slots
        self.queue_size = queue_size
        self._longest_s = longest_s
        self._queue = AgeingQueue(ageing_s)
        self.busy = 0
        self.rejected = 0
        self.timed_out = 0
        self._waits_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._services_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._next_free_s = -math.inf

    def __repr__(self) -> str:
        """Show how full it is."""
        return f"<Admission {self.busy}/{self.slots} busy {len(self._queue)}/{self.queue_size} waiting>"

    @property
    def has_room(self) -> bool:
        """Whether one more can be admitted; those who wait for a slot that is free take no place in the queue."""
        return self.busy + len(self._queue) < self.slots + self.queue_size

    @property
    def waiting(self) -> int:
        """How many wait for a slot that is not free."""
        return max(0, len(self._queue) - (self.slots - self.busy))

    @property
    def mean_wait_s(self) -> float | None:
        """How long the last ones waited; None before the first."""
        return _mean(self._waits_s)

    @property
    def mean_service_s(self) -> float | None:
        """How long the last ones were served; None before the first."""
        return _mean(self._services_s)

    def admit(self, item: str, *, priority: int, now_s: float) -> None:
        """Let one wait; whether there is room is asked before."""
        self._queue.add(item, priority=priority, now_s=now_s)

    def begin(self) -> str | None:
        """Give a slot to who goes next, and return it; None without a free slot, or where nobody waits."""
        item = self._queue.pop() if self.busy < self.slots else None
        self.busy += item is not None
        return item

    def end(self) -> None:
        """Take a slot back."""
        self.busy -= 1

    def withdraw(self, item: str) -> bool:
        """Let one wait no more; return whether it did."""
        return self._queue.remove(item)

    def position(self, item: str) -> int | None:
        """Return the place in the queue of one who waits, from 1, or 0 where a slot is free for it; None for others."""
        ahead = self._queue.ahead_of(item)
        return None if ahead is None else max(0, ahead + 1 - (self.slots - self.busy))

    def waited(self, wait_s: float) -> None:
        """Note how long somebody had waited who was served then."""
        self._waits_s.append(wait_s)

    def served(self, service_s: float) -> None:
        """Note how long somebody was served."""
        self._services_s.append(service_s)

    def refuse(self, now_s: float) -> int:
        """Count a refusal; return in how many whole seconds a place is expected, at least 1.

        A place comes free each time that somebody has been served. Those who are refused are sent to one such time
        after the other, or all of them would come back for the same place.
        """
        self.rejected += 1
        mean_s = self.mean_service_s
        each_s = (_UNKNOWN_S if mean_s is None else mean_s) / self.slots
        self._next_free_s = min(max(self._next_free_s, now_s) + each_s, now_s + self._longest_s)
        return max(1, math.ceil(self._next_free_s - now_s))


def _mean(values: deque[float]) -> float | None:
    return sum(values) / len(values) if values else None
