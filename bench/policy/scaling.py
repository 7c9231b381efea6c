"""What throughput does as N grows: the knee, and overload in an open loop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from bench.policy.student import two_sided_p

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The knee is where this share of the best throughput is reached.
_SHARE_OF_BEST: Final = 0.95

#: Batches into which a series is averaged: requests in flight at neighbouring instants are much the same ones, and
#: taken for independent they would make any wave a trend.
_BATCHES: Final = 10

#: A trend in one of a hundred series without one, and ..
_TREND_P: Final = 0.01

#: .. by at least this share of the series' mean from its start to its end: a queue that settles rises a little.
_GROWTH: Final = 0.5


class LoadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one N.

    Attributes:
        n: Requests in flight at once.
        throughput_per_s: Successes a second, with the ends of its interval over blocks.
        latency_p95_s: None where the samples do not carry it.
    """

    n: int
    throughput_per_s: float
    low_per_s: float
    high_per_s: float
    latency_p95_s: float | None = None


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest N that does as well as any, as far as the intervals tell.

    Attributes:
        n: The smallest N whose interval holds 95 % of the best throughput; None if the knee was not reached.
        n_high: The smallest N whose whole interval lies above that; None if there is none.
        throughput_per_s: At `n`; beside it the p95 latency.
        best_per_s: The best throughput seen.
        reason: Why there is no knee; empty where there is one.
    """

    n: int | None
    n_high: int | None
    throughput_per_s: float | None
    latency_p95_s: float | None
    best_per_s: float | None
    reason: str = ""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line through a series: slope a second, its two-sided p value, growth over the series by its mean."""

    slope_per_s: float
    p_value: float
    growth: float


class Saturation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an open loop sends more than the server answers; a trend is None where the series is too short for it."""

    saturated: bool
    in_flight: Trend | None
    ttft: Trend | None


def knee(points: Sequence[LoadPoint]) -> Knee:
    """Return the knee of throughput over N, or that it was not reached because the last N still rises.

    It rises if the largest N is the best, its interval lies above the N before it, and that one is below 95 % of it.

    Args:
        points: One for each N, in any order.

    Raises:
        ValueError: Two points of one N.
    """
    ordered = sorted(points, key=lambda point: point.n)
    if len({point.n for point in ordered}) < len(ordered):
        msg = f"a knee takes one point for each N, got {[point.n for point in ordered]}"
        raise ValueError(msg)
    if len(ordered) < 2:  # noqa: PLR2004 - a rise has two ends
        return _no_knee(ordered, f"{len(ordered)} of the two N or more that a knee takes")
    best = max(ordered, key=lambda point: point.throughput_per_s)
    bound_per_s = _SHARE_OF_BEST * best.throughput_per_s
    before, last = ordered[-2:]
    rises = before.throughput_per_s < min(bound_per_s, last.low_per_s)
    if best is last and rises:
        return _no_knee(ordered, f"throughput still rises at N = {last.n}")
    at = next(point for point in ordered if point.high_per_s >= bound_per_s)
    return Knee(
        n=at.n,
        n_high=next((point.n for point in ordered if point.low_per_s >= bound_per_s), None),
        throughput_per_s=at.throughput_per_s,
        latency_p95_s=at.latency_p95_s,
        best_per_s=best.throughput_per_s,
    )


def saturated(
    in_flight_series: Sequence[tuple[float, float]], ttft_series: Sequence[tuple[float, float]]
) -> Saturation:
    """Tell whether an open loop is past what the server answers: in flight and time to first token both keep rising.

    A series rises if a line through the means of ten equal parts of its time has a slope above 0 that chance gives in
    less than one of a hundred series, and grows by half of the mean or more.

    Args:
        in_flight_series: Pairs of instant in seconds and requests in flight, in order.
        ttft_series: Pairs of instant in seconds and time to first token in seconds, in order.
    """
    in_flight, ttft = _trend(in_flight_series), _trend(ttft_series)
    return Saturation(saturated=_rises(in_flight) and _rises(ttft), in_flight=in_flight, ttft=ttft)


def _no_knee(ordered: Sequence[LoadPoint], why: str) -> Knee:
    """Return the best that was seen, and that it is no knee."""
    best_per_s = max((point.throughput_per_s for point in ordered), default=None)
    return Knee(
        n=None,
        n_high=None,
        throughput_per_s=None,
        latency_p95_s=None,
        best_per_s=best_per_s,
        reason=f"knee not reached: {why}",
    )


def _rises(trend: Trend | None) -> bool:
    """Tell whether a trend is upward, beyond chance, and large enough to matter."""
    return trend is not None and trend.slope_per_s > 0 and trend.p_value < _TREND_P and trend.growth >= _GROWTH


def _trend(series: Sequence[tuple[float, float]]) -> Trend | None:
    """Return the least-squares line through the means of equal parts of a series; None if a part has no value."""
    if not series:
        return None
    start_s, length_s = series[0][0], series[-1][0] - series[0][0]
    if not length_s > 0:
        return None
    parts: list[list[float]] = [[] for _ in range(_BATCHES)]
    for time_s, value in series:
        parts[min(int((time_s - start_s) / length_s * _BATCHES), _BATCHES - 1)].append(value)
    if not all(parts):
        return None
    means = [math.fsum(part) / len(part) for part in parts]
    middle, mean = (_BATCHES - 1) / 2, math.fsum(means) / _BATCHES
    spread = math.fsum((place - middle) ** 2 for place in range(_BATCHES))
    slope = math.fsum((place - middle) * (value - mean) for place, value in enumerate(means)) / spread
    left = math.fsum((value - mean - slope * (place - middle)) ** 2 for place, value in enumerate(means))
    error = math.sqrt(left / (_BATCHES - 2) / spread)
    return Trend(
        slope_per_s=slope * _BATCHES / length_s,
        p_value=two_sided_p(slope / error, _BATCHES - 2) if error > 0 else float(slope == 0),
        growth=slope * _BATCHES / mean if mean > 0 else 0.0,
    )
