"""`tune`: the smallest number in flight and the cheapest mode that do, found with few requests."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

from bench.cli.compare_cells import Cells, measured_target
from bench.cli.compare_settings import kept_settings
from bench.cli.context import GATE_FAILED, INTERRUPTED, OK, Context
from bench.cli.interrupts import interrupts
from bench.cli.messages import note, say
from bench.cli.options import PROGRAM, command_line, config_from
from bench.cli.tune_words import TuneWatcher, say_tuning
from bench.clock import utc_label, utc_now
from bench.endpoints.resolve import resolve
from bench.environment import describe_environment
from bench.errors import ConfigError, RunError
from bench.experiment.store import create_experiment_directory
from bench.observe.text import printable
from bench.policy.objectives import parse_objectives
from bench.stop import StopSignal
from bench.tuning.conduct import Setup, conduct
from bench.tuning.records import Goal, Tuning
from bench.tuning.search import fewest
from bench.tuning.store import save
from bench.workload import build_workload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.records import Mode

#: How long a probe may go on after Ctrl+C: it passes its own grace time on.
_GRACE_S: Final = 10.0

#: Of the source, so many tasks are read at most: no search asks more.
_MOST_SOURCE_TASKS: Final = 100_000


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Search, say what was found, and return the exit code.

    Raises:
        ConfigError: Something is wrong with the settings; nothing was sent.
        RunError: No request succeeded, a server of its own does not come up, or the search cannot be written.
    """
    goal = _goal(settings)
    objectives = parse_objectives(settings["slo"]) if settings["slo"] else None
    config = config_from(settings, mode=goal.modes[0], concurrency=fewest(goal.modes[0]), report=False)
    resolved = resolve(config, context.environment)
    workload = build_workload(config, sys.stdin.buffer)
    source = list(itertools.islice(workload, _MOST_SOURCE_TASKS))
    stop = StopSignal()
    with (
        contextlib.ExitStack() as servers,
        interrupts(stop, grace_s=_GRACE_S, announce=lambda stage: note(f"stopping: {stage}")) as came,
    ):
        target = measured_target(config, resolved, servers)
        directory = create_experiment_directory(config.results_dir, utc_now(), "tune")
        # A refusal or a failure is what a probe is to see, and not to mend.
        cells = Cells(dataclasses.replace(config, retries=0), directory, context)
        setup = Setup(
            directory=directory,
            source=source,
            target=target,
            command=cells.command,
            environment=cells.environment,
            run_command=lambda mode, n: _run_command(config, mode, n),
            objectives=objectives,
            seed=config.seed,
            stop=stop,
            watcher=TuneWatcher(quiet=settings["quiet"]),
        )
        tuning = _begun(settings, goal, directory.name, workload.fingerprint)
        save(directory, tuning)
        tuning = conduct(tuning, setup)
        save(directory, tuning)
    if came.interrupted:
        note(f"interrupted after {tuning.requests:,} requests; what they showed is in {printable(str(directory))}")
        return INTERRUPTED
    return _told(tuning, directory, quiet=settings["quiet"])


def _goal(settings: Mapping[str, Any]) -> Goal:
    """Return what is wanted.

    Raises:
        ConfigError: A number is out of its range, or no mode is left to search with.
    """
    for name, option in (("max_concurrency", "--max-concurrency"), ("budget", "--budget")):
        if settings[name] is not None and settings[name] < 1:
            raise ConfigError(f"{option} must be at least 1, got {settings[name]}")
    wanted = settings["goodput"]
    if wanted is not None and not 0 < wanted < math.inf:
        raise ConfigError(f"--goodput must be above 0 and finite, got {wanted}")
    modes: tuple[Mode, ...] = tuple(dict.fromkeys(settings["modes"]))
    if not modes or modes[0] == "serial":
        raise ConfigError(
            "--modes begins with serial, which has one in flight: there is no N to search for",
            "name the mode to search with first, such as asyncio",
        )
    if settings["max_concurrency"] < fewest(modes[0]):
        raise ConfigError(f"{modes[0]} takes {fewest(modes[0])} in flight, and --max-concurrency allows 1")
    return Goal(
        modes=modes, goodput_per_s=wanted, max_concurrency=settings["max_concurrency"], budget=settings["budget"]
    )


def _begun(settings: Mapping[str, Any], goal: Goal, tuning_id: str, source: str) -> Tuning:
    return Tuning(
        tuning_id=tuning_id,
        status="running",
        command=shlex.join(["python", PROGRAM, *sys.argv[1:]]),
        started_at=utc_label(utc_now()),
        ended_at=None,
        goal=goal,
        objectives=settings["slo"] or "",
        client=settings["client"],
        source=source,
        environment=describe_environment(),
        settings=kept_settings(settings),
    )


def _run_command(config: ConcurrentConfig, mode: Mode, n: int) -> str:
    return command_line(dataclasses.replace(config, mode=mode, concurrency=n, report=True, quiet=False))


def _told(tuning: Tuning, directory: Path, *, quiet: bool) -> int:
    """Say what was found, and return the exit code.

    Raises:
        RunError: No request succeeded: that tells nothing of N.
    """
    last = tuning.probes[-1]
    if not any(probe.throughput_per_s for probe in tuning.probes):
        msg = f"none of {tuning.requests} requests succeeded: {last.error or last.failure}"
        raise RunError(msg)
    say_tuning(tuning, quiet=quiet)
    say(f"tuning: {printable(str(directory))}")
    return OK if tuning.answer is not None and tuning.answer.outcome == "found" else GATE_FAILED
