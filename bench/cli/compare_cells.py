"""How the cells of an experiment are called, whom they ask, and the lone requests that tell its pace."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.cli.options import PROGRAM, command_words
from bench.endpoints.providers_file import find_providers_file
from bench.endpoints.simulated import simulated_server
from bench.environment import usable_cores
from bench.errors import RunError
from bench.experiment.cell import run_cell
from bench.experiment.conduct import Target
from bench.experiment.records import Arm, Pace
from bench.experiment.store import CELLS, write_tasks
from bench.providers import is_key_variable

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    from bench.cli.context import Context
    from bench.config import ConcurrentConfig
    from bench.endpoints.resolve import ResolvedRoutes
    from bench.records import Task
    from bench.stop import StopSignal

_ROOT: Final = Path(__file__).resolve().parents[2]

#: Lone requests that tell a server's pace; the first warms the connection.
_PILOT_TASKS: Final = 4

#: A steady part takes more than a slot's first task and its last.
_TASKS_PER_SLOT: Final = 6


class Cells:
    """How cells are called.

    Args:
        config: The settings that all cells share.
        directory: The experiment's directory.
        context: Where keys come from.

    Attributes:
        directory: The experiment's directory.
        environment: Of the cells' processes: the user's, with keys, without settings that the command has anyway.
    """

    def __init__(self, config: ConcurrentConfig, directory: Path, context: Context) -> None:
        self._config = config
        self._results_dir = (directory / CELLS).resolve()
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONCURRENT_")}
        keys = {name: value for name, value in context.environment.items() if is_key_variable(name)}
        self.environment = {**kept, **keys}

    def __repr__(self) -> str:
        """Show where their runs are kept."""
        return f"<Cells {self._results_dir}>"

    def command(self, arm: Arm, tasks: Path, target: Target, seed: int) -> list[str]:
        """Return the command of a cell."""
        config = dataclasses.replace(
            self._config,
            mode=arm.mode,
            concurrency=arm.concurrency,
            scheduler=None,
            processes=min(usable_cores(), arm.concurrency) if arm.mode in {"hybrid", "distributed"} else None,
            client=arm.client,  # type: ignore[arg-type] # a name that the options allow
            topics=(),
            topics_file=None,
            outline=None,
            prompts=tasks.resolve(),
            results_dir=self._results_dir,
            env_file=None,
            report=False,
            quiet=True,
            # Also where a variable asks for it.
            trace=False,
            seed=seed,
            **_whom(self._config, target),
            **_how_often(target, arm, tasks),
        )
        # In a folder without an env file of its own: the settings are complete, and keys are in the environment.
        return [sys.executable, str(_ROOT / PROGRAM), "run", *command_words(config)]


def _how_often(target: Target, arm: Arm, tasks: Path) -> dict[str, Any]:
    """Return the settings that say when tasks are sent, and how often the file of them is gone through."""
    loop: dict[str, Any] = {}
    if target.closed:
        loop = {"rate": None, "arrival": "constant", "max_wait": None, "stop_on_overload": False}
    if not target.least_tasks:
        return {"iterations": 1, **loop}
    least = max(target.least_tasks, _TASKS_PER_SLOT * arm.concurrency)
    return {"iterations": math.ceil(least / tasks.read_bytes().count(b"\n")), **loop}


def _whom(config: ConcurrentConfig, target: Target) -> dict[str, Any]:
    """Return the settings that say whom a cell asks."""
    if not target.options:
        # Cells run in another folder.
        file = find_providers_file(config.providers_file)
        return {
            "provider": config.provider,
            "providers_file": None if file is None else file.resolve(),
            "base_url": config.base_url,
            "model": config.model,
        }
    named = dict(zip(target.options[::2], target.options[1::2], strict=True))
    whom = {"base_url": named["--base-url"], "model": named["--model"]}
    return {"provider": (), "providers_file": None, "simulator": (), **whom}


def measured_target(config: ConcurrentConfig, resolved: ResolvedRoutes, servers: contextlib.ExitStack) -> Target:
    """Return whom the measurements ask; a simulator is started here, once for all cells, and stamps what it sends."""
    if resolved.simulator is None:
        return Target(options=())
    settings = msgspec.structs.replace(resolved.simulator, stamps=True)
    server = servers.enter_context(simulated_server(settings))
    return Target(
        options=("--base-url", server.endpoint.base_url, "--model", config.model or server.endpoint.model),
        server=server,
        stamped=True,
    )


def pilot(cells: Cells, source: Sequence[Task], target: Target, client: str, stop: StopSignal) -> Pace:
    """Send a few requests one after the other and return the server's pace.

    Raises:
        RunError: None of them succeeded.
    """
    arm = Arm(name="pilot", mode="serial", concurrency=1, client=client)
    tasks = cells.directory / "tasks-pilot.jsonl"
    write_tasks(tasks, source, _PILOT_TASKS)
    command = cells.command(arm, tasks, dataclasses.replace(target, closed=True), 0)
    observed = run_cell(command, cells.directory / CELLS, cells.environment, target.server, stop)
    summary = observed.summary
    if summary is None or not summary.tasks.ok:
        said = observed.said or f"its process ended with code {observed.exit_code}"
        msg = f"the first requests failed: {said}"
        raise RunError(msg)
    return Pace(
        ttft_s=summary.ttft_s.min or 0.0,
        icl_s=summary.icl_s.mean or 0.0,
        tokens=summary.tokens.completion // summary.tasks.ok or 1,
        latency_s=summary.service_s.min or 0.0,
    )
