"""Intervals of time, united."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bench.policy.intervals import united

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE = st.integers(0, 30)


@given(st.lists(st.tuples(WHOLE, WHOLE), max_size=20))
def test_the_same_time_in_as_few_as_possible(intervals: Sequence[tuple[int, int]]) -> None:
    """What is covered before is covered after, nothing else is, and a gap lies between any two."""
    found = united(intervals)
    for half in range(61):
        at = half / 2
        assert any(a <= at <= b for a, b in intervals) == any(a <= at <= b for a, b in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))
