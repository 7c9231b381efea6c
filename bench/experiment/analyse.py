"""What an experiment's cells say together: each arm over its blocks, every pair judged, and the sentences on top."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from bench.experiment.figures import Figures
from bench.experiment.headline import headline
from bench.experiment.instrument import instrument_error
from bench.experiment.judged import null_figure
from bench.experiment.readings import STEP_TASKS
from bench.experiment.records import Analysis, ArmRow, Comparison, ObjectiveRow, Scaling
from bench.experiment.work import work_differences
from bench.policy.paired import paired_ratio
from bench.policy.scaling import LoadPoint, knee
from bench.policy.schedule import order_faults
from bench.policy.stability import stability_warnings
from bench.policy.statistics import SAMPLES_NEEDED
from bench.policy.usl import usl
from bench.policy.validity import bars_verdict, unmeasured
from bench.policy.verdict import Arm as JudgedArm
from bench.policy.verdict import Rules, judge_all
from bench.policy.verdict_words import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bench.experiment.records import Arm, Cell, ComparisonKind, Experiment
    from bench.policy.objectives import AggregateResult

#: What arms are compared in, and whether more of it is better.
METRICS: Final = {
    "throughput": True,
    "goodput": True,
    "latency_p50": False,
    "ttft_p50": False,
    "client_lag_p50": False,
    "cold": False,
    "cpu_us_per_task": False,
}

#: What a fact takes to be measured, where a short cell does without it.
_TAKES: Final = {
    "wakeup_lag_p99_s": f"takes {SAMPLES_NEEDED['p99']} samples, a cell of 13 s",
    "latency_step": f"takes {STEP_TASKS} answers in the steady part",
}

#: Severities of a reason that say whose limit was seen.
_LIMITS: Final = ("client-limited", "server-limited")


def analyse(experiment: Experiment) -> Analysis:
    """Judge an experiment by the cells that it has."""
    plan = experiment.plan
    cells = [cell for cell in experiment.cells if cell.kind == "measurement"]
    by_arm = {arm.name: _by_block(cells, arm.name, len(plan.order)) for arm in plan.arms}
    rows = tuple(_row(arm, [cell for cell in by_arm[arm.name] if cell is not None]) for arm in plan.arms)
    whole = [order for block, order in enumerate(plan.order) if all(by_arm[name][block] for name in order)]
    bars = order_faults(whole) if whole else ()
    ceilings = {arm.name: null_figure(experiment.cells, arm, "ceiling", "throughput") for arm in plan.arms}
    judge = _Judge(by_arm, {row.arm: row for row in rows}, ceilings, bars)
    comparisons = tuple(judge.comparisons(plan.arms))
    return Analysis(
        headline=headline(plan, rows, comparisons),
        arms=rows,
        differences=tuple(work_differences(plan.arms, by_arm)),
        comparisons=comparisons,
        scaling=tuple(_scaling(plan.arms, by_arm, rows)),
        warnings=tuple(_warnings(experiment, by_arm)),
        unchecked=tuple(_unchecked(cells)),
    )


def metric_value(figures: Figures, metric: str) -> float | None:
    """Return a figure by its metric's name, which leaves the unit out: `ttft_p95` is `ttft_p95_s`."""
    value: float | None = getattr(figures, metric, None)
    return getattr(figures, f"{metric}_s", None) if value is None else value


def _by_block(cells: Iterable[Cell], arm: str, blocks: int) -> list[Cell | None]:
    found: list[Cell | None] = [None] * blocks
    for cell in cells:
        if cell.arm == arm:
            found[cell.block] = cell
    return found


