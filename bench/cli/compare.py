"""`compare`: the same work under several modes, numbers in flight and clients, interleaved, with what it says."""

from __future__ import annotations

import contextlib
import itertools
import math
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.cli.compare_cells import Cells, measured_target, pilot
from bench.cli.compare_diff import execute_diff
from bench.cli.compare_service import Places, behind_services, for_target
from bench.cli.compare_settings import check_same_settings, kept_settings
from bench.cli.compare_words import CompareWatcher, say_analysis, say_plan
from bench.cli.context import FAILED, GATE_FAILED, INTERRUPTED, OK, Context
from bench.cli.drawing import draw_own_experiment
from bench.cli.durations import duration_s
from bench.cli.gates import hold_gates, read_gates
from bench.cli.interrupts import interrupts
from bench.cli.messages import note, say
from bench.cli.options import PROGRAM, config_from
from bench.clock import utc_label, utc_now
from bench.endpoints.resolve import resolve
from bench.endpoints.simulated import null_settings, simulated_server
from bench.environment import describe_environment, usable_cores
from bench.errors import ConfigError
from bench.experiment.analyse import with_analysis
from bench.experiment.conduct import Setup, Target, conduct
from bench.experiment.plan import as_in_baseline, cell_tasks, make_arms, make_plan
from bench.experiment.preflight import prepare_arms
from bench.experiment.records import Experiment
from bench.experiment.store import create_experiment_directory, find, load, save, tasks_file, write_tasks
from bench.observe.text import printable
from bench.policy.facts import Bounds
from bench.policy.objectives import parse_objectives
from bench.stop import StopSignal
from bench.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.experiment.records import Arm, CellKind, Pace, Plan

#: How long a cell in flight may go on after Ctrl+C: it passes its own grace time on.
_GRACE_S: Final = 10.0

#: N is doubled up to this by --sweep.
_SWEEP: Final = (1, 2, 4, 8, 16, 32, 64, 128)

#: Tasks from which a ceiling is told: against a server that answers at once fewer are over in milliseconds.
_CEILING_TASKS: Final = 500

#: Of the source, so many tasks are read at most: cells repeat them.
_MOST_SOURCE_TASKS: Final = 100_000


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Do an experiment, or go on with one, or compare two, and return the exit code.

    Raises:
        ConfigError: Something is wrong with the settings; nothing was sent.
        RunError: A server of its own does not come up, or the experiment cannot be written.
    """
    if settings["diff"]:
        return execute_diff(settings)
    _check(settings)
    settings = for_target(settings)
    gates, before = read_gates(settings)
    objectives = parse_objectives(settings["slo"]) if settings["slo"] else None
    config = _base_config(settings)
    resolved = resolve(config, context.environment)
    begun = None if settings["resume"] is None else _taken_up(settings)
    prepare_arms(arms := begun[1].plan.arms if begun else _arms(settings))
    stop = StopSignal()
    with (
        contextlib.ExitStack() as servers,
        interrupts(stop, grace_s=_GRACE_S, announce=lambda stage: note(f"stopping: {stage}")) as came,
    ):
        target = measured_target(config, resolved, servers)
        directory, experiment = begun or _begin(_Wanted(settings, config, arms, before), context, target, stop)
        cells = Cells(config, directory, context)
        nulls = dict(_nulls(experiment.plan.pace, target, servers))
        if settings["target"] == "service":
            target, nulls = behind_services(target, nulls, servers, Places(max(_levels(settings)), directory))
        setup = Setup(
            directory=directory,
            target=target,
            nulls=nulls,
            command=cells.command,
            environment=cells.environment,
            bounds=Bounds(min_duration_s=settings["min_duration"]),
            objectives=objectives,
            stop=stop,
            watcher=CompareWatcher(experiment, nulls=len(nulls), quiet=settings["quiet"]),
        )
        experiment = with_analysis(conduct(experiment, setup))
        save(directory, experiment)
    _show(settings, directory, experiment)
    passed = hold_gates(gates, experiment, before)
    return _exit_code(experiment, passed=passed, interrupted=came.interrupted)


def _exit_code(experiment: Experiment, *, passed: bool, interrupted: bool) -> int:
    if interrupted:
        note(f"go on with: {experiment.command} --resume {shlex.quote(experiment.experiment_id)}")
        return INTERRUPTED
    if not passed:
        return GATE_FAILED
    return OK if any(cell.valid for cell in experiment.cells) else FAILED


def _show(settings: Mapping[str, Any], directory: Path, experiment: Experiment) -> None:
    """Say what came out and where it is, and draw its report."""
    if not settings["quiet"]:
        say_analysis(experiment)
    say(f"experiment: {printable(str(directory))}")
    if settings["report"]:
        draw_own_experiment(directory, quiet=settings["quiet"])


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse numbers that make no experiment.

    Raises:
        ConfigError: One is too small.
    """
    least = {"repeats": ("--repeats", 1), "tasks_per_slot": ("--tasks-per-slot", 1)}
    for name, (option, low) in least.items():
        if settings[name] < low:
            raise ConfigError(f"{option} must be at least {low}, got {settings[name]}")
    if min(settings["levels"]) < 1:
        raise ConfigError(f"--concurrency must be at least 1, got {min(settings['levels'])}")
    if not 0 < settings["min_duration"] < math.inf:
        raise ConfigError(f"--min-duration must be above 0, got {settings['min_duration']}")


