"""Which of two arms is faster, or that they are equivalent, or that the blocks do not tell."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bench.policy.paired import PairedRatio, blocks_needed, holm, holm_confidences, paired_ratio, times

if TYPE_CHECKING:
    from collections.abc import Sequence

Outcome = Literal["a_faster", "b_faster", "equivalent", "no_verdict"]

#: An interval half as wide as the effect finds it every other time; one of 0.7 of it in about four of five.
_SHARE_OF_EFFECT: Final = 0.7


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict takes.

    Attributes:
        higher_is_better: Whether the arm with the larger figure is the faster one.
        min_effect: The smallest difference that is called one, and the widest that is called equivalent; 0.05 is a
            ratio of 1.05 or of 1/1.05.
        min_blocks: Below 6 even a difference of the same sign in every block may be chance (sign-flip p of 0.0625).
        confidence: Of the family of all comparisons.
    """

    higher_is_better: bool
    min_effect: float = 0.05
    min_blocks: int = 6
    confidence: float = 0.95


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's figures in an experiment.

    Attributes:
        name: As shown.
        values: One figure a block; None where a block has none.
        invalid: Why its cells do not count, a sentence each; empty for valid ones.
        instrument_error: Relative error of its figures that is the instrument's own; None if not calibrated, infinite
            where all of a figure may be.
        instrument: What makes that error, in words; may be empty.
        twin_of: The name of the arm that this one repeats under another label (A/A), or None.
    """

    name: str
    values: tuple[float | None, ...]
    invalid: tuple[str, ...] = ()
    instrument_error: float | None = None
    instrument: str = ""
    twin_of: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the blocks say about arm a against arm b.

    Attributes:
        outcome: `no_verdict` where anything bars one or the interval is too wide.
        ratio: a over b, with its interval by itself.
        judged: The same ratio with the interval that was judged, widened where several comparisons share the risk.
        comparisons: How many comparisons share it.
        adjusted_p: The p value after Holm's adjustment over the family; None below two blocks.
        reasons: Why there is no verdict, a sentence each.
        blocks_needed: About how many blocks would give one, as the spread is so far; None with a verdict, and where
            no number of blocks would.
    """

    outcome: Outcome
    ratio: PairedRatio
    judged: PairedRatio
    comparisons: int
    adjusted_p: float | None
    reasons: tuple[str, ...] = ()
    blocks_needed: int | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and the arms that it is about; `is_control` where one arm is the other's twin."""

    a: str
    b: str
    verdict: Verdict
    is_control: bool = False


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison's place among those that share the risk of a false difference.

    Attributes:
        comparisons: How many there are.
        confidence: At which this one's interval is judged (`holm_confidences`); None for that of the rules.
        adjusted_p: Its p value after Holm's adjustment; None for its own.
    """

    comparisons: int = 1
    confidence: float | None = None
    adjusted_p: float | None = None


def judge(a: Arm, b: Arm, rules: Rules, *, family: Family | None = None, bars: Sequence[str] = ()) -> Verdict:
    """Judge arm a against arm b.

    One is faster only if the interval of the paired ratio excludes 1, the effect is at least `min_effect` and above
    the instrument's error, and all cells are valid; the two are equivalent only if the interval lies within
    `min_effect` and the instrument is finer than that. A comparison of two separate intervals is not made: it would
    miss most of what blocks can show.

    Args:
        a: One arm.
        b: The other, with a figure for the same blocks.
        rules: What a verdict takes.
        family: The comparison's place among others; None if it is the only one.
        bars: What bars any verdict of this experiment, a sentence each (a fixed order of arms, say).

    Raises:
        ValueError: Arms of unequal numbers of blocks.
    """
    family = family or Family()
    mine, theirs = _both(a, b)
    ratio = paired_ratio(mine, theirs, rules.confidence)
    judged = paired_ratio(mine, theirs, family.confidence or rules.confidence)
    adjusted_p = ratio.p_value if family.adjusted_p is None else family.adjusted_p
    outcome = _outcome(judged, rules)
    few = _too_few(a, b, ratio, rules)
    others = (*_cell_bars(a, b), *bars, *_instrument_bars(a, b, ratio, rules, outcome))
    reasons, blocks = (*others, *few), None
    if reasons:
        outcome = "no_verdict"
        blocks = None if others else max(rules.min_blocks, _blocks_for_verdict(judged, rules) or 0)
    elif outcome == "no_verdict":
        reasons, blocks = (_undecided(judged, rules),), _blocks_for_verdict(judged, rules)
    return Verdict(
        outcome=outcome,
        ratio=ratio,
        judged=judged,
        comparisons=family.comparisons,
        adjusted_p=adjusted_p,
        reasons=reasons,
        blocks_needed=blocks,
    )


def judge_all(arms: Sequence[Arm], rules: Rules, *, bars: Sequence[str] = ()) -> tuple[Comparison, ...]:
    """Judge every pair of arms, with Holm's adjustment over the pairs.

    A twin is compared with the arm that it repeats, and with no other. That comparison is a control and stands first:
    where it finds a difference between an arm and itself, nothing else gets a verdict.

    Raises:
        ValueError: Arms of unequal numbers of blocks, two of one name, or a twin of no arm.
    """
    by_name = {arm.name: arm for arm in arms}
    stray = [arm.name for arm in arms if arm.twin_of is not None and arm.twin_of not in by_name]
    if len(by_name) < len(arms) or stray:
        msg = f"arms need names of their own and twins an arm to repeat, got {[arm.name for arm in arms]}"
        raise ValueError(msg)
    controls = [
        Comparison(
            a=arm.twin_of, b=arm.name, is_control=True, verdict=judge(by_name[arm.twin_of], arm, rules, bars=bars)
        )
        for arm in arms
        if arm.twin_of is not None
    ]
    failed = tuple(
        f"{control.a} differs from itself by a ratio of {times(control.verdict.ratio.ratio)}"
        for control in controls
        if control.verdict.outcome in {"a_faster", "b_faster"}
    )
    pairs = list(combinations([arm for arm in arms if arm.twin_of is None], 2))
    families = _families(pairs, rules)
    return (
        *controls,
        *(
            Comparison(a=a.name, b=b.name, verdict=judge(a, b, rules, family=family, bars=(*bars, *failed)))
            for (a, b), family in zip(pairs, families, strict=True)
        ),
    )


def _both(a: Arm, b: Arm) -> tuple[list[float], list[float]]:
    """Return the figures of the blocks in which both arms have one; none where one of them is no part of a ratio."""
    if len(a.values) != len(b.values):
        msg = f"{a.name} has {len(a.values)} blocks and {b.name} {len(b.values)}: arms are compared block by block"
        raise ValueError(msg)
    pairs = [
        (mine, theirs)
        for mine, theirs in zip(a.values, b.values, strict=True)
        if mine is not None and theirs is not None
    ]
    if any(_no_ratio(value) for pair in pairs for value in pair):
        return [], []
    return [mine for mine, _ in pairs], [theirs for _, theirs in pairs]


def _no_ratio(value: float | None) -> bool:
    """Tell whether a figure was taken that no ratio can be made of, as the throughput of a cell that finished nothing.

    To leave such a block out would judge an arm by its good blocks alone.
    """
    return value is not None and not (math.isfinite(value) and value > 0)


def _families(pairs: Sequence[tuple[Arm, Arm]], rules: Rules) -> list[Family]:
    """Return each pair's place; pairs that have no p value share no risk."""
    p_values = [paired_ratio(*_both(a, b), rules.confidence).p_value for a, b in pairs]
    tested = [p_value for p_value in p_values if p_value is not None]
    steps = iter(zip(holm_confidences(tested, rules.confidence), holm(tested), strict=True))
    families = []
    for p_value in p_values:
        confidence, adjusted_p = (None, None) if p_value is None else next(steps)
        families.append(Family(comparisons=len(tested), confidence=confidence, adjusted_p=adjusted_p))
    return families


