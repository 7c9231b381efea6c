"""Student's t distribution: its quantiles and tail probabilities, without a library of numerics."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

#: Beyond this a continued fraction of double precision no longer changes.
_PRECISION: Final = 1e-15

#: The fraction converges in about the square root of the degrees of freedom; this is far more than 10^8 of them take.
_MOST_TERMS: Final = 100_000

#: Keeps a denominator of the continued fraction from being zero.
_TINY: Final = 1e-300


def two_sided_p(t: float, df: float) -> float:
    """Return the probability of a value at least as far from 0 as t, on either side.

    Args:
        t: The statistic.
        df: Degrees of freedom, above 0.

    Raises:
        ValueError: Degrees of freedom that are not above 0.
    """
    if not df > 0:
        msg = f"Student's t needs degrees of freedom above 0, got {df}"
        raise ValueError(msg)
    if math.isinf(t):
        return 0.0
    square = t * t
    return _incomplete_beta(square / (df + square), df / (df + square), df / 2)


def student_t_quantile(p: float, df: float) -> float:
    """Return the value below which a t distribution with `df` degrees of freedom lies with probability p.

    Args:
        p: Probability, above 0 and below 1.
        df: Degrees of freedom, above 0.

    Raises:
        ValueError: A probability or degrees of freedom outside their range.
    """
    if not (0 < p < 1 and df > 0):
        msg = f"a quantile needs a probability above 0 and below 1 and degrees of freedom above 0, got {p} and {df}"
        raise ValueError(msg)
    tails = 2 * min(p, 1 - p)
    if tails >= 1:
        return 0.0
    # The tails are never thinner than those of the normal distribution.
    low = -NormalDist().inv_cdf(tails / 2)
    while two_sided_p(2 * low, df) > tails:
        low *= 2
    # The tail falls and is convex: from below, Newton's steps approach the quantile without passing it.
    step = math.inf
    while step > _PRECISION * low:
        step = (two_sided_p(low, df) - tails) / (2 * _density(low, df))
        low += max(step, 0.0)
    return math.copysign(low, p - 0.5)


def _density(t: float, df: float) -> float:
    """Return the density at t."""
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))


def _incomplete_beta(y: float, x: float, half_df: float) -> float:
    """Return the regularised incomplete beta function I_x(half_df, 1/2), where y = 1 - x is given for its precision."""
    if y <= 0:
        return 1.0
    if x <= 0:
        return 0.0
    log_front = math.lgamma(half_df + 0.5) - math.lgamma(half_df) - math.lgamma(0.5)
    front = math.exp(log_front + half_df * math.log(x) + 0.5 * math.log(y))
    # The fraction converges fast on one side of the mean only; the other side is its mirror image.
    if x < (half_df + 1) / (half_df + 2.5):
        return front * _fraction(half_df, 0.5, x) / half_df
    return 1 - front * _fraction(0.5, half_df, y) / 0.5


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function (Numerical Recipes, 6.4, by Lentz's method)."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return value


def _not_zero(value: float) -> float:
    """Return the value, or a very small one in place of zero."""
    return value if abs(value) > _TINY else _TINY
