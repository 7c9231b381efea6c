"""Paired ratios and families of comparisons, against figures worked by hand and by their own properties."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.paired import MOST_BLOCKS, blocks_needed, holm, holm_confidences, paired_ratio, times

figures = st.floats(1e-3, 1e6)
pairs = st.lists(st.tuples(figures, figures), min_size=2, max_size=20)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_a_ratio_worked_by_hand() -> None:
    """Ratios of 1.1, 1.2 and 1.3 have the geometric mean, the interval and the p value that a calculator gives."""
    found = paired_ratio([110.0, 240.0, 39.0], [100.0, 200.0, 30.0])
    assert (found.n, found.confidence) == (3, 0.95)
    assert found.ratio == pytest.approx(1.197216, abs=1e-6)
    assert found.sd_log == pytest.approx(0.083551, abs=1e-6)
    assert found.low == pytest.approx(0.972822, abs=1e-6)
    assert found.high == pytest.approx(1.473368, abs=1e-6)
    assert found.p_value == pytest.approx(0.064905, abs=1e-6)


@given(pairs, st.floats(0.5, 0.999))
def test_swapping_the_arms_mirrors_the_ratio(data: list[tuple[float, float]], confidence: float) -> None:
    """Of b against a, the ratio is one over a against b, with the interval turned round and the same p value."""
    a, b = [mine for mine, _ in data], [theirs for _, theirs in data]
    there, back = paired_ratio(a, b, confidence), paired_ratio(b, a, confidence)
    ends = (there.ratio, there.low, there.high, back.ratio, back.low, back.high)
    ratio, low, high, inverse, inverse_low, inverse_high = (math.log(end or math.nan) for end in ends)
    assert [inverse, inverse_low, inverse_high] == pytest.approx([-ratio, -high, -low], abs=1e-9, rel=1e-9)
    assert low <= ratio + 1e-12
    assert ratio <= high + 1e-12
    assert back.p_value == there.p_value


@given(pairs, st.lists(st.floats(0.1, 10), min_size=20, max_size=20))
def test_what_a_block_does_to_both_arms_cancels(data: list[tuple[float, float]], luck: list[float]) -> None:
    """A block in which both arms are faster by one factor says no more and no less about their ratio."""
    a, b = [mine for mine, _ in data], [theirs for _, theirs in data]
    plain = paired_ratio(a, b)
    moved = paired_ratio([x * f for x, f in zip(a, luck, strict=False)], [x * f for x, f in zip(b, luck, strict=False)])
    assert math.log(moved.ratio or 0) == pytest.approx(math.log(plain.ratio or 0), abs=1e-9)
    assert moved.sd_log == pytest.approx(plain.sd_log, abs=1e-9)


@given(pairs)
def test_the_interval_and_the_p_value_agree(data: list[tuple[float, float]]) -> None:
    """The interval at a confidence of 1 - p ends at 1: interval and p value are one test."""
    a, b = [mine for mine, _ in data], [theirs for _, theirs in data]
    p_value = paired_ratio(a, b).p_value
    if p_value is None or not 1e-6 < p_value < 1 - 1e-6:
        return
    at_p = paired_ratio(a, b, 1 - p_value)
    assert at_p.low is not None
    assert at_p.high is not None
    assert min(abs(math.log(at_p.low)), abs(math.log(at_p.high))) == pytest.approx(0, abs=1e-6 * (at_p.sd_log or 1))


def test_equal_ratios_have_an_interval_without_width() -> None:
    """Where every block has the same ratio nothing is uncertain; where that is 1, nothing is different."""
    twice = paired_ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    assert (twice.ratio, twice.low, twice.high) == pytest.approx((2.0, 2.0, 2.0))
    assert (twice.p_value, twice.sd_log) == pytest.approx((0.0, 0.0), abs=1e-12)
    same = paired_ratio([3.0, 5.0], [3.0, 5.0])
    assert (same.low, same.high, same.p_value) == (1.0, 1.0, 1.0)


def test_one_block_has_a_ratio_and_nothing_else() -> None:
    """What one block cannot tell is None, and without blocks so is the ratio."""
    one = paired_ratio([3.0], [2.0])
    assert one.ratio == pytest.approx(1.5)
    assert (one.low, one.high, one.p_value, one.sd_log, one.n) == (None, None, None, None, 1)
    assert paired_ratio([], []).ratio is None


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_figures_without_a_logarithm_are_refused_by_block(bad: float) -> None:
    """A figure that no ratio can be made of is named with its block."""
    with pytest.raises(ValueError, match="in block 2"):
        paired_ratio([1.0, bad], [1.0, 1.0])
    with pytest.raises(ValueError, match="in block 1"):
        paired_ratio([1.0, 1.0], [bad, 1.0])


def test_arms_of_unequal_length_are_refused() -> None:
    """Blocks are pairs: one arm cannot have more of them."""
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize("blocks", [6, 10, 20])
def test_r34_coverage_of_the_paired_interval(blocks: int) -> None:
    """Of intervals called 95 % between 93 and 97 % hold the true ratio, from 6 blocks on."""
    rng = random.Random(blocks)
    held = 0
    for _ in range(2000):
        shared = [math.exp(rng.gauss(0, 0.15)) for _ in range(blocks)]
        a = [1.1 * level * math.exp(rng.gauss(0, 0.05)) for level in shared]
        b = [level * math.exp(rng.gauss(0, 0.05)) for level in shared]
        found = paired_ratio(a, b)
        held += (found.low or math.inf) <= 1.1 <= (found.high or 0)
    assert 0.93 <= held / 2000 <= 0.97


def test_holm_worked_by_hand() -> None:
    """Each p value is multiplied by the tests left, never below the one before it, and stays in its place."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(p_values)
