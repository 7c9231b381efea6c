"""The tables of an experiment: its arms, what counts and why not, and what machine and server did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.report.experiment.shown import INVALID
from bench.report.numbers import NOT_AVAILABLE, count, in_unit, number, percent
from bench.report.provenance import address
from bench.report.table import Cell as Field
from bench.report.table import Link, Table, cells, figures, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.experiment.records import Cell
    from bench.policy.paired import PairedRatio
    from bench.report.experiment.shown import ShownArm, ShownExperiment

#: What a process said when it could not begin may be a page.
_SAID_AT_MOST: Final = 300

#: Of all CPU time, or of the time.
_SHARES: Final = ("steal_share", "busy_share", "foreign_share", "pressure_share")


def arms_table(shown: ShownExperiment, out_dir: Path, *, highest_first: bool = False) -> Table:
    """Return a row for each arm: its figures over the blocks that count, and each block's raw records.

    Args:
        shown: The experiment.
        out_dir: Where the page is, which the addresses of the records are relative to.
        highest_first: Whether the arms of the highest N come first, where not all may be shown.
    """
    arms = sorted(shown.arms, key=lambda each: -each.arm.concurrency) if highest_first else shown.arms
    return Table(
        name="arms",
        title="Arms",
        intro="tasks/s: geometric mean over blocks with its 95 % interval; all else: the median over blocks. "
        "Client adds: from the server's stamp on a first token until the client saw it. Raw: the tasks of each block.",
        columns=(
            *texts("arm", "status"),
            *figures("blocks", "tasks/s", "latency p50 (ms)", "latency p95 (ms)", "TTFT p50 (ms)", "client adds (ms)"),
            *figures("CPU a task (µs)", "memory (MB)", "cold (s)"),
            *texts("raw"),
        ),
        rows=tuple(_arm(each, shown, out_dir) for each in arms),
        empty="The plan has no arm.",
    )


def _arm(each: ShownArm, shown: ShownExperiment, out_dir: Path) -> tuple[Field, ...]:
    found, rate = each.row.figures, each.row.throughput
    added = Field(text=in_unit(each.added_s, "ms"), note="" if each.added_share is None else percent(each.added_share))
    links = tuple(
        Link(text=str(cell.block + 1), address=address(run / "tasks.jsonl", out_dir))
        for cell in each.cells
        if (run := shown.run(cell)) is not None
    )
    return (
        Field(text=each.name, note=visible(each.row.transport or "", at_most=_SAID_AT_MOST)),
        Field(text=_status(each)),
        Field(text=count(each.row.blocks), note="" if len(each.cells) == each.row.blocks else f"of {len(each.cells)}"),
        Field(text=number(rate.ratio if rate else None), note=_interval(rate)),
        *cells(*(in_unit(value, "ms") for value in (found.latency_p50_s, found.latency_p95_s, found.ttft_p50_s))),
        added,
        *cells(number(found.cpu_us_per_task), number(found.peak_pss_mb), number(found.cold_s)),
        Field(text="" if links else "not here", links=links),
    )


def _status(each: ShownArm) -> str:
    state = "VALID" if each.valid else INVALID if each.cells else "not run"
    return ", ".join((state, *each.row.limits))


def _interval(found: PairedRatio | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    return f"{number(found.low)} to {number(found.high)}"


def reasons_table(shown: ShownExperiment) -> Table:
    """Return why arms do not count, or count only in part."""
    rows = tuple(
        cells(each.name, f"{each.row.blocks} of {len(each.cells)}", visible("; ".join(each.row.invalid)))
        for each in shown.arms
        if each.row.invalid
    )
    unchecked = " ".join(f"{visible(words[:1].upper() + words[1:])}." for words in shown.analysis.unchecked)
    return Table(
        name="reasons",
        title="What does not count, and why",
        intro=unchecked,
        columns=texts("arm", "blocks that count", "reasons"),
        rows=rows,
        # That nothing speaks against a cell is said together with what nobody looked at.
        empty=f"Every cell counts. {unchecked}".strip(),
    )


def cells_table(shown: ShownExperiment, out_dir: Path) -> Table:
    """Return a row for each cell: whether it counts, what speaks against it, and its files."""
    return Table(
        name="cells",
        title=f"Every cell ({count(len(shown.experiment.cells))})",
        intro="ceiling: a null server that answers at once; calibration: one of the server's pace; both of known "
        "timing. block: the server in question.",
        columns=(*texts("cell", "arm", "status"), *figures("tasks/s", "TTFT p50 (ms)"), *texts("raw", "reasons")),
        rows=tuple(_cell(cell, shown, out_dir) for cell in shown.experiment.cells),
        folded=True,
        empty="No cell has run yet.",
    )


def place_of(cell: Cell) -> str:
    """Return what a cell is called."""
    return f"block {cell.block + 1}, place {cell.place + 1}" if cell.kind == "measurement" else cell.kind


def _cell(cell: Cell, shown: ShownExperiment, out_dir: Path) -> tuple[Field, ...]:
    run = shown.run(cell)
    links = () if run is None else tuple(_files(run, out_dir))
    said = [visible(cell.error, at_most=_SAID_AT_MOST)] if cell.error is not None else []
    said += [f"{reason.severity}: {visible(reason.sentence)}" for reason in cell.reasons]
    return (
        *cells(place_of(cell), visible(cell.arm), "VALID" if cell.valid else INVALID),
        *cells(number(cell.figures.throughput), in_unit(cell.figures.ttft_p50_s, "ms")),
        Field(text="" if links else "not here", links=links),
        Field(text="; ".join(said) or "none"),
    )


def _files(run: Path, out_dir: Path) -> Iterator[Link]:
    for name in ("run.json", "tasks.jsonl", "summary.json"):
        if (run / name).is_file():
            yield Link(text=name, address=address(run / name, out_dir))


def conditions_table(shown: ShownExperiment) -> Table:
    """Return what machine and server did during each cell."""
    rows = []
    for cell in shown.experiment.cells:
        around = cell.conditions
        rows.append(
            (
                Field(text=visible(cell.arm), note=place_of(cell)),
                *cells(*(percent(getattr(around, name)) for name in _SHARES)),
                *cells(_of_a_core(around.server_cpu_share), in_unit(around.server_lateness_p99_s, "ms")),
                *cells(*map(_whole, (around.server_peak_in_flight, around.server_connections))),
                *cells(in_unit(cell.facts.wakeup_lag_p99_s, "ms")),
            )
        )
    return Table(
        name="conditions",
        title="Conditions: what machine and server did",
        intro="Steal: CPU time that the hypervisor took. Foreign: used by neither the harness nor its own server. "
        "Pressure: share of the time in which something waited for a CPU. Server: the experiment's own; its CPU as a "
        "share of one core, and how late it sent. Wake-up lag: how late a sleeping thread of the client woke; n/a in a "
        "cell too short for the percentile.",
        columns=(
            *texts("cell"),
            *figures("steal", "CPU in use", "foreign CPU", "pressure", "server CPU", "server late p99 (ms)"),
            *figures("most at the server", "connections", "wake-up lag p99 (ms)"),
        ),
        rows=tuple(rows),
        folded=True,
        empty="No cell has run yet.",
    )


def _whole(value: int | None) -> str:
    return NOT_AVAILABLE if value is None else count(value)


def _of_a_core(share: float | None) -> str:
    """Return a share that may be more than the whole."""
    return NOT_AVAILABLE if share is None else f"{share * 100:,.0f} %"
