"""The Universal Scalability Law: throughput over N by contention and coherency, fitted only where it is identified."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bench.policy.student import student_t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

UslStatus = Literal["fitted", "too_few_points", "peak_not_observed", "not_identified"]

#: With four N and 5 % noise the peak of a fit lies anywhere from 10 to infinity where it is 31; six N bound it.
_FEWEST_N: Final = 6

#: Three coefficients are fitted.
_COEFFICIENTS: Final = 3

#: Gauss-Newton doubles its digits at each step near the solution, where the linear fit already is.
_STEPS: Final = 30

#: A coefficient below 0 by no more than this is 0 and the rounding of a fit.
_ROUNDING: Final = 1e-9

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A coefficient with its 95 % interval."""

    value: float
    low: float
    high: float


class Usl(msgspec.Struct, frozen=True, kw_only=True):
    """X(N) = rate * N / (1 + alpha (N - 1) + beta N (N - 1)).

    Attributes:
        status: Whether there is a fit, or why not.
        reason: The same in words; empty for a fit.
        rate_per_s: Throughput at N = 1; this and all below are None without a fit.
        alpha: Contention, the serial share of the work.
        beta: Coherency, what each pair of requests costs.
        peak_n: The N of the most throughput.
    """

    status: UslStatus
    reason: str = ""
    rate_per_s: Estimate | None = None
    alpha: Estimate | None = None
    beta: Estimate | None = None
    peak_n: Estimate | None = None


def usl(points: Sequence[tuple[int, float]]) -> Usl:
    """Fit the law by least squares on the logarithm of throughput, and tell whether the points carry the fit.

    Intervals come from the linearised covariance (t, n - 3 degrees of freedom), that of the peak in logarithms.

    Args:
        points: Pairs of N and throughput a second; several of one N (its blocks) are welcome.

    Raises:
        ValueError: An N below 1, or a throughput that is not a finite number above 0.
    """
    for n, rate_per_s in points:
        if n < 1 or not (math.isfinite(rate_per_s) and rate_per_s > 0):
            msg = f"the law takes N of at least 1 and a throughput above 0, got {n} and {rate_per_s}"
            raise ValueError(msg)
    distinct = {n for n, _ in points}
    if len(distinct) < _FEWEST_N:
        return Usl(status="too_few_points", reason=f"{len(distinct)} different N, and a fit takes {_FEWEST_N}")
    fitted = _fit(points)
    if fitted is None:
        return Usl(status="not_identified", reason="no curve of this form lies near the points")
    (log_rate, alpha, beta), covariance = fitted
    if alpha < -_ROUNDING or beta < -_ROUNDING or alpha >= 1:
        return Usl(
            status="not_identified", reason=f"the fit has contention {alpha:.3g} and coherency {beta:.3g}, out of range"
        )
    if beta <= _ROUNDING:
        return Usl(status="not_identified", reason="the fitted curve has no peak")
    peak = math.sqrt((1 - alpha) / beta)
    if max(distinct) < peak:
        return Usl(
            status="peak_not_observed",
            reason=f"the fitted peak is at N = {peak:.0f}, beyond the largest, {max(distinct)}",
        )
    t = student_t_quantile(0.975, len(points) - _COEFFICIENTS)
    # The logarithm of the peak is (ln(1 - alpha) - ln beta) / 2: its derivatives carry the covariance over.
    by_alpha, by_beta = -0.5 / (1 - alpha), -0.5 / beta
    peak_variance = (
        by_alpha**2 * covariance[1][1] + by_beta**2 * covariance[2][2] + 2 * by_alpha * by_beta * covariance[1][2]
    )
    return Usl(
        status="fitted",
        rate_per_s=_of_log(log_rate, t * math.sqrt(max(covariance[0][0], 0.0))),
        alpha=_of_value(alpha, t * math.sqrt(max(covariance[1][1], 0.0))),
        beta=_of_value(beta, t * math.sqrt(max(covariance[2][2], 0.0))),
        peak_n=_of_log(math.log(peak), t * math.sqrt(max(peak_variance, 0.0))),
    )


def _of_log(log_value: float, half: float) -> Estimate:
    """Return an estimate whose interval is symmetric in logarithms."""
    # A half-width that no double can hold the exponential of tells nothing more than the largest that it can.
    half = min(half, 300.0)
    return Estimate(value=math.exp(log_value), low=math.exp(log_value - half), high=math.exp(log_value + half))


def _of_value(value: float, half: float) -> Estimate:
    """Return an estimate whose interval is symmetric."""
    return Estimate(value=value, low=value - half, high=value + half)


def _fit(points: Sequence[tuple[int, float]]) -> tuple[Vector, Matrix] | None:
    """Return ln(rate), alpha and beta with their covariance; None where no step leads on from the linear fit."""
    start = _linear_start(points)
    if start is None:
        return None
    at = start
    for _ in range(_STEPS):
        normal, gradient = _normal_equations(points, at)
        inverse = _inverse(normal)
        if inverse is None:
            return None
        better = _improved(points, at, _times(inverse, gradient))
        if better is None:
            break
        at = better
    inverse = _inverse(_normal_equations(points, at)[0])
    if inverse is None:
        return None
    variance = _squares(points, at) / (len(points) - _COEFFICIENTS)
    first, second, third = (tuple(value * variance for value in row) for row in inverse)
    return at, (_vector(first), _vector(second), _vector(third))


