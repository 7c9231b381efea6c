"""Runs in which each task meets a fault of its own, in every mode and over both clients, and what became of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bench.config import ClientName, ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.journal import iter_lines, read_manifest
from bench.providers import Endpoint, Secret
from bench.records import Mode, Task
from tests.command import records, start, the_run
from tests.faults.faults import OK, RETRIES, Fault, Stage
from tests.faultserver import FaultServer
from tests.modes import OF_ONE_MACHINE
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.manifest import RunManifest
    from bench.records import TaskResult
    from tests.faults.faults import Visit

MODES: Final = OF_ONE_MACHINE
CLIENTS: Final[tuple[ClientName, ...]] = ("openai", "lean")

#: A key that must be nowhere but at the server.
KEY: Final = "sk-canary-0123456789abcdef"


@dataclass(frozen=True)
class Way:
    """How a run is made: in which mode, over which client."""

    mode: Mode
    client: ClientName

    def __str__(self) -> str:
        """Name it in a test's id."""
        return f"{self.mode}-{self.client}"


WAYS: Final = tuple(Way(mode, client) for mode in MODES for client in CLIENTS)

#: The ways of a quick test run: each transport and each kind of engine once. The others run with --full.
QUICK: Final = frozenset({Way("threading", "openai"), Way("multiprocessing", "lean"), Way("asyncio", "openai")})


def slots_of(way: Way, faults: tuple[Fault, ...]) -> int:
    """Return how many tasks a run in this process has in flight; processes are dear, two show what there is to see."""
    most = {"serial": 1, "multiprocessing": 2}.get(way.mode, 4)
    return min(most, len(faults))


class FaultWorkload(CountedWorkload):
    """A task for each fault, with its name for a prompt."""

    kind = "prompts"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        super().__init__(len(faults))

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks."""
        for index, fault in enumerate(self._faults):
            message: dict[str, object] = {"role": "user", "content": fault.name}
            yield Task(index=index, custom_id=fault.name, messages=(message,))


@dataclass(frozen=True, kw_only=True)
class FaultRun:
    """A run that is over.

    Attributes:
        way: How it was made.
        manifest: Its `run.json`.
        results: Its records by the name of the fault.
        visits: What the server saw, by the name of the fault.
        over_ns: When it had ended for whoever waited for it, `perf_counter_ns`.
        peak_rss_bytes: The most memory that one of its processes ever had; None where that was not looked at.
    """

    way: Way
    manifest: RunManifest
    results: dict[str, TaskResult]
    visits: dict[str, list[Visit]]
    over_ns: int
    peak_rss_bytes: int | None = None

    @property
    def stood_still_s(self) -> float:
        """How long the machine left the run's process without a turn at most, in seconds: no deadline holds in that."""
        cost = self.manifest.segments[-1].cost
        return (cost and cost.wakeup_lag_max_s) or 0.0

    def end_of(self, fault: Fault) -> str:
        """Return how a task ended: `ok`, or the type of its error."""
        error = self.results[fault.name].error
        return OK if error is None else error.type


def read_run(
    way: Way, directory: Path, faults: tuple[Fault, ...], stage: Stage, peak_rss_bytes: int | None = None
) -> FaultRun:
    """Read a run that is over; of every task there must be one record, and nowhere the key."""
    over_ns = time.perf_counter_ns()
    manifest, found = read_manifest(directory), records(directory)
    assert (manifest.status, manifest.error) == ("completed", None)
    assert sorted(str(result.custom_id) for result in found) == sorted(fault.name for fault in faults)
    assert len(list(iter_lines(directory / "workload.jsonl"))) == len(faults)
    for path in directory.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), f"the key is in {path}"
    return FaultRun(
        way=way,
        manifest=manifest,
        results={str(result.custom_id): result for result in found},
        visits=dict(stage.visits),
        over_ns=over_ns,
        peak_rss_bytes=peak_rss_bytes,
    )


def run_here(way: Way, faults: tuple[Fault, ...], results: Path, base_url: str = "", **settings: object) -> FaultRun:
    """Make a run in this process; the faults are played by a server of its own unless `base_url` leads elsewhere."""
    stage = Stage(faults)
    with FaultServer(stage) as server:
        return run_against(way, faults, results, base_url or server.base_url, stage, **settings)


def run_against(
    way: Way, faults: tuple[Fault, ...], results: Path, base_url: str, stage: Stage, **settings: object
) -> FaultRun:
    """Make a run in this process against a server."""
    plain: dict[str, object] = {"retries": RETRIES, "retry_delay": 0.01, "backoff": "fixed", "timeout": 30.0}
    config = ConcurrentConfig(
        mode=way.mode,
        client=way.client,
        concurrency=slots_of(way, faults),
        results_dir=results,
        **(plain | settings),  # type: ignore[arg-type] # any of its settings
    )
    endpoint = Endpoint(provider="test", base_url=base_url, model="m", api_key=Secret(KEY))
    outcome = ConcurrentBigModelExecutor(config).run(FaultWorkload(faults), endpoint)
    assert (outcome.status, outcome.error) == ("completed", None)
    return read_run(way, outcome.directory, faults, stage)


def run_command(
    way: Way, faults: tuple[Fault, ...], folder: Path, slots: int, *options: str, env: dict[str, str] | None = None
) -> FaultRun:
    """Make a run by the command, in processes of its own, and look at their memory meanwhile.

    The options may name another address than that of the server that plays the faults.
    """
    prompts = folder / "prompts.jsonl"
    lines = [json.dumps({"prompt": fault.name, "custom_id": fault.name}) for fault in faults]
    prompts.write_text("\n".join(lines), encoding="utf-8")
    count = [] if way.mode == "serial" else ["-c", str(slots)]
    memory = Memory()
    stage = Stage(faults, memory.look)
    with FaultServer(stage) as server:
        command = start(
            *["-m", way.mode, "--client", way.client, *count, "--prompts", str(prompts), "--no-report"],
            *([] if "--base-url" in options else ["--base-url", server.base_url]),
            *["--model", "m", "--retries", str(RETRIES), "--retry-delay", "0.01", *options],
            cwd=folder,
            env={"CONCURRENT_API_KEY": KEY, **(env or {})},
        )
        memory.pid = command.pid
        try:
            _, err = command.communicate(timeout=100)
        finally:
            if command.poll() is None:
                os.killpg(command.pid, signal.SIGKILL)
                command.communicate()
    assert "Traceback" not in err, err
    assert command.returncode == int(any(fault.ends != (OK,) for fault in faults)), err
    return read_run(way, the_run(folder / "results"), faults, stage, memory.peak_rss_bytes)


@dataclass
class Memory:
    """The most memory that one process of a command ever had, as far as anyone looked.

    Attributes:
        pid: The command.
        peak_rss_bytes: What was seen.
    """

    pid: int | None = None
    peak_rss_bytes: int = 0

    def look(self) -> None:
        """Look at the command and at what it started."""
        if self.pid is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            command = psutil.Process(self.pid)
            for process in (command, *command.children(recursive=True)):
                self.peak_rss_bytes = max(self.peak_rss_bytes, _peak_rss_bytes(process.pid))


def _peak_rss_bytes(pid: int) -> int:
    """Return the most memory that a process ever had; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
