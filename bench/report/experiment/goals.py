"""The tables of what was asked of the arms: objectives on percentiles, and the arrivals of an open loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.experiment.loads import loads
from bench.report.numbers import count, in_unit, number
from bench.report.table import Cell as Field
from bench.report.table import Table, cells, figures, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.report.experiment.shown import ShownExperiment


def goal_tables(shown: ShownExperiment) -> Iterator[Table]:
    """Yield the tables that an experiment has something to say in."""
    objectives, arrivals = objectives_table(shown), arrivals_table(shown)
    if objectives.rows:
        yield objectives
    if arrivals.rows:
        yield arrivals


def objectives_table(shown: ShownExperiment) -> Table:
    """Return what became of each objective on a percentile, by arm."""
    return Table(
        name="objectives",
        title="Objectives on percentiles",
        intro="Judged in every block on the successes of its steady part; a percentile takes samples enough. What each "
        "task has to meet by itself is goodput.",
        columns=(*texts("arm", "objective", "outcome"), *figures("median over blocks (ms)")),
        rows=tuple(
            cells(each.name, visible(goal.objective), goal.words, in_unit(goal.value_s, "ms"))
            for each in shown.arms
            for goal in each.row.objectives
        ),
        empty="No objective on a percentile was given.",
    )


def arrivals_table(shown: ShownExperiment) -> Table:
    """Return what arrived in an open loop, what of it was sent, and whether it was more than was answered."""
    return Table(
        name="arrivals",
        title="Arrivals: offered and sent",
        intro="An open loop. Dropped: arrivals that found no free slot in time. Overload: requests under way and the "
        "time to their first token both rose until the end of the block, which then does not count.",
        columns=(*texts("arm"), *figures("offered/s", "sent/s", "dropped"), *texts("overload")),
        rows=tuple(
            (
                Field(text=visible(load.arm)),
                *cells(number(load.offered_per_s), number(load.achieved_per_s), count(load.dropped)),
                Field(text=f"in {load.overloaded} of {load.blocks} blocks" if load.overloaded else "no"),
            )
            for load in loads(shown.experiment)
        ),
        empty="A closed loop: each slot sends its next request when its last one has ended.",
    )
