"""How many calls a server takes at once: a limit that follows what it accepts and what it refuses."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

#: After a refusal the limit is this share of what it was.
CUT: Final = 0.8

#: What it grows by in a round, at least 1.
GROWTH: Final = 0.05

#: A limit that is not used says nothing about a higher one.
USED: Final = 0.8

#: Shortest time from one cut to the next, where the median call is shorter: the effect must be seen first.
CUT_PAUSE_S: Final = 2.0

#: Most clean rounds just below a limit that was refused, before it is tried again.
LONGEST_TRUCE: Final = 8


class Step(NamedTuple):
    """The limit before and after, and why it is another."""

    before: int
    after: int
    reason: str


class AdaptiveLimit:
    """A limit of calls under way.

    It doubles in each clean round until the first refusal; then each refusal cuts it to `CUT`, at most once in
    max(median latency, `CUT_PAUSE_S`), and each clean round adds max(1, `GROWTH`). A round is as many successes as the
    limit; it is clean without a refusal, and counts if `USED` of the limit was under way. A limit that was refused is
    approached, not jumped over, and tried again after 1, 2, 4, up to `LONGEST_TRUCE` clean rounds just below it.

    Until the limit may be cut again it is held: no more calls go out than were under way beside one that was refused.
    So a server that takes far less than the limit refuses a call once, and not as often as it is asked.

    Args:
        start: Where it begins.
        floor: Its lowest value; with that of the ceiling it never moves, and is held all the same.
        ceiling: Its highest.
    """

    __slots__ = (
        "_ceiling", "_clean", "_floor", "_held", "_held_until_s", "_is_doubling", "_peak", "_refused", "_round",
        "_since", "_truce", "limit",
    )  # fmt: skip

    def __init__(self, *, start: int, floor: int, ceiling: int) -> None:
        self._ceiling = ceiling
        self._floor = min(floor, ceiling)
        self.limit = max(self._floor, min(start, ceiling))
        self._is_doubling = True
        self._refused: int | None = None
        self._truce = 1
        self._clean = 0
        self._round = 0
        self._peak = 0
        self._since = 0
        self._held = self.limit
        self._held_until_s = -math.inf

    def free_s(self, in_flight: int) -> float:
        """Return from when on one more may be under way; infinity where the return of another has to come first."""
        if in_flight >= self.limit:
            return math.inf
        return self._held_until_s if in_flight >= self._held else -math.inf

    def began(self, in_flight: int) -> None:
        """Note how many calls are under way with the one that begins."""
        self._peak = max(self._peak, in_flight)

    def accepted(self, now_s: float, number: int, in_flight: int) -> Step | None:
        """Note a success; calls from before the last cut are no part of a round.

        Args:
            now_s: Now.
            number: The call's.
            in_flight: Calls under way without it.
        """
        if number < self._since:
            return None
        self._round += 1
        if self._round < self.limit:
            return None
        is_held = now_s < self._held_until_s and self.limit > self._held
        is_used = self._peak >= USED * self.limit and not is_held
        self._round = 0
        self._peak = in_flight
        return self._grow() if is_used else None

    def refused(
        self, now_s: float, number: int, upcoming: int, *, in_flight: int, median_s: float | None = None
    ) -> Step | None:
        """Note a 429; calls from before the last cut cut nothing.

        Args:
            now_s: Now.
            number: The call's.
            upcoming: The number that the next call will have.
            in_flight: Calls under way without it.
            median_s: Median latency of recent successes.
        """
        is_news = number >= self._since
        if is_news:
            self._is_doubling = False
            self._round = self._clean = 0
        if now_s < self._held_until_s:
            self._held = min(self._held, max(1, in_flight))
            return None
        if not is_news:
            return None
        self._held = max(1, in_flight)
        self._held_until_s = now_s + max(median_s or 0.0, CUT_PAUSE_S)
        self._since = upcoming
        return self._cut()

    def _cut(self) -> Step | None:
        before = self.limit
        if before <= self._floor:
            return None
        is_known = self._refused is not None and before >= self._refused
        self._truce = min(2 * self._truce, LONGEST_TRUCE) if is_known else 1
        self._refused = before
        self.limit = max(self._floor, min(before - 1, round(CUT * before)))
        return Step(before, self.limit, f"the server refused a call with {before} allowed at once (429)")

    def _grow(self) -> Step | None:
        before = self.limit
        after = 2 * before if self._is_doubling else before + max(1, int(GROWTH * before))
        refused = self._refused
        if refused is not None and before >= refused:
            # What was refused is accepted now: the server's limit has moved.
            self._refused, self._truce = None, 1
        elif refused is not None and before == refused - 1:
            self._clean += 1
            if self._clean < self._truce:
                return None
            self._clean = 0
            after = refused
        elif refused is not None:
            after = min(after, refused - 1)
        self.limit = min(after, self._ceiling)
        if self.limit == before:
            return None
        return Step(before, self.limit, f"{before} calls in a row were accepted, and the limit was used")
