"""What a cell is judged by: facts taken from its records, its conditions and the null servers' cells before it."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, Final

import msgspec

from bench.experiment.readings import latency_step, overloaded
from bench.policy.facts import CellFacts
from bench.policy.overload import OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.experiment.cell import Observed
    from bench.experiment.figures import Conditions, Figures
    from bench.experiment.records import Arm, Cell, CellKind

#: Modes that use several cores; the others have one interpreter lock.
_MANY_PROCESSES: Final = frozenset({"multiprocessing", "hybrid", "distributed"})


def cell_facts(
    arm: Arm, kind: CellKind, observed: Observed, numbers: Figures, around: Conditions, done: Sequence[Cell]
) -> CellFacts:
    """Return what a cell is judged by.

    Args:
        arm: Its arm.
        kind: Whom it asked.
        observed: What it left.
        numbers: Its figures.
        around: What machine and server did meanwhile.
        done: The cells before it.

    Raises:
        JournalError: Its records cannot be read.
    """
    summary, part = observed.summary, observed.steady
    lag_s = numbers.client_lag_p50_s
    measured = kind == "measurement"
    facts = CellFacts(
        load_model="closed",
        slots=arm.concurrency,
        duration_s=None if part is None else part.end_s - part.begin_s,
        clock_ratio=observed.machine.clock_ratio,
        steal_share=around.steal_share,
        pressure_some_share=around.pressure_share,
        foreign_cpu_share=around.foreign_share,
        server_lateness_p99_s=around.server_lateness_p99_s,
        server_cpu_share=around.server_cpu_share,
        little_ratio=None if part is None else part.busy_ratio,
        in_flight_mean=None if part is None else part.in_flight_mean,
        peak_in_flight_server=around.server_peak_in_flight,
        calibration_error_s=null_figure(done, arm, "calibration", "client_lag_p50_s") if lag_s is None else lag_s,
        ttft_p50_s=numbers.ttft_p50_s,
        throughput_per_s=numbers.throughput,
        ceiling_per_s=null_figure(done, arm, "ceiling", "throughput") if measured else None,
    )
    return facts if summary is None else _with_outcome(facts, arm, observed)


def _with_outcome(facts: CellFacts, arm: Arm, observed: Observed) -> CellFacts:
    """Return the facts with those that a run's own numbers and records tell."""
    summary, run, part = observed.summary, observed.run, observed.steady
    if summary is None or run is None:
        return facts
    cores = (os.cpu_count() or 1) if arm.mode in _MANY_PROCESSES else 1
    cpu_s = summary.harness.cpu_s
    return msgspec.structs.replace(
        facts,
        load_model=summary.load_model,
        tasks=summary.tasks.total,
        ok=summary.tasks.ok,
        failed=summary.tasks.failed,
        dropped=summary.tasks.dropped,
        canary_error_s=summary.harness.canary_p50_s,
        wakeup_lag_p99_s=summary.harness.wakeup_lag_p99_s,
        wakeup_lag_max_s=summary.harness.wakeup_lag_max_s,
        cpu_share_client=None if cpu_s is None else cpu_s / observed.machine.wall_s / min(cores, arm.concurrency),
        offered_per_s=summary.offered_per_s,
        achieved_per_s=summary.achieved_per_s,
        overloaded=_overloaded(run, observed) if summary.load_model == "open" else None,
        latency_step=None if part is None else latency_step(run, part),
    )


def _overloaded(run: Path, observed: Observed) -> bool | None:
    """Tell whether more arrived than was answered: a run that was ended for it says so itself."""
    ended_for_it = observed.manifest is not None and observed.manifest.error == OVERLOADED
    return ended_for_it or overloaded(run)


def null_figure(cells: Sequence[Cell], arm: Arm, kind: CellKind, figure: str) -> float | None:
    """Return what a null server told about an arm, or about the arm that it repeats; None where none did."""
    name = arm.again or arm.name
    values = [getattr(cell.figures, figure) for cell in cells if cell.arm == name and cell.kind == kind]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
