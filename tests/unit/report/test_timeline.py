"""How many requests are in flight over time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.statistics import in_flight
from bench.report.timeline import level, moments

spans = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=40)


def test_an_end_at_the_instant_of_a_start_comes_first() -> None:
    """One slot that takes a task the moment the last one ends never counts two."""
    counted = level(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    assert counted.count.max() == 1
    assert counted.count[-1] == 0


@given(spans)
def test_the_line_agrees_with_the_summary(found: list[tuple[int, int]]) -> None:
    """The line's highest point is the summary's peak, and its area the summary's mean."""
    sent = np.array([float(start) for start, _ in found])
    ended = sent + np.array([float(length) + 0.5 for _, length in found])
    counted = level(sent, ended)
    figures = in_flight(sent.tolist(), ended.tolist())
    assert counted.count.max() == figures.peak
    area = float((np.diff(counted.at_s) * counted.count[:-1]).sum())
    assert figures.mean == pytest.approx(area / (ended.max() - sent.min()))


@given(spans)
def test_moments_keep_the_extremes_and_the_area(found: list[tuple[int, int]]) -> None:
    """A run cut into moments shows the same peak and the same mean as its every change does."""
    sent = np.array([float(start) for start, _ in found])
    sent -= sent.min()
    ended = sent + np.array([float(length) + 0.5 for _, length in found])
    counted = level(sent, ended)
    _, least, most, mean = moments(counted, float(ended.max()))
    assert most.max() == counted.count.max()
    assert (least <= mean + 1e-9).all()
    assert (mean <= most + 1e-9).all()
    figures = in_flight(sent.tolist(), ended.tolist())
    assert mean.mean() == pytest.approx(figures.mean)