def test_holm_lies_between_none_and_bonferroni(values: list[float]) -> None:
    """An adjusted p value is never below its own nor above Bonferroni's, and keeps the order."""
    adjusted = holm(values)
    for value, result in zip(values, adjusted, strict=True):
        assert value <= result <= min(1.0, value * len(values))
    for (one, one_adjusted), (other, other_adjusted) in itertools.permutations(zip(values, adjusted, strict=True), 2):
        assert one_adjusted <= other_adjusted or one > other or one == other


@given(p_values, st.sampled_from([0.9, 0.95, 0.99]))
def test_a_widened_interval_tells_what_the_adjusted_p_value_tells(values: list[float], confidence: float) -> None:
    """An interval at its place's confidence excludes 1 exactly where Holm's adjustment refuses the equality."""
    for value, adjusted, level in zip(values, holm(values), holm_confidences(values, confidence), strict=True):
        assert confidence - 1e-12 <= level <= 1 - (1 - confidence) / len(values) + 1e-12
        if abs(adjusted - (1 - confidence)) > 1e-9:
            assert (value < 1 - level) is (adjusted < 1 - confidence)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_impossible_p_values_are_refused(bad: float) -> None:
    """A p value is a probability."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, bad])
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm_confidences([bad])


@pytest.mark.parametrize(
    ("sd", "half", "blocks"), [(0.05, 0.05, 7), (0.05, math.log(1.05), 7), (0.1, 0.05, 18), (0.0, 0.1, 2)]
)
def test_blocks_worked_by_hand(sd: float, half: float, blocks: int) -> None:
    """A spread of 5 % takes 7 blocks for an interval of plus or minus 5 %, and one of 10 % takes 18."""
    assert blocks_needed(sd, half, 0.95) == blocks


@given(st.floats(0.001, 0.5), st.floats(0.01, 0.5), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_blocks_needed_are_the_fewest(sd: float, half: float, confidence: float) -> None:
    """As many blocks as are named give the width that was asked for, and one block fewer does not."""
    needed = blocks_needed(sd, half, confidence)
    if needed is None:
        needed = MOST_BLOCKS + 1

    def width(blocks: int) -> float:
        logs = [sd * math.sqrt((blocks - 1) / blocks) * (-1) ** place for place in range(blocks)]
        if blocks % 2:
            logs = [value * math.sqrt(blocks / (blocks - 1)) if place else 0.0 for place, value in enumerate(logs)]
        found = paired_ratio([math.exp(value) for value in logs], [1.0] * blocks, confidence)
        return math.log((found.high or 0) / (found.low or 1)) / 2

    if needed <= MOST_BLOCKS:
        assert width(needed) <= half * (1 + 1e-9)
    if 2 < needed < 200:
        assert width(needed - 1) > half * (1 - 1e-9)


@pytest.mark.parametrize(("sd", "half"), [(-0.1, 0.1), (0.1, 0.0), (0.1, -1.0), (math.nan, 0.1)])
def test_blocks_for_the_impossible_are_refused(sd: float, half: float) -> None:
    """No number of blocks gives an interval of no width, and there is no spread below 0."""
    with pytest.raises(ValueError, match="got"):
        blocks_needed(sd, half, 0.95)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.324, "1.32"),
        (12.0, "12.00"),
        (1.0, "1.00"),
        (1.004, "1.004"),
        (0.9996, "0.9996"),
        (0.004, "0.004"),
        (None, "n/a"),
    ],
)
def test_a_ratio_near_1_is_not_written_as_1(value: float | None, text: str) -> None:
    """A ratio has two decimals, and as many more as tell it from 1 or 0."""
    assert times(value) == text
