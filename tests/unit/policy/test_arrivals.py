"""Arrivals of an open loop: instants that never go back, at the rate that was asked for."""

from __future__ import annotations

import math
import random
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import WorkloadError
from bench.policy.arrivals import constant, parse_trace, poisson, replay

rates = st.floats(0.01, 1e5)
instants = st.lists(st.floats(-1e6, 1e10), min_size=1, max_size=50).map(sorted)


@given(rates, st.integers(0, 2000))
def test_r02_constant_arrivals_are_at_equal_distances(rate_per_s: float, number: int) -> None:
    """The n-th arrival is at n / rate, whatever came before it: rounding does not add up."""
    arrivals = list(islice(constant(rate_per_s), number + 1))
    assert arrivals[0] == 0
    assert arrivals[-1] == number / rate_per_s


@given(rates, st.integers(0, 2**32))
def test_r02_poisson_arrivals_are_seeded_and_in_order(rate_per_s: float, seed: int) -> None:
    """The same seed gives the same arrivals, none before 0 and none before the one in front of it."""
    arrivals = list(islice(poisson(rate_per_s, random.Random(seed)), 100))
    assert arrivals == list(islice(poisson(rate_per_s, random.Random(seed)), 100))
    assert arrivals[0] >= 0
    assert all(earlier <= later for earlier, later in pairwise(arrivals))


def test_r02_poisson_gaps_are_exponential() -> None:
    """Gaps have the mean of the rate, a spread as large as that, and the median of an exponential distribution."""
    arrivals = [0.0, *islice(poisson(50.0, random.Random(3)), 20_000)]
    gaps = sorted(later - earlier for earlier, later in pairwise(arrivals))
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.02, rel=0.03)
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.05)
    assert gaps[len(gaps) // 2] == pytest.approx(0.02 * math.log(2), rel=0.05)


@given(instants)
def test_r02_a_replay_keeps_the_gaps_of_its_trace(times_s: list[float]) -> None:
    """A replay starts at 0, whenever its trace did, and has every arrival of it at its distance from the first."""
    assert list(replay(times_s)) == [time_s - times_s[0] for time_s in times_s]


@pytest.mark.parametrize("rate_per_s", [0.0, -1.0, math.inf, math.nan])
def test_impossible_rates_are_refused_at_once(rate_per_s: float) -> None:
    """A rate at which nothing arrives, or everything at once, is refused before the first arrival is asked for."""
    with pytest.raises(ValueError, match="above 0, got"):
        constant(rate_per_s)
    with pytest.raises(ValueError, match="above 0, got"):
        poisson(rate_per_s, random.Random(1))


def test_a_replay_that_goes_back_is_refused() -> None:
    """A trace that is out of order or holds what is no instant is refused before its first arrival."""
    with pytest.raises(ValueError, match=r"got 1\.0 as number 3 after 2\.0"):
        replay([0.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="finite"):
        replay([0.0, math.nan])


@given(instants)
def test_a_trace_is_read_as_it_was_written(times_s: list[float]) -> None:
    """Every instant comes back, with blank lines and comments left out."""
    lines = ["# seconds\n", "\n", *(f"  {time_s!r}\n" for time_s in times_s)]
    assert parse_trace(lines) == tuple(times_s)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1", "zwei"], r"t\.txt, line 2: an arrival is a number of seconds, got 'zwei'"),
        (["# a", "", "nan"], r"t\.txt, line 3: .* got 'nan'"),
        (["inf"], r"t\.txt, line 1: .* got 'inf'"),
        (["1,2"], r"t\.txt, line 1: .* got '1,2'"),
        (["3", "", "2.5"], r"t\.txt, line 3: 2\.5 lies before the arrival in front of it, 3"),
        (["# nothing"], r"t\.txt holds no arrival"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], message: str) -> None:
    """What is wrong with a trace is said with the file and the line."""
    with pytest.raises(WorkloadError, match=message):
        parse_trace(lines, "t.txt")
