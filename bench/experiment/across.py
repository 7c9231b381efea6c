"""Two stored experiments compared, arm by arm: how their figures differ, and whether a verdict may be given."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bench.experiment.analyse import METRICS, metric_value
from bench.experiment.baseline import load_bars, same_work
from bench.experiment.work import arm_facts
from bench.policy.comparability import differences
from bench.policy.paired import holm_confidences, paired_ratio
from bench.policy.student import student_t_quantile, two_sided_p
from bench.policy.verdict import Rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bench.experiment.records import Arm, Experiment

Outcome = Literal["a_better", "b_better", "equivalent", "no_verdict"]

#: What of an environment is the machine's; versions and commits are what such a comparison is made for.
_MACHINE: Final = ("system", "cpu", "memory_bytes")

#: A spread needs two blocks.
_FEWEST: Final = 2

#: What grows with the number of tasks: it tells nothing where that is not the same.
_TOTALS: Final = frozenset({"cold"})


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's figure in experiment a over the same in b.

    Attributes:
        arm: Its name, in both.
        metric: What was compared.
        a: The figure in a, the geometric mean over blocks that count; b likewise.
        ratio: a over b; None where one has no figure.
        low: Lower end of the interval; like `high` None below two blocks.
        paired: Whether block was compared with block.
        blocks_a: Blocks that count, in a; `blocks_b` in b.
        outcome: `no_verdict` where the two may not be compared, or the interval does not tell.
    """

    arm: str
    metric: str
    a: float | None
    b: float | None
    ratio: float | None
    low: float | None
    high: float | None
    paired: bool
    blocks_a: int
    blocks_b: int
    outcome: Outcome


