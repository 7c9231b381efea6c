"""Student's t distribution, against closed forms and printed tables."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.student import student_t_quantile, two_sided_p

probabilities = st.floats(1e-6, 1 - 1e-6)
degrees = st.integers(1, 2000)


@pytest.mark.parametrize(
    ("p", "df", "quantile"),
    [
        (0.975, 1, 12.70620474),
        (0.975, 2, 4.30265273),
        (0.975, 5, 2.57058184),
        (0.95, 5, 2.01504837),
        (0.995, 5, 4.03214298),
        (0.975, 9, 2.26215716),
        (0.975, 19, 2.09302405),
        (0.975, 30, 2.04227246),
        (0.9995, 10, 4.58689386),
        (0.975, 120, 1.97993041),
    ],
)
def test_quantiles_are_the_printed_ones(p: float, df: int, quantile: float) -> None:
    """A quantile is that of the tables, to all digits that they print."""
    assert student_t_quantile(p, df) == pytest.approx(quantile, abs=6e-9)


@given(probabilities)
def test_one_and_two_degrees_have_closed_forms(p: float) -> None:
    """With one degree of freedom the distribution is Cauchy's, with two its quantile is a square root."""
    assert student_t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-7, abs=1e-9)
    assert student_t_quantile(p, 2) == pytest.approx((2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p))), rel=1e-7, abs=1e-9)


@given(st.floats(0.001, 0.999))
def test_many_degrees_are_normal(p: float) -> None:
    """With ten million degrees of freedom the distribution is the normal one."""
    assert student_t_quantile(p, 1e7) == pytest.approx(NormalDist().inv_cdf(p), abs=1e-5)


@given(probabilities, degrees)
def test_a_quantile_and_its_tail_agree(p: float, df: int) -> None:
    """The tails beyond a quantile hold what it was asked for, on either side alike."""
    quantile = student_t_quantile(p, df)
    assert two_sided_p(quantile, df) == pytest.approx(2 * min(p, 1 - p), rel=1e-9)
    assert student_t_quantile(1 - p, df) == pytest.approx(-quantile, rel=1e-6, abs=1e-9)


@given(st.floats(0, 1e6), st.floats(0, 1e6), degrees)
def test_the_tail_falls(one: float, other: float, df: int) -> None:
    """The farther out, the less lies beyond, from all of it at 0 down to nothing at infinity."""
    near, far = sorted([one, other])
    assert 1 >= two_sided_p(near, df) >= two_sided_p(far, df) - 1e-14 >= -1e-14
    assert (two_sided_p(0, df), two_sided_p(math.inf, df)) == (1.0, 0.0)
    assert two_sided_p(-far, df) == two_sided_p(far, df)


@pytest.mark.parametrize(
    ("p", "df"), [(0.0, 5), (1.0, 5), (1.5, 5), (0.5, 0), (0.9, -1), (math.nan, 5), (0.9, math.nan)]
)
def test_impossible_questions_are_refused(p: float, df: float) -> None:
    """There is no quantile of certainty, and no distribution without degrees of freedom."""
    with pytest.raises(ValueError, match="got"):
        student_t_quantile(p, df)
