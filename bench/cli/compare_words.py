"""What `compare` says: its plan before anything is sent, a line for each cell, and the verdicts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.text import Text

from bench.cli.messages import note, say
from bench.clock import NS_PER_S
from bench.experiment.headline import first_metric
from bench.experiment.loads import loads
from bench.observe.layout import rows, write
from bench.observe.terminal import output_console
from bench.observe.text import printable
from bench.policy.verdict_words import metric_words

if TYPE_CHECKING:
    from rich.console import Console

    from bench.experiment.records import Arm, ArmRow, Cell, CellKind, Comparison, Experiment, Plan


def say_plan(plan: Plan, before: Experiment | None = None) -> None:
    """Say what is going to be done, how long it should take, and what is left out.

    Args:
        plan: The plan.
        before: The baseline, if there is one.
    """
    pace = plan.pace
    tasks = ", ".join(f"{count} at N = {n}" for n, count in sorted(plan.tasks.items()))
    note(f"pace:     first token after {pace.ttft_s * 1e3:.0f} ms, {pace.tokens} tokens, {pace.latency_s:.2f} s in all")
    note(f"plan:     {len(plan.arms)} arms, {len(plan.order)} blocks in random order (seed {plan.seed})")
    note(f"tasks:    {tasks}")
    if before is not None:
        note(f"baseline: {before.experiment_id}; {_work_against(plan, before)}")
    if plan.rate_per_s is not None:
        note(f"load:     open loop, {plan.rate_per_s:g} arrivals a second, at most N in flight")
    of_budget = f" of {_duration(plan.budget_s)}" if plan.budget_s else ""
    note(f"estimate: {_duration(plan.estimate_s)}{of_budget}")
    for name, cost_s in plan.dropped.items():
        note(f"left out to keep within the budget: {name} ({_duration(cost_s)})")
    if plan.budget_s is not None and plan.estimate_s > plan.budget_s:
        note("even so the budget will not do: name fewer --modes, --concurrency or --client, or a larger --budget")


def _work_against(plan: Plan, before: Experiment) -> str:
    """Say whether the work is the baseline's."""
    if plan.rate_per_s != before.plan.rate_per_s:
        return "its load is another, so no gate on it will be shown"
    if plan.source != before.plan.source:
        return "its tasks are others, or it did not keep which"
    more = [str(n) for n, count in sorted(plan.tasks.items()) if count != before.plan.tasks.get(n, count)]
    if not more:
        return "as many tasks as it had"
    return f"as many tasks as it had, but more at N = {', '.join(more)}: its own would be over too soon"


class CompareWatcher:
    """Writes a line for each cell: what it gave, how far the experiment is, and the time left.

    Args:
        experiment: As it begins.
        nulls: Null servers that each arm asks once before the first block.
        quiet: Whether nothing is written.
    """

    def __init__(self, experiment: Experiment, *, nulls: int, quiet: bool) -> None:
        self._quiet = quiet
        plan = experiment.plan
        self._all = sum(map(len, plan.order)) + nulls * sum(arm.again is None for arm in plan.arms)
        self._done = len(experiment.cells)
        self._began_with = self._done
        self._began_ns = time.perf_counter_ns()
        self._blocks = len(plan.order)

    def __repr__(self) -> str:
        """Show how far it is."""
        return f"<CompareWatcher {self._done} of {self._all}>"

    def begun(self, arm: Arm, kind: CellKind, block: int) -> None:
        """Do nothing: a cell takes seconds."""

    def ended(self, cell: Cell) -> None:
        """Write a cell's line."""
        self._done += 1
        if self._quiet:
            return
        figures = cell.figures
        what = f"block {cell.block + 1}/{self._blocks}" if cell.kind == "measurement" else cell.kind
        parts = [f"{figures.throughput:,.1f} tasks/s" if figures.throughput is not None else "no steady part"]
        if figures.ttft_p50_s is not None:
            parts.append(f"TTFT {figures.ttft_p50_s * 1e3:.1f} ms")
        if figures.cpu_us_per_task is not None:
            parts.append(f"{figures.cpu_us_per_task:,.0f} us CPU")
        if cell.facts.offered_per_s and cell.facts.achieved_per_s is not None:
            parts.append(f"{cell.facts.achieved_per_s:,.1f} of {cell.facts.offered_per_s:,.1f} arrivals/s sent")
        trouble = cell.error or next((r.sentence for r in cell.reasons if r.severity == "invalid"), "")
        if trouble and cell.kind == "measurement":
            parts.append(f"INVALID: {printable(trouble)}")
        note(f"{what:<11} {cell.arm:<32} {', '.join(parts)}; {self._left()}")

    def _left(self) -> str:
        spent_s = (time.perf_counter_ns() - self._began_ns) / NS_PER_S
        each_s = spent_s / max(1, self._done - self._began_with)
        return f"{_duration(each_s * max(0, self._all - self._done))} left"


