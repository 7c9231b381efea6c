"""Doing an experiment: the null servers first, then block by block, every cell written down before the next begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from bench.clock import utc_label, utc_now
from bench.experiment.cell import conditions, figures, percentiles_s, run_cell
from bench.experiment.judged import cell_facts
from bench.experiment.payload import mismatches
from bench.experiment.plan import cell_seed
from bench.experiment.records import Cell, Experiment
from bench.experiment.store import CELLS, save, tasks_file
from bench.experiment.work import read_work
from bench.policy.validity import check_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bench.experiment.cell import Observed, Server
    from bench.experiment.records import Arm, CellKind, Plan
    from bench.policy.comparability import WorkFacts
    from bench.policy.facts import Bounds
    from bench.policy.objectives import Objectives
    from bench.stop import StopSignal

#: Exit codes of a cell that was done, though a task may have failed.
_DONE: Final = frozenset({0, 1})


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom cells ask.

    Attributes:
        options: What says so in a cell's command.
        server: What counts on its side, where it is the experiment's own.
        stamped: Whether it stamps what it sends with this machine's clock.
        closed: Whether it is asked in a closed loop whatever the experiment's arrivals are: a ceiling is what an arm
            does when nothing holds it up.
        least_tasks: A cell that asks it repeats its tasks until there are so many: what is over at once has no rate.
    """

    options: tuple[str, ...]
    server: Server | None = None
    stamped: bool = False
    closed: bool = False
    least_tasks: int = 0


class Watcher(Protocol):
    """Told of an experiment's progress; must return at once and must not raise."""

    def begun(self, arm: Arm, kind: CellKind, block: int) -> None:
        """A cell starts."""

    def ended(self, cell: Cell) -> None:
        """A cell was written down."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What an experiment is done with.

    Attributes:
        directory: The experiment's.
        target: Whom the measurements ask.
        nulls: Whom the ceiling and the calibration ask; a kind that is absent is not done.
        command: Returns the command of a cell: of an arm, the file of its tasks, whom it asks, and its seed.
        environment: Of the cells' processes.
        bounds: What a cell has to keep to count.
        objectives: What counts as good.
        stop: Ends it early.
        watcher: Told of progress.
    """

    directory: Path
    target: Target
    nulls: Mapping[CellKind, Target]
    command: Callable[[Arm, Path, Target, int], list[str]]
    environment: Mapping[str, str]
    bounds: Bounds
    objectives: Objectives | None
    stop: StopSignal
    watcher: Watcher


def conduct(experiment: Experiment, setup: Setup) -> Experiment:
    """Run the cells that the plan asks for and the experiment does not have yet; each is written down as it ends.

    Returns:
        The experiment with its cells, `completed` or `interrupted`, not yet analysed.

    Raises:
        JournalError: The experiment cannot be written.
    """
    done = {(cell.arm, cell.kind, cell.block) for cell in experiment.cells}
    for arm, kind, block, place in _steps(experiment.plan, setup.nulls):
        if (arm.name, kind, block) in done:
            continue
        if setup.stop.wait_draining(0):
            break
        setup.watcher.begun(arm, kind, block)
        cell = _cell(experiment, setup, arm, kind, block, place)
        if setup.stop.wait_draining(0):
            break  # it was cut short: a resumed experiment does it again
        experiment = msgspec.structs.replace(experiment, cells=(*experiment.cells, cell))
        save(setup.directory, experiment)
        setup.watcher.ended(cell)
    status = "interrupted" if setup.stop.draining else "completed"
    return msgspec.structs.replace(experiment, status=status, ended_at=utc_label(utc_now()))


def _steps(plan: Plan, nulls: Mapping[CellKind, Target]) -> Iterator[tuple[Arm, CellKind, int, int]]:
    arms = {arm.name: arm for arm in plan.arms}
    for kind in nulls:
        yield from ((arm, kind, -1, place) for place, arm in enumerate(plan.arms) if arm.again is None)
    for block, order in enumerate(plan.order):
        yield from ((arms[name], "measurement", block, place) for place, name in enumerate(order))


def _cell(experiment: Experiment, setup: Setup, arm: Arm, kind: CellKind, block: int, place: int) -> Cell:
    target = setup.target if kind == "measurement" else setup.nulls[kind]
    tasks = tasks_file(setup.directory, arm.concurrency)
    command = setup.command(arm, tasks, target, cell_seed(experiment.plan.seed, block))
    observed = run_cell(command, setup.directory / CELLS, setup.environment, target.server, setup.stop)
    numbers, around = figures(observed, setup.objectives, stamped=target.stamped), conditions(observed)
    facts = cell_facts(arm, kind, observed, numbers, around, experiment.cells)
    if target.stamped and observed.run is not None and observed.summary is not None:
        facts = msgspec.structs.replace(facts, payload_mismatches=mismatches(observed.run, tasks))
    summary, manifest = observed.summary, observed.manifest
    failed = summary is None or observed.exit_code not in _DONE
    return Cell(
        arm=arm.name,
        kind=kind,
        block=block,
        place=place,
        run=None if observed.run is None else observed.run.name,
        exit_code=observed.exit_code,
        error=(observed.said or f"its process ended with code {observed.exit_code}") if failed else None,
        transport=None if summary is None else summary.transport,
        workload=None if manifest is None else str(manifest.workload.get("fingerprint")),
        tasks=0 if summary is None else summary.tasks.ok,
        figures=numbers,
        phases=None if observed.steady is None else observed.steady.phases,
        conditions=around,
        facts=facts,
        reasons=check_cell(facts, setup.bounds),
        work=_work(arm, observed),
        objectives=setup.objectives.aggregates(percentiles_s(observed.steady)) if setup.objectives else (),
    )


def _work(arm: Arm, observed: Observed) -> WorkFacts | None:
    """Return what a cell was asked and answered."""
    if observed.run is None or observed.manifest is None or observed.summary is None:
        return None
    return read_work(
        observed.run,
        name=arm.name,
        workload=str(observed.manifest.workload.get("fingerprint")),
        in_flight_mean=None if observed.steady is None else observed.steady.in_flight_mean,
    )
