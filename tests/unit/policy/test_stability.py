"""Stability warnings: each by the figures that bring it about."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.stability import level_step, stability_warnings


def test_r38_steady_figures_have_no_warning() -> None:
    """Blocks that agree, timed over more than a millisecond and without failures, are not warned of."""
    assert stability_warnings([100, 101, 99, 100.5, 99.5, 100], shortest_s=0.001, failures=0) == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([90, 110, 88, 112, 90, 110], "blocks spread by 12% of their mean (standard deviation), 10 % or more"),
        ([100, 100, 160, 40], "the lowest block (40) lies 60% off the mean of 100"),
        ([100, 100, 160, 40], "the highest block (160) lies 60% off the mean of 100"),
        (
            [130, 100, 101, 99, 100, 100.5],
            "the first block (130) is an outlier among 6: something was still warming up",
        ),
        ([1.1, 1.0, 1.0, 1.0], "the first block (1.1) is an outlier among 4: something was still warming up"),
    ],
)
def test_r38_odd_blocks_are_warned_of(values: list[float], words: str) -> None:
    """A wide spread, an end half of the mean away and a first block that stands out are told with figures."""
    assert words in stability_warnings(values)


def test_r38_an_end_less_than_half_the_mean_away_is_part_of_the_spread() -> None:
    """A block that lies 49 % off the mean is told by the spread alone."""
    assert stability_warnings([100, 100, 100, 100, 45]) == (
        "blocks spread by 28% of their mean (standard deviation), 10 % or more",
    )


def test_r38_short_times_and_failures_are_warned_of() -> None:
    """A unit of work below a millisecond and tasks that failed are told."""
    assert stability_warnings([], shortest_s=0.0005) == (
        "the shortest time is 0.5 ms: below 1 ms the clock's own cost shows",
    )
    assert stability_warnings([], failures=3) == ("3 tasks failed",)


def test_r38_an_outlier_that_is_not_the_first_is_no_warm_up() -> None:
    """A later block that stands out is told by the spread, if it matters, and not as a warm-up."""
    assert stability_warnings([100, 101, 99, 130, 100, 100.5]) == (
        "blocks spread by 12% of their mean (standard deviation), 10 % or more",
    )


@given(st.lists(st.floats(-1e6, 1e6), max_size=2), st.floats(0.1, 1e6), st.integers(1, 20))
def test_r38_few_or_equal_blocks_have_no_spread(few: list[float], value: float, count: int) -> None:
    """Equal blocks bring no warning, and one block or none has nothing to compare."""
    assert stability_warnings([value] * count) == ()
    assert stability_warnings(few[:1]) == ()
    stability_warnings(few)


def test_r40_a_step_over_the_blocks_is_told() -> None:
    """Blocks that go to another level and stay there are told with the block and the size of the step."""
    found = level_step([100, 101, 99, 100, 130, 131, 129])
    assert found is not None
    assert found.place == 4
    assert found.ratio == pytest.approx(1.3, abs=0.01)
    assert found.p_value < 0.01
    assert any("from block 4 on" in words for words in stability_warnings([100, 101, 99, 130, 131, 129]))


@pytest.mark.parametrize(
    "values",
    [
        [100, 101, 60, 100, 99, 101, 100],
        [100, 101, 99, 100, 101, 99, 60],
        [100, 101, 99, 104, 105, 103],
        [100, 130, 101, 128, 99, 131, 100, 129],
        [100, 100, 130, 130],
        [100, 100, 100, 0, 0, 0],
        [],
    ],
    ids=["one bad block", "a bad end", "small", "to and fro", "short", "without logarithm", "none"],
)
def test_r40_one_bad_block_is_no_step(values: list[float]) -> None:
    """One block that is far off, a small change, a change to and fro and a short series are no step."""
    assert level_step(values) is None


def test_r40_steps_that_are_none_are_rare() -> None:
    """Among series of one level at most one in a hundred is said to have two, whatever its length and its spread."""
    draw = random.Random(3)
    for length in (6, 12, 20):
        series = [[math.exp(draw.gauss(0, 0.2)) for _ in range(length)] for _ in range(1000)]
        assert sum(level_step(values) is not None for values in series) <= 15
