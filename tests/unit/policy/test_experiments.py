"""A thousand experiments whose truth is known: how often the rules find what is not there, and miss what is."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

import pytest

from bench.policy.paired import PairedRatio, paired_ratio
from bench.policy.schedule import schedule
from bench.policy.verdict import Arm, Comparison, Rules, judge_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Orders = Sequence[Sequence[str]]

EXPERIMENTS: Final = 1000
BLOCKS: Final = 6
RULES: Final = Rules(higher_is_better=True)

#: How much faster the machine is at the end of an experiment than at its start.
DRIFT: Final = 0.1

#: Standard deviation of the ratio of two arms from block to block, all that moves it taken together.
SPREAD: Final = 0.05

#: What the drift has in it: two runs next to each other among twelve are this far apart.
DRIFT_A_RUN: Final = DRIFT / (2 * BLOCKS - 1) / (1 + DRIFT / 2)

#: The rest is luck, of either arm alike.
LUCK: Final = math.sqrt((SPREAD**2 - DRIFT_A_RUN**2) / 2)


def interleaved(arms: Sequence[str], seed: int) -> Orders:
    """Run every arm in every block, in the order that a real experiment takes."""
    return schedule(arms, BLOCKS, seed)


def one_after_the_other(arms: Sequence[str], _seed: int) -> Orders:
    """Run all blocks of the first arm, then all of the next: AAABBB."""
    runs = [arm for arm in arms for _ in range(BLOCKS)]
    return [runs[start : start + len(arms)] for start in range(0, len(runs), len(arms))]


def experiment(true: Mapping[str, float], order: Callable[[Sequence[str], int], Orders], seed: int) -> list[Arm]:
    """Run arms of known throughput on a machine that drifts and has waves.

    A wave of 3 to 15 % (one size an experiment) takes hold of whatever runs within the time of one block; the drift
    goes on from run to run; and each run has luck of its own.
    """
    rng = random.Random(f"experiment/{seed}")
    wave = rng.uniform(0.03, 0.15)
    orders = order(list(true), seed)
    runs = sum(map(len, orders))
    found: dict[str, list[float]] = {name: [] for name in true}
    done = 0
    for block in orders:
        level = rng.gauss(0, wave)
        for name in block:
            luck = rng.gauss(0, LUCK)
            found[name].append(true[name] * math.exp(level + luck) * (1 + DRIFT * done / (runs - 1)))
            done += 1
    return [Arm(name=name, values=tuple(values), instrument_error=0.0) for name, values in found.items()]


def judged(arms: list[Arm]) -> tuple[Comparison, ...]:
    """Judge an experiment."""
    return judge_all(arms, RULES)


def by_itself(arm: Arm) -> PairedRatio:
    """Return an arm's own mean and interval, as if it had been measured alone."""
    return paired_ratio([value or math.nan for value in arm.values], [1.0] * len(arm.values))


def share(
    true: Mapping[str, float], order: Callable[[Sequence[str], int], Orders], found: Callable[[list[Arm]], bool]
) -> float:
    """Return the share of experiments in which something was found."""
    return sum(found(experiment(true, order, seed)) for seed in range(EXPERIMENTS)) / EXPERIMENTS


def has_winner(arms: list[Arm]) -> bool:
    """Tell whether any pair has a winner."""
    return any(comparison.verdict.outcome in {"a_faster", "b_faster"} for comparison in judged(arms))


def excludes_one(arms: list[Arm]) -> bool:
    """Tell whether the interval of any pair excludes 1, however small the effect."""
    ends = [(comparison.verdict.judged.low, comparison.verdict.judged.high) for comparison in judged(arms)]
    return any(low is not None and high is not None and not low <= 1 <= high for low, high in ends)


def intervals_do_not_overlap(arms: list[Arm]) -> bool:
    """Tell whether the arms' own intervals are apart, without looking at pairs."""
    a, b = (by_itself(arm) for arm in arms)
    ends = (a.low or math.nan, a.high or math.nan, b.low or math.nan, b.high or math.nan)
    return ends[0] > ends[3] or ends[2] > ends[1]


def is_right(arms: list[Arm]) -> bool:
    """Tell whether the second arm won."""
    return judged(arms)[0].verdict.outcome == "b_faster"


@pytest.mark.parametrize("arms", [2, 3])
def test_r33_differences_that_are_none_are_rare(arms: int) -> None:
    """Among equal arms, two or three, at most 7 % of experiments tell of any difference, however small."""
    assert share({f"arm {number}": 100.0 for number in range(arms)}, interleaved, excludes_one) <= 0.07


def test_r35_winners_that_are_none_are_rarer() -> None:
    """Of two equal arms one is called faster in at most 2 % of experiments, for chance also has to reach 5 %."""
    assert share({"a": 100.0, "b": 100.0}, interleaved, has_winner) <= 0.02


def test_r33_a_difference_of_a_tenth_is_found() -> None:
    """At six blocks and 5 % of spread at least 95 % of experiments find the arm that is a tenth faster."""
    assert share({"a": 100.0, "b": 110.0}, interleaved, is_right) >= 0.95


def test_r25_one_arm_after_the_other_finds_what_is_not_there() -> None:
    """The same arms run one after the other, so that the drift falls on one of them, are told apart far too often."""
    assert share({"a": 100.0, "b": 100.0}, one_after_the_other, excludes_one) >= 0.15


def test_r35_two_intervals_miss_what_pairs_find() -> None:
    """Whether two separate intervals overlap misses the difference of a tenth in most experiments."""
    assert share({"a": 100.0, "b": 110.0}, interleaved, intervals_do_not_overlap) <= 0.2


def test_r34_intervals_hold_the_truth_through_drift_and_waves() -> None:
    """Of the 95 % intervals of a real experiment's order between 93 and 97 % hold the true ratio."""

    def holds(arms: list[Arm]) -> bool:
        ratio = judged(arms)[0].verdict.ratio
        return ratio.low is not None and ratio.high is not None and ratio.low <= 1 / 1.1 <= ratio.high

    assert 0.93 <= share({"a": 100.0, "b": 110.0}, interleaved, holds) <= 0.97
