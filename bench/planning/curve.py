"""How long a task keeps its slot at an N, between and beyond the N that were measured; and where that is not told.

With N requests in flight throughput is X(N) = N / R(N) where a task keeps its slot for R(N) (Little's law: Little, "A
Proof for the Queuing Formula L = lambda W", 1961). Of a closed system two things are known without a model of it. R
does not fall and X does not fall with N, so that between two measured N a task takes no less time than at the smaller
and throughput is no more than at the larger: the asymptotic bounds (Denning and Buzen, "The Operational Analysis of
Queueing Network Models", 1978). And R is convex: between two N it lies below the line through both, beyond the last
above that line. Where these bounds lie close together they are the answer, and where they do not a run has to tell.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

#: An answer is given where the bounds are no further apart than this: their middle is then within half of it.
_APART: Final = 0.10

#: How far beyond the largest N they may be as far apart as they are: the interval has both.
BEYOND: Final = 1.25

#: Measured rates vary by some percent: what is to be believed has to be seen with this much to spare.
_CLEARLY: Final = 1.05


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a task keeps its slot at one N, mean in seconds."""

    n: int
    hold_s: float

    @property
    def rate_per_s(self) -> float:
        """Tasks a second that end."""
        return self.n / self.hold_s


class Between(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a task keeps its slot at an N.

    Attributes:
        low_s: At least; `high_s` is the most. They are equal where it was measured.
        near: The measured N whose tasks stand for it.
    """

    low_s: float
    high_s: float
    near: int

    @property
    def hold_s(self) -> float:
        """The middle, by ratio."""
        return math.sqrt(self.low_s * self.high_s)


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """That the measurements do not tell, why, and the N at which a run would."""

    reason: str
    settle_n: tuple[int, ...]


def at(levels: Sequence[Level], n: int) -> Between:
    """Return the bounds at any N, however far apart.

    Args:
        levels: At least one, in ascending order of N.
        n: Requests in flight.
    """
    first, last = levels[0], levels[-1]
    if n <= first.n:
        return Between(low_s=first.hold_s * n / first.n, high_s=first.hold_s, near=first.n)
    if n == last.n:
        return Between(low_s=last.hold_s, high_s=last.hold_s, near=n)
    if n > last.n:
        most_s = n / last.rate_per_s
        on_s = _line_s(levels[-2], last, n) if len(levels) > 1 else last.hold_s
        return Between(low_s=min(most_s, max(last.hold_s, on_s)), high_s=most_s, near=last.n)
    below, above = next((a, b) for a, b in pairwise(levels) if a.n <= n < b.n)
    line_s = _line_s(below, above, n)
    # Noise can put the larger N's times below the smaller's: then the line is all there is.
    low_s = min(line_s, max(below.hold_s, n / above.rate_per_s))
    return Between(low_s=low_s, high_s=line_s, near=below.n if n * n < below.n * above.n else above.n)


def told(levels: Sequence[Level], n: int) -> Between | Untold:
    """Return for how long a task keeps its slot at N, or that this is not told by what was measured.

    Args:
        levels: In ascending order of N; none are too few.
        n: Requests in flight.
    """
    if not levels:
        return Untold(reason="no run measured the endpoint by a client that had room", settle_n=(n,))
    first, last = levels[0], levels[-1]
    found = at(levels, n)
    if found.high_s <= (1 + _APART) * found.low_s or last.n < n <= BEYOND * last.n:
        return found
    if n < first.n:
        return Untold(reason=f"below N = {first.n:,}, the smallest that was measured", settle_n=(n,))
    if n < last.n:
        return Untold(reason="between measured N where tasks begin to take longer", settle_n=(n,))
    return Untold(
        reason=f"beyond {BEYOND:g} x N = {last.n:,}, the largest that was measured, where throughput still rises",
        settle_n=(n,),
    )


def enough(levels: Sequence[Level], rate_per_s: float, most: float) -> Level | None:
    """Return the smallest measured N, of at most `most`, that was seen to do clearly more than a rate; None if none."""
    return next((level for level in levels if level.n <= most and level.rate_per_s > _CLEARLY * rate_per_s), None)


def _line_s(one: Level, other: Level, n: int) -> float:
    """Return what the line through two levels has at N."""
    return one.hold_s + (n - one.n) / (other.n - one.n) * (other.hold_s - one.hold_s)
