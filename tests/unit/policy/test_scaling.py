"""The knee and overload, on curves and queues whose truth is known."""

from __future__ import annotations

import heapq
import math
import random
from itertools import takewhile
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.arrivals import constant, poisson
from bench.policy.scaling import LoadPoint, knee, saturated

DOUBLED: Final = (1, 2, 4, 8, 16, 32, 64, 128)


def points(throughputs: dict[int, float], spread: float = 0.02) -> list[LoadPoint]:
    """Return points whose intervals reach `spread` of the throughput to either side."""
    return [
        LoadPoint(n=n, throughput_per_s=x, low_per_s=x * (1 - spread), high_per_s=x * (1 + spread), latency_p95_s=n / x)
        for n, x in throughputs.items()
    ]


def test_r48_a_saturating_curve_has_its_knee() -> None:
    """The knee is the smallest N that reaches 95 % of the best as far as its interval tells, with its p95."""
    found = knee(points({n: 100 * min(n, 20) for n in DOUBLED}))
    assert (found.n, found.n_high, found.best_per_s, found.reason) == (32, 32, 2000, "")
    assert (found.throughput_per_s, found.latency_p95_s) == (2000, 32 / 2000)


def test_r48_wide_intervals_give_a_wide_knee() -> None:
    """Where intervals are wide the knee may be earlier than where it is sure."""
    found = knee(points({1: 100, 2: 200, 4: 370, 8: 410, 16: 420, 32: 415}, spread=0.06))
    assert (found.n, found.n_high) == (8, None)
    assert knee(points({1: 100, 2: 200, 4: 380, 8: 410, 16: 420, 32: 415}, spread=0.06)).n == 4


@pytest.mark.parametrize("count", [2, 3, 8])
def test_r48_a_straight_line_has_no_knee(count: int) -> None:
    """As long as throughput rises with N the knee is beyond the largest N, and none is named."""
    found = knee(points({n: 100.0 * n for n in DOUBLED[:count]}))
    assert (found.n, found.n_high, found.throughput_per_s, found.best_per_s) == (
        None,
        None,
        None,
        100 * 2 ** (count - 1),
    )
    assert found.reason == f"knee not reached: throughput still rises at N = {2 ** (count - 1)}"


def test_r48_wide_intervals_do_not_hide_a_rise() -> None:
    """An interval that happens to reach 95 % of the best is no knee while the last step still brings a fifth."""
    found = knee(
        [
            LoadPoint(n=64, throughput_per_s=100, low_per_s=80, high_per_s=120),
            LoadPoint(n=128, throughput_per_s=120, low_per_s=118, high_per_s=122),
        ]
    )
    assert found.n is None


def test_r48_a_falling_curve_has_its_knee_before_the_fall() -> None:
    """Where throughput falls again the knee is on the way up, in whatever order the points come."""
    curve = points({1: 100, 2: 190, 4: 300, 8: 290, 16: 150})
    assert knee(curve).n == knee(curve[::-1]).n == 4


def test_r48_too_few_points_have_no_knee() -> None:
    """One N shows no rise and no end of it."""
    assert knee([]).best_per_s is None
    assert knee(points({8: 100})).reason == "knee not reached: 1 of the two N or more that a knee takes"
    with pytest.raises(ValueError, match="one point for each N"):
        knee([*points({8: 100}), *points({8: 101})])


@given(st.dictionaries(st.integers(1, 1000), st.floats(1, 1e5), min_size=2, max_size=10), st.floats(0, 0.3))
def test_r48_a_knee_is_one_of_the_points(throughputs: dict[int, float], spread: float) -> None:
    """A knee is an N that was run, no N before it reaches 95 % of the best, and the sure one is not before it."""
    found = knee(points(throughputs, spread))
    if found.n is None:
        assert found.reason
        return
    bound = 0.95 * max(throughputs.values())
    assert throughputs[found.n] * (1 + spread) >= bound
    assert all(x * (1 + spread) < bound for n, x in throughputs.items() if n < found.n)
    assert found.n_high is None or found.n_high >= found.n


def queue(rate_per_s: float, servers: int, seed: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Run 60 s of Poisson arrivals against servers of 1 s mean; return what is in flight and times to first token."""
    rng = random.Random(seed)
    free, ends, ttft, in_flight = [0.0] * servers, [0.0], [], []
    for arrival_s in takewhile(lambda instant: instant < 60, poisson(rate_per_s, rng)):
        start_s = max(arrival_s, heapq.heappop(free))
        end_s = start_s + rng.expovariate(1.0)
        heapq.heappush(free, end_s)
        ttft.append((arrival_s, start_s - arrival_s + 0.1 + 0.02 * rng.random()))
        ends = [other for other in ends if other > arrival_s] + [end_s]
        in_flight.append((arrival_s, float(len(ends))))
    return in_flight, ttft


def test_r49_overload_is_found() -> None:
    """A queue that gets a third more than it can serve is marked within a minute, nearly always."""
    found = [saturated(*queue(27, 20, seed)).saturated for seed in range(50)]
    assert sum(found) >= 48


def test_r49_load_that_is_served_is_not_overload() -> None:
    """A queue at 70 % of what it can serve is hardly ever marked, though it has its waves and fills up at first."""
    found = [saturated(*queue(14, 20, seed)).saturated for seed in range(100)]
    assert sum(found) <= 2


def test_r49_both_have_to_rise() -> None:
    """Neither more in flight alone nor slower answers alone are overload, and a fall of both is none."""
    times_s = list(takewhile(lambda instant: instant <= 30, constant(10)))
    rng = random.Random(5)
    flat = [(time_s, 10 + rng.gauss(0, 1)) for time_s in times_s]
    rising = [(time_s, 10 + time_s + rng.gauss(0, 1)) for time_s in times_s]
    falling = [(time_s, 50 - time_s + rng.gauss(0, 1)) for time_s in times_s]
    assert saturated(rising, rising).saturated
    assert not any(saturated(*both).saturated for both in ((flat, rising), (rising, flat), (falling, falling)))
    trend = saturated(rising, flat).in_flight
    assert trend is not None
    assert trend.slope_per_s == pytest.approx(1, abs=0.05)
    assert trend.growth == pytest.approx(30 / 25, abs=0.1)


def test_r49_a_rise_has_to_be_large_and_beyond_chance() -> None:
    """A queue that settles a little higher is not overload, however sure that is, nor is one burst at the end."""
    settling = [(float(time_s), 10 + time_s / 20 + 0.01 * (time_s % 2)) for time_s in range(60)]
    found = saturated(settling, settling)
    assert found.in_flight is not None
    assert found.in_flight.p_value < 0.001
    assert not found.saturated
    burst = [(float(time_s), 100.0 if time_s >= 54 else 10.0) for time_s in range(60)]
    found = saturated(burst, burst)
    assert found.in_flight is not None
    assert found.in_flight.growth > 1
    assert not found.saturated


def test_r49_short_series_tell_nothing() -> None:
    """A series without values in every tenth of its time has no trend, and marks nothing."""
    short = [(float(instant), float(instant)) for instant in range(5)]
    for series in ([], [(1.0, 2.0)], [(1.0, 2.0)] * 20, short):
        found = saturated(series, series)
        assert (found.saturated, found.in_flight) == (False, None)
    exact = saturated(line := [(float(i), float(i)) for i in range(100)], line)
    assert exact.saturated
    assert exact.in_flight is not None
    assert exact.in_flight.p_value == pytest.approx(0, abs=1e-9)
    assert math.isfinite(exact.in_flight.growth)
    assert b"NaN" not in msgspec.json.encode(exact)