def _base_config(settings: Mapping[str, Any]) -> ConcurrentConfig:
    """Return the settings that all cells share, as those of one run with the most slots."""
    own = {"modes", "levels", "clients", "repeats", "budget", "tasks_per_slot", "min_duration", "gate", "baseline"}
    own |= {"target", "slo", "sweep", "resume", "diff", "report"}
    shared = {name: value for name, value in settings.items() if name not in own}
    anybody = not shared["provider"] and shared["base_url"] is None
    fixed: dict[str, object] = {"provider": ("simulator",)} if anybody else {}
    fixed["stop_on_overload"] = shared["rate"] is not None
    return config_from(
        shared, mode="asyncio", client="openai", concurrency=max(_levels(settings)), report=False, **fixed
    )


def _levels(settings: Mapping[str, Any]) -> tuple[int, ...]:
    if settings["sweep"]:
        return _SWEEP
    levels: tuple[int, ...] = settings["levels"]
    return levels


@dataclass(frozen=True)
class _Wanted:
    """What a new experiment is to be; `before` is the baseline whose work it repeats."""

    settings: Mapping[str, Any]
    config: ConcurrentConfig
    arms: tuple[Arm, ...]
    before: Experiment | None


def _begin(wanted: _Wanted, context: Context, target: Target, stop: StopSignal) -> tuple[Path, Experiment]:
    """Make a new experiment with its plan and its tasks."""
    settings, config = wanted.settings, wanted.config
    workload = build_workload(config, sys.stdin.buffer)
    source = list(itertools.islice(workload, _MOST_SOURCE_TASKS))
    directory = create_experiment_directory(config.results_dir, utc_now())
    client = "openai" if settings["clients"] == ("openai",) else "lean"
    cells = Cells(config, directory, context)
    pace = pilot(cells, source, target, client, stop)
    plan = msgspec.structs.replace(_plan(wanted, pace, target), source=workload.fingerprint)
    if not settings["quiet"]:
        say_plan(plan, wanted.before)
    for n in plan.tasks:
        write_tasks(tasks_file(directory, n), source, plan.tasks[n])
    experiment = Experiment(
        experiment_id=directory.name,
        status="running",
        command=shlex.join(["python", PROGRAM, *sys.argv[1:]]),
        started_at=utc_label(utc_now()),
        ended_at=None,
        plan=plan,
        endpoint={"options": list(target.options), "stamped": target.stamped},
        environment=describe_environment(),
        settings=kept_settings(settings),
        cells=(),
    )
    save(directory, experiment)
    return directory, experiment


def _taken_up(settings: Mapping[str, Any]) -> tuple[Path, Experiment]:
    """Read the experiment to go on with."""
    directory = find(settings["resume"], settings["results_dir"])
    experiment = load(directory)
    check_same_settings(experiment, settings)
    return directory, msgspec.structs.replace(experiment, status="running", analysis=None)


def _arms(settings: Mapping[str, Any]) -> tuple[Arm, ...]:
    arms = make_arms(settings["modes"], _levels(settings), settings["clients"])
    if not arms:
        raise ConfigError("nothing to compare: hybrid takes at least 2 in flight", "name more --modes or --concurrency")
    return arms


def _plan(wanted: _Wanted, pace: Pace, target: Target) -> Plan:
    settings, config, arms = wanted.settings, wanted.config, wanted.arms
    tasks = cell_tasks(
        arms,
        tasks_per_slot=settings["tasks_per_slot"],
        min_duration_s=settings["min_duration"],
        latency_s=pace.latency_s,
        rate_per_s=config.rate,
    )
    before = wanted.before
    if before is not None and before.plan.rate_per_s == config.rate:
        tasks = as_in_baseline(tasks, before.plan.tasks)
    return make_plan(
        arms,
        repeats=settings["repeats"],
        seed=config.seed,
        tasks=tasks,
        pace=pace,
        cores=usable_cores(),
        calibrations=1 if target.stamped else 2,
        budget_s=duration_s(settings["budget"], "--budget") if settings["budget"] else None,
        objectives=settings["slo"] or "",
        rate_per_s=config.rate,
    )


def _nulls(pace: Pace, target: Target, servers: contextlib.ExitStack) -> Iterator[tuple[CellKind, Target]]:
    """Yield the servers of known timing: one that answers at once, and one of the real one's pace.

    A server that stamps what it sends is its own calibration.
    """
    wanted: list[tuple[CellKind, float, float]] = [("ceiling", 0.0, 0.0)]
    if not target.stamped:
        wanted.append(("calibration", pace.ttft_s, pace.icl_s))
    for kind, ttft_s, itl_s in wanted:
        server = servers.enter_context(
            simulated_server(null_settings(ttft_s=ttft_s, itl_s=itl_s, tokens=max(1, pace.tokens)))
        )
        options = ("--base-url", server.endpoint.base_url, "--model", server.endpoint.model)
        if kind == "ceiling":
            yield kind, Target(options=options, server=server, stamped=True, closed=True, least_tasks=_CEILING_TASKS)
        else:
            yield kind, Target(options=options, server=server, stamped=True)
