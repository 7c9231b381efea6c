"""What all probes of one N say together, and how sure that is."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec

from bench.policy.student import student_t_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.tuning.records import Probe

#: Where none of n requests is good, at most 3 / n of all are, at 95 % (the rule of three).
_RULE_OF_THREE: Final = 3.0

#: A standard deviation takes two values.
_FEWEST: Final = 2


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The probes of one N, taken together.

    Attributes:
        n: Requests in flight.
        probes: How many there were.
        samples: Requests that the numbers rest on.
        throughput_per_s: Successes a second.
        goodput_per_s: Those of them that met the objectives of each request.
        good_share: Their share of all that were attempted.
        spread: Standard deviation of latency over its mean; None where too few succeeded.
        is_within: Whether the objectives on percentiles were kept and no limit of the provider was reached.
        is_refused: Whether a limit of the provider was reached.
    """

    n: int
    probes: int
    samples: int
    throughput_per_s: float
    goodput_per_s: float
    good_share: float
    spread: float | None
    is_within: bool
    is_refused: bool

    def half_width(self, spread: float) -> float:
        """Return the half-width of the 95 % interval of throughput, as a share of it.

        A count of n renewals whose times spread by `spread` varies by spread / sqrt(n) (Cox, Renewal Theory, 1962).

        Args:
            spread: Standard deviation of what a request takes the endpoint, over its mean.
        """
        return _quantile(self.samples) * spread / math.sqrt(max(1, self.samples))

    def goodput_interval(self, spread: float) -> tuple[float, float]:
        """Return the ends of the 95 % interval of goodput, in requests a second.

        Args:
            spread: Standard deviation of what a request takes the endpoint, over its mean.
        """
        samples = max(1, self.samples)
        if self.goodput_per_s <= 0:
            return 0.0, self.throughput_per_s * min(1.0, _RULE_OF_THREE / samples)
        missed = (1 - self.good_share) / self.good_share
        half = _quantile(samples) * math.sqrt((spread**2 + missed) / samples)
        return self.goodput_per_s * max(0.0, 1 - half), self.goodput_per_s * (1 + half)


def merged(probes: Iterable[Probe]) -> list[Point]:
    """Return a point for each N that was probed and told something, in ascending order."""
    told = sorted((probe for probe in probes if probe.error is None and probe.attempted), key=lambda p: p.concurrency)
    return [_point(n, list(group)) for n, group in groupby(told, key=lambda probe: probe.concurrency)]


def weighted(values: Sequence[tuple[float, float]]) -> float:
    """Return the mean of pairs of a value and its weight."""
    return math.fsum(value * weight for value, weight in values) / math.fsum(weight for _, weight in values)


def _point(n: int, probes: Sequence[Probe]) -> Point:
    samples = sum(probe.attempted for probe in probes)
    squares = [
        ((probe.latency_sd_s / probe.latency_mean_s) ** 2, float(probe.attempted))
        for probe in probes
        if probe.latency_sd_s is not None and probe.latency_mean_s
    ]
    return Point(
        n=n,
        probes=len(probes),
        samples=samples,
        throughput_per_s=weighted([(probe.throughput_per_s, probe.attempted) for probe in probes]),
        goodput_per_s=weighted([(probe.goodput_per_s, probe.attempted) for probe in probes]),
        good_share=sum(probe.attained for probe in probes) / samples,
        spread=math.sqrt(weighted(squares)) if squares else None,
        is_within=all(probe.is_within for probe in probes),
        is_refused=any(probe.is_refused for probe in probes),
    )


def _quantile(samples: int) -> float:
    return student_t_quantile(0.975, max(_FEWEST, samples) - 1)
