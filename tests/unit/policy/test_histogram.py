"""The histogram that keeps percentiles in bounded memory."""

from __future__ import annotations

import random

import pytest

from bench.policy.histogram import Histogram
from bench.policy.statistics import percentile


@pytest.mark.parametrize("median_s", [2e-6, 0.25, 40.0])
def test_percentiles_of_a_histogram(median_s: float) -> None:
    """A percentile from the buckets is within 0.4 % of the exact one, whatever the scale."""
    values = [median_s * random.Random(seed).lognormvariate(0, 0.7) for seed in range(2000)]
    histogram = Histogram()
    histogram.add(values)
    for name in ("p50", "p90", "p95", "p99"):
        exact = percentile(sorted(values), int(name[1:]) / 100)
        assert histogram.percentile(name) == pytest.approx(exact, rel=0.004)
    assert (histogram.n, histogram.max_s) == (2000, max(values))


def test_percentiles_need_samples() -> None:
    """A percentile that the samples do not carry is None, and a duration of zero is no error."""
    histogram = Histogram()
    histogram.add([0.0] * 11)
    assert (histogram.percentile("p50"), histogram.percentile("p95")) == (0.0, None)
