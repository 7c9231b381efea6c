"""Summary statistics, against numpy, against published figures and against models that count by hand."""

from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.policy.statistics import (
    SAMPLES_NEEDED,
    Distribution,
    ascending,
    distribution,
    gaps_ns,
    in_flight,
    percentile,
    wilson,
)

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)
#: Whole numbers, so that ends fall on starts often and sums are exact.
intervals = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), min_size=1, max_size=25)

PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@given(values, st.floats(0, 1))
def test_percentiles_are_numpys(data: list[float], share: float) -> None:
    """A percentile is the one that numpy computes by default (linear interpolation)."""
    assert percentile(sorted(data), share) == pytest.approx(np.percentile(data, share * 100), abs=1e-9)


@pytest.mark.parametrize(("ordered", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1), ([1.0], math.nan)])
def test_impossible_percentiles_are_refused(ordered: list[float], share: float) -> None:
    """No values have no percentile, and no value lies beyond the ends."""
    with pytest.raises(ValueError, match=f"got {len(ordered)} values and {share}"):
        percentile(ordered, share)


@given(values)
def test_a_distribution_is_numpys(data: list[float]) -> None:
    """Mean, spread and ends are those of numpy, in whatever order the values come."""
    described = distribution(data)
    assert described.n == len(data)
    assert (described.min, described.max) == (min(data), max(data))
    assert described.mean == pytest.approx(np.mean(data), abs=1e-9)
    assert described.sd == (None if len(data) == 1 else pytest.approx(np.std(data, ddof=1), abs=1e-6))
    assert described == distribution(data[::-1])


@pytest.mark.parametrize("n", [1, 10, 11, 63, 64, 100, 129, 130, 661, 662, 2000])
def test_r37_a_percentile_needs_its_samples(n: int) -> None:
    """A percentile is given from the number of samples that carries it, and is None below: never 0, never a guess."""
    data = [math.sin(number) + 2 for number in range(n)]
    described = msgspec.structs.asdict(distribution(data))
    for name, share in PERCENTILES.items():
        expected = pytest.approx(np.percentile(data, share * 100)) if n >= SAMPLES_NEEDED[name] else None
        assert described[name] == expected, name


@pytest.mark.parametrize(("name", "share"), PERCENTILES.items())
def test_the_samples_needed_are_the_fewest(name: str, share: float) -> None:
    """The samples asked for are the fewest that bound a percentile with 99 % confidence and one exceedance allowed."""

    def chance_of_at_most_one_beyond(n: int) -> float:
        return share**n + n * (1 - share) * share ** (n - 1)

    needed = SAMPLES_NEEDED[name]
    assert chance_of_at_most_one_beyond(needed) <= 0.01 < chance_of_at_most_one_beyond(needed - 1)


def test_no_values_have_no_figures() -> None:
    """Of an empty set everything but its size is None."""
    assert distribution([]) == Distribution(n=0)
    assert {value for name, value in msgspec.structs.asdict(distribution([])).items() if name != "n"} == {None}


def test_one_value_has_no_spread() -> None:
    """One value is its own mean and ends, and has neither a spread nor percentiles."""
    assert distribution([2.5]) == Distribution(n=1, mean=2.5, min=2.5, max=2.5)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (20, 20, 0.8389, 1.0),
        (0, 20, 0.0, 0.1611),
        (10, 20, 0.2993, 0.7007),
        (1, 1, 0.2065, 1.0),
        (0, 1, 0.0, 0.7935),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),  # the same
        (1, 29, 0.0061, 0.1718),  # the same
        (999, 1000, 0.9943, 0.9998),
    ],
)
def test_r16_wilson_intervals(successes: int, trials: int, low: float, high: float) -> None:
    """The interval of a share is the published one: 20 of 20 are 83.9 to 100 %, not 100 to 100 %."""
    proportion = wilson(successes, trials)
    assert (proportion.n, proportion.value) == (trials, successes / trials)
    assert [proportion.low, proportion.high] == pytest.approx([low, high], abs=1e-4)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_wilson_intervals_hold_their_share(trials: int, share: float) -> None:
    """Any interval holds its share, lies within 0 and 1, and mirrors that of the failures."""
    successes = round(share * trials)
    proportion, mirrored = wilson(successes, trials), wilson(trials - successes, trials)
    assert proportion.low is not None
    assert proportion.high is not None
    assert 0 <= proportion.low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= proportion.high <= 1
    assert proportion.low < proportion.high
    assert [mirrored.low, mirrored.high] == pytest.approx([1 - proportion.high, 1 - proportion.low], abs=1e-9)


def test_no_trials_have_no_share() -> None:
    """Where nothing was tried nothing is claimed."""
    assert msgspec.structs.asdict(wilson(0, 0)) == {"n": 0, "value": None, "low": None, "high": None}


@given(intervals)
def test_in_flight_counts_as_by_hand(spans: list[tuple[int, int]]) -> None:
    """Peak and mean in flight are those of a count at every instant, an end at the instant of a start coming first."""
    starts = [float(start) for start, _ in spans]
    ends = [float(start + length) for start, length in spans]
    counts = [
        sum(start <= instant < end for start, end in zip(starts, ends, strict=True))
        for instant in range(int(min(starts)), int(max(ends)))
    ]
    counted = in_flight(starts, ends)
    assert counted.peak == max(counts, default=0)
    assert counted.mean == (pytest.approx(sum(counts) / len(counts)) if counts else None)


@given(intervals, st.randoms())
def test_in_flight_takes_any_order(spans: list[tuple[int, int]], shuffler: object) -> None:
    """Starts and ends come in the order of completion, or any other."""
    assume(len(spans) > 1)
    starts = [float(start) for start, _ in spans]
    ends = [float(start + length) for start, length in spans]
    assert in_flight(starts[::-1], ends) == in_flight(starts, sorted(ends))


def test_in_flight_of_n_slots() -> None:
    """Slots that begin one request when the last one ends are in flight N at once, at the peak and in the mean."""
    rounds = [(float(number), number + 1.0) for number in range(10) for _ in range(8)]
    counted = in_flight(*zip(*rounds, strict=True))
    assert (counted.peak, counted.mean) == (8, 8.0)


def test_nothing_is_in_flight_without_requests() -> None:
    """Without a request the peak is 0 and there is no mean; a moment without length has no mean either."""
    assert msgspec.structs.asdict(in_flight([], [])) == {"peak": 0, "mean": None}
    assert in_flight([1.0], [1.0]).mean is None


@given(st.lists(st.integers(0, 10**15), max_size=30).map(sorted))
def test_gaps(instants: list[int]) -> None:
    """Gaps are the differences of neighbours, ascending, one fewer than instants."""
    assert gaps_ns(instants) == sorted(b - a for a, b in pairwise(instants))
    assert gaps_ns(instants[:1]) == []


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_a_long_column_is_sorted_like_a_short_one(digits: int) -> None:
    """Beyond what is sorted at once the order is the same, however many of the values are equal."""
    draw = random.Random(digits)
    column = array("d", (round(draw.gauss(0, 0.3), digits) for _ in range(600_000)))
    assert ascending(column) == array("d", sorted(column))