def _row(arm: Arm, cells: Sequence[Cell]) -> ArmRow:
    """Return an arm over its blocks; cells that do not count are left out of its figures unless none does."""
    counting = [cell for cell in cells if cell.valid] or cells
    names = Figures.__struct_fields__
    columns = {name: [getattr(cell.figures, name) for cell in counting] for name in names}
    medians = {
        name: statistics.median([value for value in column if value is not None])
        for name, column in columns.items()
        if any(value is not None for value in column)
    }
    rates = [cell.figures.throughput for cell in counting if cell.figures.throughput]
    lag_s, ttft_s = medians.get("client_lag_p50_s"), medians.get("ttft_p50_s")
    severities = {reason.severity for cell in cells for reason in cell.reasons}
    return ArmRow(
        arm=arm.name,
        transport=next((cell.transport for cell in cells if cell.transport), None),
        blocks=sum(cell.valid for cell in cells),
        figures=Figures(**medians),
        # An arm against a constant 1: the ratio is the arm's own geometric mean, with its interval.
        throughput=paired_ratio(rates, [1.0] * len(rates)) if rates else None,
        client_share=lag_s / ttft_s if lag_s is not None and ttft_s else None,
        limits=tuple(limit for limit in _LIMITS if limit in severities),
        invalid=_why_invalid(cells),
        objectives=tuple(_objective_rows(counting)),
    )


def _objective_rows(cells: Sequence[Cell]) -> Iterator[ObjectiveRow]:
    """Yield what became of each objective on a percentile."""
    judged: dict[str, list[AggregateResult]] = {}
    for cell in cells:
        for result in cell.objectives:
            judged.setdefault(str(result.objective), []).append(result)
    for name, results in judged.items():
        known = [result.value_s for result in results if result.value_s is not None]
        yield ObjectiveRow(
            objective=name,
            value_s=statistics.median(known) if known else None,
            met=sum(result.met is True for result in results),
            missed=sum(result.met is False for result in results),
            untold=sum(result.met is None for result in results),
        )