def _too_few(a: Arm, b: Arm, ratio: PairedRatio, rules: Rules) -> tuple[str, ...]:
    """Return that there are too few blocks, if that is what there is to say."""
    if ratio.n >= rules.min_blocks or any(map(_no_ratio, (*a.values, *b.values))):
        return ()
    return (f"too few blocks: {ratio.n} have a figure of both, and a verdict takes {rules.min_blocks}",)


def _cell_bars(a: Arm, b: Arm) -> tuple[str, ...]:
    """Return which cells bar a verdict: those without a figure to compare, those that do not count."""
    figureless = [
        f"{arm.name} has a figure of {value} in block {block}, and no ratio can be made of it"
        for arm in (a, b)
        for block, value in enumerate(arm.values, start=1)
        if _no_ratio(value)
    ]
    return (*figureless, *(f"{arm.name} is INVALID: {why}" for arm in (a, b) for why in arm.invalid))


def _instrument_bars(a: Arm, b: Arm, ratio: PairedRatio, rules: Rules, outcome: Outcome) -> tuple[str, ...]:
    """Return why the instrument is too coarse for what the figures would say, if it is."""
    if ratio.ratio is None or outcome == "no_verdict":
        return ()
    if a.instrument_error is None or b.instrument_error is None:
        return ("the instrument's own error was not measured",)
    error, source = max((a.instrument_error, a.instrument), (b.instrument_error, b.instrument))
    size = f"{error:.1%}" if math.isfinite(error) else "all of it"
    why = f" ({source})" if source else ""
    if outcome == "equivalent":
        if error < rules.min_effect:
            return ()
        return (f"the instrument's own error of {size} is no finer than the {rules.min_effect:.0%} asked for{why}",)
    effect = max(ratio.ratio, 1 / ratio.ratio) - 1
    if effect > error:
        return ()
    return (f"the difference of {effect:.1%} is within the instrument's own error, {size}{why}",)


def _outcome(judged: PairedRatio, rules: Rules) -> Outcome:
    """Return what the figures alone say."""
    if judged.ratio is None or judged.low is None or judged.high is None:
        return "no_verdict"
    band = 1 + rules.min_effect
    if judged.low >= 1 / band and judged.high <= band:
        return "equivalent"
    if judged.low <= 1 <= judged.high or 1 / band < judged.ratio < band:
        return "no_verdict"
    return "a_faster" if (judged.ratio > 1) is rules.higher_is_better else "b_faster"


def _undecided(judged: PairedRatio, rules: Rules) -> str:
    """Say why an interval decides nothing."""
    if judged.low is None or judged.high is None:
        return "one block has no interval"
    interval = f"the interval {times(judged.low)} to {times(judged.high)}"
    if judged.low <= 1 <= judged.high:
        return f"{interval} holds 1 and reaches past {rules.min_effect:.0%}"
    return f"there is a difference, but {interval} does not tell whether it reaches {rules.min_effect:.0%}"


def _blocks_for_verdict(judged: PairedRatio, rules: Rules) -> int | None:
    """Return about how many blocks would tell, if ratio and spread stay as they are; never fewer than the rules ask."""
    if judged.ratio is None or judged.sd_log is None:
        return rules.min_blocks
    effect, band = abs(math.log(judged.ratio)), math.log(1 + rules.min_effect)
    width = _SHARE_OF_EFFECT * effect if effect >= band else band - effect
    needed = blocks_needed(judged.sd_log, width, judged.confidence) if width > 0 else None
    return None if needed is None else max(rules.min_blocks, needed)