def _improved(points: Sequence[tuple[int, float]], at: Vector, step: Vector) -> Vector | None:
    """Return the place after a step, halved until it helps; None where it does not.

    Far from the solution a full step may leave the range of the logarithm.
    """
    left, share = _squares(points, at), 1.0
    while share > _ROUNDING:
        moved = (at[0] + share * step[0], at[1] + share * step[1], at[2] + share * step[2])
        if _squares(points, moved) < left:
            return moved
        share /= 2
    return None


def _linear_start(points: Sequence[tuple[int, float]]) -> Vector | None:
    """Return the fit of N / X = (1 + alpha (N - 1) + beta N (N - 1)) / rate, linear in its terms, by relative error."""
    rows = [_scaled((1.0, n - 1.0, n * (n - 1.0)), rate_per_s / n) for n, rate_per_s in points]
    inverse = _inverse(_gram(rows))
    if inverse is None:
        return None
    sums = _vector(tuple(math.fsum(row[place] for row in rows) for place in range(_COEFFICIENTS)))
    constant, linear, quadratic = _times(inverse, sums)
    if constant <= 0:
        return None
    start = (-math.log(constant), linear / constant, quadratic / constant)
    return start if math.isfinite(_squares(points, start)) else None


def _denominator(n: int, at: Vector) -> float:
    """Return 1 + alpha (N - 1) + beta N (N - 1)."""
    return 1 + at[1] * (n - 1) + at[2] * n * (n - 1)


def _residual(n: int, rate_per_s: float, at: Vector) -> float:
    """Return ln of the throughput seen minus ln of the curve's; infinite where the curve has none."""
    denominator = _denominator(n, at)
    return math.log(rate_per_s / n * denominator) - at[0] if denominator > 0 else math.inf


def _squares(points: Sequence[tuple[int, float]], at: Vector) -> float:
    """Return the sum of squared residuals."""
    return sum(_residual(n, rate_per_s, at) ** 2 for n, rate_per_s in points)


def _normal_equations(points: Sequence[tuple[int, float]], at: Vector) -> tuple[Matrix, Vector]:
    """Return the matrix and the right side of a Gauss-Newton step."""
    rows = []
    for n, _ in points:
        denominator = _denominator(n, at)
        rows.append((1.0, -(n - 1) / denominator, -n * (n - 1) / denominator))
    residuals = [_residual(n, rate_per_s, at) for n, rate_per_s in points]
    right = tuple(
        math.fsum(row[place] * residual for row, residual in zip(rows, residuals, strict=True))
        for place in range(_COEFFICIENTS)
    )
    return _gram(rows), _vector(right)


def _gram(rows: Sequence[Vector]) -> Matrix:
    """Return the products of columns with each other."""
    first, second, third = (
        tuple(math.fsum(row[one] * row[other] for row in rows) for other in range(_COEFFICIENTS))
        for one in range(_COEFFICIENTS)
    )
    return _vector(first), _vector(second), _vector(third)


def _inverse(matrix: Matrix) -> Matrix | None:
    """Return the inverse of a symmetric positive matrix by its cofactors; None where it has none worth the name."""
    # Columns of N squared and of ones differ by orders of magnitude: with a diagonal of ones they compare.
    scale = [math.sqrt(matrix[place][place]) for place in range(_COEFFICIENTS)]
    if not all(scale):
        return None
    (_, a, b), (_, _, c), _ = (
        _vector(tuple(matrix[row][column] / scale[row] / scale[column] for column in range(_COEFFICIENTS)))
        for row in range(_COEFFICIENTS)
    )
    determinant = 1 - a * a - b * b - c * c + 2 * a * b * c
    if not determinant > 1e-12:  # noqa: PLR2004 - the rounding of its terms, which are at most 1
        return None
    cofactors = (
        (1 - c * c, b * c - a, a * c - b),
        (b * c - a, 1 - b * b, a * b - c),
        (a * c - b, a * b - c, 1 - a * a),
    )
    first, second, third = (
        tuple(cofactors[row][column] / determinant / scale[row] / scale[column] for column in range(_COEFFICIENTS))
        for row in range(_COEFFICIENTS)
    )
    return _vector(first), _vector(second), _vector(third)


def _times(matrix: Matrix, vector: Vector) -> Vector:
    """Return the product."""
    return _vector(tuple(math.fsum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix))


def _vector(values: tuple[float, ...]) -> Vector:
    """Return three values as three."""
    first, second, third = values
    return first, second, third


def _scaled(vector: Vector, factor: float) -> Vector:
    """Return a vector times a number."""
    return vector[0] * factor, vector[1] * factor, vector[2] * factor