def say_analysis(experiment: Experiment) -> None:
    """Say what came out: the sentences, a row for each arm, the verdicts on throughput, and what speaks against it."""
    analysis = experiment.analysis
    if analysis is None:
        return
    # What was not alike comes before any winner.
    for words in (*(f"not alike: {words}" for words in analysis.differences), *analysis.headline):
        say(printable(words))
    console = output_console(sys.stdout)
    write(console, Text("Arms", style="bold"), rows([_arm_cells(row) for row in analysis.arms], console.width - 1))
    _say_loads(console, experiment)
    for row in analysis.arms:
        for goal in row.objectives:
            value = "" if goal.value_s is None else f" ({_ms(goal.value_s)} ms)"
            say(printable(f"objective {goal.objective}: {row.arm}: {goal.words}{value}"))
    judged = [each for each in analysis.comparisons if each.metric == first_metric(experiment.plan)]
    if judged:
        write(console, Text(f"Verdicts on {metric_words(judged[0].metric)}", style="bold"))
        for each in judged:
            say(f"  {_verdict_line(each)}")
    for words in (*analysis.warnings, *analysis.unchecked):
        note(printable(words))


def _say_loads(console: Console, experiment: Experiment) -> None:
    """Say what arrived in an open loop and what of it was sent."""
    found = [
        {
            "arm": load.arm,
            "offered/s": f"{load.offered_per_s:,.1f}",
            "sent/s": "-" if load.achieved_per_s is None else f"{load.achieved_per_s:,.1f}",
            "dropped": f"{load.dropped:,}",
            "overloaded\nblocks": f"{load.overloaded} of {load.blocks}",
        }
        for load in loads(experiment)
    ]
    if found:
        write(console, Text("Arrivals", style="bold"), rows(found, console.width - 1))


def _verdict_line(each: Comparison) -> str:
    """Return a verdict in one sentence; of several reasons why there is none the first, the report has them all."""
    words, reasons = each.words, each.verdict.reasons
    if len(reasons) > 1:
        words = f"no verdict between {each.a} and {each.b}: {reasons[0]}; and {len(reasons) - 1} more reasons"
    return printable(f"{'control: ' if each.kind == 'again' else ''}{words}.")


def _arm_cells(row: ArmRow) -> dict[str, str]:
    figures, rate = row.figures, row.throughput
    interval = (
        f"{rate.low:,.1f} to {rate.high:,.1f}" if rate and rate.low is not None and rate.high is not None else "-"
    )
    return {
        "arm": row.arm,
        "blocks": str(row.blocks),
        "tasks/s": f"{rate.ratio:,.1f}" if rate and rate.ratio is not None else "-",
        "95 %\ninterval": interval,
        "TTFT\np50 ms": _ms(figures.ttft_p50_s),
        "latency\np95 ms": _ms(figures.latency_p95_s),
        "client adds\nms": "-" if figures.client_lag_p50_s is None else f"{figures.client_lag_p50_s * 1e3:.2f}",
        "CPU us\na task": "-" if figures.cpu_us_per_task is None else f"{figures.cpu_us_per_task:,.0f}",
        "MB": "-" if figures.peak_pss_mb is None else f"{figures.peak_pss_mb:,.0f}",
        "status": "INVALID" if row.invalid and not row.blocks else ", ".join(row.limits) or "valid",
    }


def _ms(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s * 1e3:,.1f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"  # noqa: PLR2004 - two digits say enough
