"""Where the time of a task went: its parts as a bar, and as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.report.chart import Chart
from bench.report.experiment.shown import INVALID
from bench.report.numbers import NOT_AVAILABLE, in_unit, seconds, unit_for
from bench.report.rows import Panel, Row, draw_rows
from bench.report.sheet import Mark
from bench.report.table import Cell as Field
from bench.report.table import Table, cells, figures, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.experiment.shown import ShownArm, ShownExperiment

#: The parts in the order in which they happen: field, name, the role of its colour, and what it is.
PARTS: Final = (
    ("queue_s", "queue", "phase1", "from the intended time until a worker began"),
    ("backoff_s", "retries", "phase2", "waits between attempts, and the attempts that failed"),
    ("connect_s", "connect", "phase3", "making connections, TLS included"),
    ("head_s", "answer's head", "phase4", "from sending to the answer's head"),
    ("first_token_s", "first token", "phase5", "from the head to the first token"),
    ("generation_s", "generation", "phase6", "from the first token to the last"),
    ("end_s", "end", "phase7", "from the last token to the end of the call"),
    ("parse_s", "parsing", "phase8", "where the client does it apart"),
    ("between_s", "between tasks", "phase9", "until the slot's next task: keeping the record, drawing a task"),
)

#: The parts in which a server is waited for.
_SERVER: Final = frozenset({"head_s", "first_token_s", "generation_s"})


def mean_phases(each: ShownArm) -> dict[str, float | None]:
    """Return each part's mean over the blocks that count, in seconds; None where no block has it."""
    found: dict[str, float | None] = {}
    for field, *_ in PARTS:
        values = [getattr(cell.phases, field) for cell in each.counting if cell.phases is not None]
        known = [value for value in values if value is not None]
        found[field] = math.fsum(known) / len(known) if known else None
    return found


def phase_chart(shown: ShownExperiment) -> Chart:
    """Return the chart of where the time went, a bar for each client's and mode's arm of the highest N."""
    name, title = "phases", "Where the time went"
    arms = [(each, mean_phases(each)) for each in shown.tops]
    arms = [(each, parts) for each, parts in arms if any(value for value in parts.values())]
    if not arms:
        caption = "No cell has a steady part: where the time went was not measured."
        return Chart(name=name, title=title, caption=caption, draw=None)
    everything = {field for field, *_ in PARTS}
    panels = [
        _panel(arms, everything, "time of a task"),
        _panel(arms, everything - _SERVER, "without the server's parts"),
    ]
    used = {field for _, parts in arms for field, value in parts.items() if value}
    marks = [Mark(label=label, role=role, marker="s", dash=None) for field, label, role, _ in PARTS if field in used]
    unseen = [label for field, label, *_ in PARTS if all(parts[field] is None for _, parts in arms)]
    caption = (
        "Mean time of a success at the highest N, part by part; then without the three parts in which the "
        "server is waited for. The table below has every figure."
    )
    if unseen:
        caption += f" Not measured: {', '.join(unseen)}."
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, panels, marks))


def _panel(arms: Sequence[tuple[ShownArm, dict[str, float | None]]], wanted: set[str], axis: str) -> Panel:
    sums = [math.fsum(value or 0.0 for field, value in parts.items() if field in wanted) for _, parts in arms]
    unit, per_s = unit_for(sums)
    return Panel(
        axis=f"{axis} ({unit})",
        rows=tuple(
            Row(
                label=each.drawn,
                mark=each.mark,
                value=total * per_s,
                text=seconds(total) if each.valid else f"{seconds(total)}  {INVALID}",
                parts=tuple((role, (parts[field] or 0.0) * per_s) for field, _, role, _ in PARTS if field in wanted),
                hatched=not each.valid,
            )
            for (each, parts), total in zip(arms, sums, strict=True)
        ),
    )


def phase_table(shown: ShownExperiment) -> Table:
    """Return every arm's parts in milliseconds."""
    return Table(
        name="phases",
        title="Where the time went (ms)",
        intro="Means of a success. " + "; ".join(f"{label}: {what}" for _, label, _, what in PARTS) + ".",
        columns=(*texts("arm"), *figures(*(label for _, label, _, _ in PARTS))),
        rows=tuple(
            (
                Field(text=each.name, note="" if each.valid else INVALID),
                *cells(
                    *(NOT_AVAILABLE if value is None else in_unit(value, "ms") for value in mean_phases(each).values())
                ),
            )
            for each in shown.arms
        ),
        folded=True,
        empty="No arm was measured.",
    )