def _why_invalid(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return each rule that a cell broke, with how often; a cell that gave no figures breaks one too."""
    broken: dict[str, list[str]] = {}
    for cell in cells:
        if cell.error is not None:
            broken.setdefault("error", []).append(cell.error)
        for reason in cell.reasons:
            if bars_verdict((reason,)):
                broken.setdefault(reason.rule, []).append(reason.sentence)
    return tuple(
        f"{words[0]} ({len(words)} of {len(cells)} cells)" if len(cells) > 1 else words[0] for words in broken.values()
    )


class _Judge:
    """Judges pairs of arms by their cells.

    Args:
        by_arm: Each arm's cells by block.
        rows: Each arm over its blocks.
        ceilings: What each arm does against a server that answers at once, in tasks a second.
        bars: What bars any verdict.
    """

    def __init__(
        self,
        by_arm: Mapping[str, Sequence[Cell | None]],
        rows: Mapping[str, ArmRow],
        ceilings: Mapping[str, float | None],
        bars: Sequence[str],
    ) -> None:
        self._by_arm = by_arm
        self._rows = rows
        self._ceilings = ceilings
        self._bars = bars

    def comparisons(self, arms: Sequence[Arm]) -> Iterator[Comparison]:
        """Yield one for every pair of modes of one N and client, and of clients of one mode and N."""
        for group in _grouped(arms, lambda arm: (arm.client, arm.concurrency)):
            yield from self._of_group("modes", group)
        originals = [arm for arm in arms if arm.again is None]
        for group in _grouped(originals, lambda arm: (arm.mode, arm.concurrency)):
            yield from self._of_group("clients", group)

    def _of_group(self, kind: ComparisonKind, group: Sequence[Arm]) -> Iterator[Comparison]:
        for metric, higher_is_better in METRICS.items():
            judged = [self._judged(arm, metric) for arm in group]
            # Cells that do not count still get their verdict said: that there is none, and why.
            if len(judged) < 2 or not any(self._measured(arm, metric) for arm in group):  # noqa: PLR2004 - a pair
                continue
            for found in judge_all(judged, Rules(higher_is_better=higher_is_better), bars=self._bars):
                yield Comparison(
                    metric=metric,
                    kind="again" if found.is_control else kind,
                    a=found.a,
                    b=found.b,
                    words=sentence(
                        found.verdict, found.a, found.b, metric, client_limited=self._client_limited(found.a, found.b)
                    ),
                    verdict=found.verdict,
                )

    def _client_limited(self, *names: str) -> tuple[str, ...]:
        return tuple(name for name in names if "client-limited" in self._rows[name].limits)

    def _measured(self, arm: Arm, metric: str) -> bool:
        cells = self._by_arm[arm.name]
        return any(cell is not None and metric_value(cell.figures, metric) is not None for cell in cells)

    def _judged(self, arm: Arm, metric: str) -> JudgedArm:
        cells, row = self._by_arm[arm.name], self._rows[arm.name]
        done = [cell for cell in cells if cell is not None]
        counting = [cell for cell in done if cell.valid] or done
        error = instrument_error(metric, counting, self._ceilings[arm.name])
        return JudgedArm(
            name=arm.name,
            values=tuple(metric_value(cell.figures, metric) if cell and cell.valid else None for cell in cells),
            invalid=row.invalid if row.blocks == 0 else (),
            instrument_error=error.share,
            instrument=error.words,
            twin_of=arm.again,
        )


def _grouped(arms: Sequence[Arm], key: Callable[[Arm], tuple[object, ...]]) -> list[list[Arm]]:
    groups: dict[tuple[object, ...], list[Arm]] = {}
    for arm in arms:
        groups.setdefault(key(arm), []).append(arm)
    return list(groups.values())


def _scaling(arms: Sequence[Arm], by_arm: dict[str, list[Cell | None]], rows: Sequence[ArmRow]) -> Iterator[Scaling]:
    known = {row.arm: row for row in rows}
    lines: dict[str, list[Arm]] = {}
    for arm in arms:
        if arm.again is None:
            lines.setdefault(f"{arm.client}/{arm.mode}", []).append(arm)
    for name, members in lines.items():
        points = []
        for arm in members:
            rate = known[arm.name].throughput
            if rate is not None and rate.ratio is not None and rate.low is not None and rate.high is not None:
                figures = known[arm.name].figures
                points.append(
                    LoadPoint(
                        n=arm.concurrency,
                        throughput_per_s=rate.ratio,
                        low_per_s=rate.low,
                        high_per_s=rate.high,
                        latency_p95_s=figures.latency_p95_s,
                    )
                )
        if len(points) > 1:
            seen = [
                (arm.concurrency, cell.figures.throughput)
                for arm in members
                for cell in by_arm[arm.name]
                if cell is not None and cell.valid and cell.figures.throughput
            ]
            yield Scaling(name=name, knee=knee(points), usl=usl(seen))


def _warnings(experiment: Experiment, by_arm: dict[str, list[Cell | None]]) -> Iterator[str]:
    if experiment.plan.dropped:
        left_out = ", ".join(experiment.plan.dropped)
        yield f"left out to keep within the budget: {left_out}"
    for name, cells in by_arm.items():
        values = [cell.figures.throughput for cell in cells if cell is not None and cell.figures.throughput]
        yield from (f"{name}: {words}" for words in stability_warnings(values))


def _unchecked(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield which rules were not held against cells, because what they are about was not measured."""
    missing = Counter(name for cell in cells if cell.error is None for name in unmeasured(cell.facts))
    by_count: dict[int, list[str]] = {}
    for name, cells_without in missing.items():
        by_count.setdefault(cells_without, []).append(name)
    for number, names in sorted(by_count.items(), reverse=True):
        which = "any cell" if number == len(cells) else f"{number} of {len(cells)} cells"
        yield f"not measured in {which}, so that no rule about it was checked: {', '.join(map(_with_need, names))}"


def _with_need(name: str) -> str:
    return f"{name} ({_TAKES[name]})" if name in _TAKES else name


def with_analysis(experiment: Experiment) -> Experiment:
    """Return the experiment with what its cells say."""
    return msgspec.structs.replace(experiment, analysis=analyse(experiment))
