"""What an experiment set out to do, on which machine, and how to do it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.report.numbers import count, number, of_things, seconds
from bench.report.provenance import flat
from bench.report.table import Cell, Table, texts
from bench.report.visible import visible
from bench.report.words import utc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.experiment.records import Plan
    from bench.report.experiment.shown import ShownExperiment

_VALUE_AT_MOST: Final = 300


def facts(shown: ShownExperiment) -> tuple[tuple[str, str], ...]:
    """Return name and value of what was compared, for the head of the page."""
    plan = shown.experiment.plan
    modes = dict.fromkeys(arm.mode for arm in plan.arms)
    levels = sorted({arm.concurrency for arm in plan.arms})
    measured = [cell for each in shown.arms for cell in each.cells]
    loads = dict.fromkeys(cell.facts.load_model for cell in measured if cell.error is None)
    loop = " and ".join(loads) or ("closed" if plan.rate_per_s is None else "open")
    rate = "" if plan.rate_per_s is None else f", {number(plan.rate_per_s)} arrivals/s"
    return (
        ("Modes", ", ".join(modes)),
        ("Load", f"{loop} loop{rate}, N = {', '.join(count(n) for n in levels)}"),
        ("Clients", ", ".join(visible(client) for client in shown.clients)),
        ("Blocks", f"{len(plan.order)}, each with every arm in random order"),
        ("Cells", f"{count(sum(cell.valid for cell in measured))} of {of_things(len(measured), 'measurement')} count"),
        ("Status", f"{shown.experiment.status}, {utc(visible(shown.experiment.started_at))}"),
    )


def heading(shown: ShownExperiment) -> str:
    """Return the title of the page."""
    modes = list(dict.fromkeys(arm.mode for arm in shown.experiment.plan.arms))
    return (
        f"{', '.join(modes[:-1])} and {modes[-1]} compared"
        if len(modes) > 1
        else f"{modes[0] if modes else 'nothing'} measured"
    )


def plan_table(shown: ShownExperiment) -> Table:
    """Return what was decided before anything was sent."""
    return Table(
        name="plan",
        title="Plan",
        columns=texts("name", "value"),
        rows=tuple((Cell(text=name), Cell(text=visible(value, at_most=2000))) for name, value in _plan(shown)),
        folded=True,
    )


def _plan(shown: ShownExperiment) -> Iterator[tuple[str, str]]:
    plan = shown.experiment.plan
    yield from _seeds(plan)
    yield "arms", ", ".join(arm.name for arm in plan.arms)
    yield "tasks of a cell", ", ".join(f"{count(tasks)} at N = {n}" for n, tasks in sorted(plan.tasks.items()))
    pace = plan.pace
    yield (
        "pace of the server",
        (
            f"{seconds(pace.ttft_s)} to the first token, {seconds(pace.icl_s)} between two, "
            f"{of_things(pace.tokens, 'token')}, {seconds(pace.latency_s)} a lone request"
        ),
    )
    yield "objectives", plan.objectives or "none"
    yield "estimate", seconds(plan.estimate_s)
    yield "budget", "none" if plan.budget_s is None else seconds(plan.budget_s)
    dropped = ", ".join(f"{name} ({number(cost_s)} s)" for name, cost_s in plan.dropped.items())
    yield "left out for the budget", dropped or "nothing"
    for block, order in enumerate(plan.order, start=1):
        yield f"order of block {block}", ", ".join(order)


def _seeds(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.seeds is None:
        yield "seed", f"{plan.seed} (order of the arms; a cell's own seed is 1000 times it, plus its block)"
        return
    yield "seed of the order", f"{plan.seeds.order}"
    yield "seeds of arrivals, by block", ", ".join(map(str, plan.seeds.arrivals))
    yield "seeds of jitter, by block", ", ".join(map(str, plan.seeds.jitter))
    samples = plan.seeds.samples
    yield "seed of the tasks", "none: they come in the order of their source" if samples is None else f"{samples}"


def environment_table(shown: ShownExperiment) -> Table:
    """Return machine, versions and whom was asked."""
    experiment = shown.experiment
    found = {**experiment.environment, "endpoint": experiment.endpoint, "settings": experiment.settings}
    return Table(
        name="environment",
        title="Environment",
        columns=texts("name", "value"),
        rows=tuple((Cell(text=visible(name, at_most=_VALUE_AT_MOST)), Cell(text=value)) for name, value in flat(found)),
        folded=True,
        empty="None was recorded.",
    )
