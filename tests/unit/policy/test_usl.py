"""The scalability law: its coefficients found again, and refused where the points do not carry them."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.usl import Usl, usl

SIX: Final = (1, 2, 4, 8, 16, 32)
EIGHT: Final = (*SIX, 64, 128)
ALPHA: Final = 0.03
BETA: Final = 0.001
PEAK: Final = math.sqrt((1 - ALPHA) / BETA)


def curve(n: int, rate: float = 100.0, alpha: float = ALPHA, beta: float = BETA) -> float:
    """Return the law's throughput."""
    return rate * n / (1 + alpha * (n - 1) + beta * n * (n - 1))


def noisy(numbers: tuple[int, ...], spread: float, seed: int, beta: float = BETA) -> list[tuple[int, float]]:
    """Return points of the law with normal noise in the logarithm."""
    rng = random.Random(seed)
    return [(n, curve(n, beta=beta) * math.exp(rng.gauss(0, spread))) for n in numbers]


@given(st.floats(1, 1e5), st.floats(0, 0.5), st.floats(1e-4, 0.1))
def test_r47_exact_points_give_their_coefficients_back(rate: float, alpha: float, beta: float) -> None:
    """Points on a curve of the law give that curve, with intervals without width."""
    found = usl([(n, curve(n, rate, alpha, beta)) for n in EIGHT])
    assert found.status == "fitted"
    assert found.rate_per_s is not None
    assert found.alpha is not None
    assert found.beta is not None
    assert found.peak_n is not None
    assert found.rate_per_s.value == pytest.approx(rate, rel=1e-5)
    assert found.alpha.value == pytest.approx(alpha, rel=1e-4, abs=1e-5)
    assert found.beta.value == pytest.approx(beta, rel=1e-4)
    assert found.peak_n.value == pytest.approx(math.sqrt((1 - alpha) / beta), rel=1e-4)
    assert found.beta.high - found.beta.low == pytest.approx(0, abs=1e-4 * beta)


def test_r47_the_fit_is_that_of_least_squares() -> None:
    """No coefficients near the fitted ones lie nearer to the points, and numpy's covariance gives the same interval."""
    points = noisy(EIGHT, 0.05, seed=1)
    found = usl(points)
    assert found.rate_per_s is not None
    assert found.alpha is not None
    assert found.beta is not None

    def squares(rate: float, alpha: float, beta: float) -> float:
        return sum(math.log(x / curve(n, rate, alpha, beta)) ** 2 for n, x in points)

    at = (found.rate_per_s.value, found.alpha.value, found.beta.value)
    for place in range(3):
        for factor in (0.999, 1.001):
            moved = [value * (factor if place == here else 1) for here, value in enumerate(at)]
            assert squares(*moved) > squares(*at)
    denominators = [curve(n, 1, 0, 0) / curve(n, 1, at[1], at[2]) for n in EIGHT]
    rows = np.array([[1, -(n - 1) / d, -n * (n - 1) / d] for n, d in zip(EIGHT, denominators, strict=True)])
    covariance = np.linalg.inv(rows.T @ rows) * squares(*at) / 5
    half = 2.570581835636 * math.sqrt(covariance[2][2])
    assert [found.beta.low, found.beta.high] == pytest.approx([at[2] - half, at[2] + half], rel=1e-6)
    assert found.peak_n is not None
    gradient = np.array([0, -0.5 / (1 - at[1]), -0.5 / at[2]])
    half = 2.570581835636 * math.sqrt(gradient @ covariance @ gradient)
    ends = [math.log(end / found.peak_n.value) for end in (found.peak_n.low, found.peak_n.high)]
    assert ends == pytest.approx([-half, half], rel=1e-6)


def test_r47_the_intervals_hold_the_truth() -> None:
    """Of intervals called 95 % between 92 and 98 % hold the coherency and the peak that the points were made with."""
    found = [usl(noisy(EIGHT, 0.05, seed)) for seed in range(500)]
    assert all(fit.status == "fitted" for fit in found)
    held = Counter(
        (name, estimate.low <= truth <= estimate.high)
        for fit in found
        for name, estimate, truth in (("beta", fit.beta, BETA), ("peak", fit.peak_n, PEAK))
        if estimate is not None
    )
    assert 460 <= held["beta", True] <= 490
    assert 460 <= held["peak", True] <= 490


def test_r47_four_numbers_are_declined() -> None:
    """Points at 1, 2, 4 and 8 get no fit, however many blocks stand behind each."""
    declined = usl(noisy((1, 2, 4, 8) * 6, 0.05, seed=1))
    assert declined == Usl(status="too_few_points", reason="4 different N, and a fit takes 6")


def test_r47_a_peak_beyond_the_points_is_not_observed() -> None:
    """Points that stop before the peak give none, nor any of the coefficients that it would follow from."""
    found = usl([(n, curve(n, beta=1e-5)) for n in EIGHT])
    assert found == Usl(status="peak_not_observed", reason="the fitted peak is at N = 311, beyond the largest, 128")


@pytest.mark.parametrize(
    "exponent",
    [1.0, 1.2],
    ids=["linear", "superlinear"],
)
def test_r47_a_curve_without_a_peak_is_not_identified(exponent: float) -> None:
    """Throughput that grows with N, or faster, fits no contention and no coherency."""
    found = usl([(n, 100 * n**exponent) for n in EIGHT])
    assert (found.status, found.alpha, found.peak_n) == ("not_identified", None, None)
    assert found.reason


def test_r47_contention_below_zero_is_not_identified() -> None:
    """A curve that first grows faster than N and then falls is none of the law's."""
    found = usl([(n, curve(n, 100, -0.02, 0.002)) for n in EIGHT])
    assert (found.status, found.alpha) == ("not_identified", None)
    assert "contention -0.02" in found.reason


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(1e-3, 1e6)), max_size=15))
def test_r47_any_points_give_an_answer(points: list[tuple[int, float]]) -> None:
    """Whatever the points are there is a fit within its range, or a reason why not."""
    found = usl(points)
    assert (found.status == "fitted") is (found.alpha is not None) is (found.reason == "")
    if found.alpha is not None and found.peak_n is not None:
        assert -1e-9 <= found.alpha.value < 1
        assert found.peak_n.value <= max(n for n, _ in points)


@pytest.mark.parametrize("point", [(0, 1.0), (1, 0.0), (1, math.nan), (1, math.inf)])
def test_impossible_points_are_refused(point: tuple[int, float]) -> None:
    """The law knows no N below 1 and no throughput of nothing."""
    with pytest.raises(ValueError, match="got"):
        usl([point])