class Across(msgspec.Struct, frozen=True, kw_only=True):
    """What two experiments have in common, and how their arms differ.

    Attributes:
        bars: Why no verdict may be given across the two, a sentence each; empty where one may.
        differences: What arms did not do alike, a sentence each.
        changes: By metric, then arm.
        only_a: Arms that b does not have; `only_b` those that a does not have.
    """

    bars: tuple[str, ...]
    differences: tuple[str, ...]
    changes: tuple[Change, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


def across(a: Experiment, b: Experiment, metrics: Sequence[str] = tuple(METRICS)) -> Across:
    """Compare the arms that two experiments share.

    Blocks are paired where both experiments have the same plan: the same seed, order and tasks. Otherwise the interval
    is Welch's, of the difference of two means of logarithms. Intervals of one metric share the risk, after Holm.
    """
    arms_a, arms_b = ({arm.name: arm for arm in each.plan.arms if arm.again is None} for each in (a, b))
    shared = [name for name in arms_a if name in arms_b]
    bars = _bars(a, b, shared)
    paired = (a.plan.order, a.plan.seed, a.plan.tasks) == (b.plan.order, b.plan.seed, b.plan.tasks)
    uneven = [name for name in shared if len(set(_sizes(a, b, arms_a[name]))) > 1]
    changes: list[Change] = []
    for metric in metrics:
        found = {name: (_values(a, arms_a[name], metric), _values(b, arms_b[name], metric)) for name in shared}
        barred = shared if bars else uneven if metric in _TOTALS else ()
        changes += _family(metric, found, barred=barred, paired=paired)
    return Across(
        bars=bars,
        differences=tuple(_differences(a, b, [arms_a[name] for name in shared])),
        changes=tuple(changes),
        only_a=tuple(name for name in arms_a if name not in arms_b),
        only_b=tuple(name for name in arms_b if name not in arms_a),
    )


def _bars(a: Experiment, b: Experiment, shared: Sequence[str]) -> tuple[str, ...]:
    """Return why the two may not be compared."""
    found = []
    for part in _MACHINE:
        mine, theirs = a.environment.get(part), b.environment.get(part)
        if mine is None or theirs is None:
            found.append(f"it is not known whether {_named(part)} was the same")
        elif mine != theirs:
            found.append(f"{_named(part)} was not the same")
    found += load_bars(a, b)
    unlike = [name for name in shared if not same_work(a, b, name)]
    if unlike:
        words = f"for {len(unlike)} of {len(shared)} arms in common, such as {unlike[0]}"
        found.append(f"the work was not the same, or is not known, {words}")
    return tuple(found)


def _sizes(a: Experiment, b: Experiment, arm: Arm) -> tuple[int | None, int | None]:
    """Return how many tasks a cell of an arm had in each."""
    return a.plan.tasks.get(arm.concurrency), b.plan.tasks.get(arm.concurrency)


def _differences(a: Experiment, b: Experiment, arms: Sequence[Arm]) -> Iterator[str]:
    """Yield what arms did not do alike: how much of the same work, and what became of it."""
    for arm in arms:
        mine, theirs = _sizes(a, b, arm)
        if mine != theirs:
            uneven = ", ".join(sorted(_TOTALS))
            yield f"a cell of {arm.name} had {mine} tasks in A and {theirs} in B: {uneven} gets no verdict"
        facts = [arm_facts(each, arm, f"{arm.name} in {label}") for label, each in (("A", a), ("B", b))]
        found = [msgspec.structs.replace(each, workload_fingerprint=None) for each in facts if each is not None]
        if len(found) == len(facts):
            yield from differences(*found)


def _named(part: str) -> str:
    return {"system": "the operating system", "cpu": "the processor", "memory_bytes": "the memory"}[part]


def _values(experiment: Experiment, arm: Arm, metric: str) -> dict[int, float]:
    """Return an arm's figure by block, of the cells that count."""
    found = {
        cell.block: metric_value(cell.figures, metric)
        for cell in experiment.cells
        if cell.kind == "measurement" and cell.arm == arm.name and cell.valid
    }
    return {block: value for block, value in found.items() if value is not None and value > 0 and math.isfinite(value)}


Values = dict[int, float]


def _family(
    metric: str, found: Mapping[str, tuple[Values, Values]], *, barred: Collection[str], paired: bool
) -> list[Change]:
    alone = [_change(name, metric, pair, paired=paired, confidence=None) for name, pair in found.items()]
    tested = [place for place, (_, p) in enumerate(alone) if p is not None]
    levels = holm_confidences([p for _, p in alone if p is not None], Rules(higher_is_better=True).confidence)
    widened = dict(zip(tested, levels, strict=True))
    changes = []
    for place, (name, pair) in enumerate(found.items()):
        change, _ = _change(name, metric, pair, paired=paired, confidence=widened.get(place))
        outcome: Outcome = "no_verdict" if name in barred else _outcome(change, METRICS[metric])
        changes.append(msgspec.structs.replace(change, outcome=outcome))
    return changes


def _change(
    name: str, metric: str, values: tuple[Values, Values], *, paired: bool, confidence: float | None
) -> tuple[Change, float | None]:
    """Return how a figure differs, not yet judged, and the p value of no difference."""
    level = confidence or Rules(higher_is_better=True).confidence
    mine, theirs = values
    both = sorted(mine.keys() & theirs.keys())
    pairs = paired and len(both) >= _FEWEST
    if pairs:
        ratio = paired_ratio([mine[block] for block in both], [theirs[block] for block in both], level)
        found = (ratio.ratio, ratio.low, ratio.high, ratio.p_value)
    else:
        found = _unpaired(list(mine.values()), list(theirs.values()), level)
    return (
        Change(
            arm=name,
            metric=metric,
            a=statistics.geometric_mean(mine.values()) if mine else None,
            b=statistics.geometric_mean(theirs.values()) if theirs else None,
            ratio=found[0],
            low=found[1],
            high=found[2],
            paired=pairs,
            blocks_a=len(mine),
            blocks_b=len(theirs),
            outcome="no_verdict",
        ),
        found[3],
    )


def _unpaired(
    a: Sequence[float], b: Sequence[float], confidence: float
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return ratio, interval and p value of two sets of figures (Welch 1947, on logarithms)."""
    if not a or not b:
        return None, None, None, None
    logs = [[math.log(value) for value in values] for values in (a, b)]
    difference = statistics.fmean(logs[0]) - statistics.fmean(logs[1])
    if min(len(a), len(b)) < _FEWEST:
        return math.exp(difference), None, None, None
    parts = [statistics.variance(values) / len(values) for values in logs]
    error = math.sqrt(sum(parts))
    if error == 0:
        return math.exp(difference), math.exp(difference), math.exp(difference), float(difference == 0)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, logs, strict=True) if part
    )
    half = student_t_quantile((1 + confidence) / 2, freedom) * error
    return (
        math.exp(difference),
        math.exp(difference - half),
        math.exp(difference + half),
        two_sided_p(difference / error, freedom),
    )


def _outcome(change: Change, higher_is_better: bool) -> Outcome:  # noqa: FBT001 - from the table of metrics
    """Judge one change by the rules that a verdict within an experiment keeps to."""
    rules = Rules(higher_is_better=higher_is_better)
    ratio, low, high = change.ratio, change.low, change.high
    if ratio is None or low is None or high is None or min(change.blocks_a, change.blocks_b) < rules.min_blocks:
        return "no_verdict"
    limit = 1 + rules.min_effect
    if 1 / limit <= low and high <= limit:
        return "equivalent"
    if low <= 1 <= high or 1 / limit < ratio < limit:
        return "no_verdict"
    return "a_better" if (ratio > 1) == higher_is_better else "b_better"
