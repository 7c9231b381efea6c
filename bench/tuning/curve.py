"""Throughput against N as two lines that meet in the knee."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from bench.tuning.points import weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.tuning.points import Point

#: Nothing on a machine that does other things too is steadier than this.
_LEAST_SPREAD: Final = 0.02

#: Where nothing is known of the spread yet.
_USUAL_SPREAD: Final = 0.1

#: Throughput of a slot that is surely below this share of what lone requests give has left the first line ..
_PROPORTIONAL: Final = 0.9

#: .. and near the knee, within this share of it, a point is on neither line.
_NEAR: Final = 0.1

#: Which points are on which line is settled after two or three rounds.
_ROUNDS: Final = 6


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """X(N) = N / cycle up to the knee, and the capacity from there on.

    Attributes:
        cycle_s: What a slot takes for a request that waits for no other, in seconds.
        spread: Standard deviation of that, over its mean.
        capacity_per_s: Throughput that more in flight does not raise; None where it was not seen.
        capacity_samples: Requests that the capacity rests on.
    """

    cycle_s: float
    spread: float
    capacity_per_s: float | None = None
    capacity_samples: int = 0

    @property
    def knee(self) -> float | None:
        """Where the lines meet, by Little's law: N* = C L (Little 1961; the bounds are Denning and Buzen's, 1978)."""
        return None if self.capacity_per_s is None else self.capacity_per_s * self.cycle_s


def fit(points: Sequence[Point]) -> Curve | None:
    """Return the two lines through points in ascending order; None where nothing succeeded.

    Args:
        points: Those where a limit of the provider was reached are left out: a refused slot is not in flight.
    """
    usable = [point for point in points if point.throughput_per_s > 0 and not point.is_refused]
    if not usable:
        return None
    rising, level = _parted(usable)
    curve = _curve(rising, level)
    for _ in range(_ROUNDS):
        knee = curve.knee
        if knee is None:
            break
        rising = [point for point in usable if point.n <= (1 - _NEAR) * knee] or usable[:1]
        level = [point for point in usable if point.n >= (1 + _NEAR) * knee] or level
        curve = _curve(rising, level)
    return curve


def _parted(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """Part points in ascending order into those on the first line and those that surely left it."""
    rising: list[Point] = [points[0]]
    level: list[Point] = []
    for point in points[1:]:
        curve = _curve(rising, ())
        share = point.throughput_per_s / point.n * curve.cycle_s
        # How sure both are counts: the point, and what lone requests give.
        lone = curve.spread / math.sqrt(sum(each.samples for each in rising))
        half = math.hypot(point.half_width(curve.spread), 2 * lone)
        (level if share * (1 + half) < _PROPORTIONAL else rising).append(point)
    return rising, level


def _curve(rising: Sequence[Point], level: Sequence[Point]) -> Curve:
    spreads = [(point.spread**2, float(point.samples)) for point in rising if point.spread is not None]
    spread = math.sqrt(weighted(spreads)) if spreads else _USUAL_SPREAD
    return Curve(
        cycle_s=weighted([(point.n / point.throughput_per_s, point.samples) for point in rising]),
        spread=max(spread, _LEAST_SPREAD),
        capacity_per_s=weighted([(point.throughput_per_s, point.samples) for point in level]) if level else None,
        capacity_samples=sum(point.samples for point in level),
    )
