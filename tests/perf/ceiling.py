"""What a task costs the whole harness, beside clients with nothing around them: prints a table, judges nothing.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.ceiling [--slots 1 16 128] [--rounds 5] [--tasks 16000]`.
A simulator that answers 16 tokens at once has one core, the client the other. In each round every row has its turn; the
table shows medians. The harness writes its records as in any run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast, get_args

import uvloop

from bench.config import ClientName, ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.providers import Endpoint
from bench.records import Mode
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.perf.bare import by_aiohttp, by_lean, by_protocol
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from tests.perf.bare import Record

BARE: Final = "bare protocol"
#: A process holds 16 MB: beyond this a small machine is not shown at its best.
MOST_PROCESSES: Final = 128
#: The SDK costs about fifty times as much: it gets a fortieth of the tasks.
SDK_SHARE: Final = 40


class Shown(NamedTuple):
    """What one turn showed."""

    cpu_us: float
    tasks_per_s: float


def bare(drive: Callable[[str, int, int], Coroutine[None, None, list[Record]]], tasks: int) -> Callable[..., Shown]:
    """Return a row of a client with nothing around it."""

    def turn(endpoint: Endpoint, slots: int) -> Shown:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            begun_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
            done = len(runner.run(drive(endpoint.base_url, tasks, slots)))
            cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.perf_counter_ns() - begun_ns
        return Shown(cpu_ns / 1e3 / done, done / wall_ns * 1e9)

    return turn


def harness(mode: Mode, client: ClientName, tasks: int) -> Callable[..., Shown]:
    """Return a row of the whole harness."""

    def turn(endpoint: Endpoint, slots: int) -> Shown:
        workload = CountedWorkload(tasks)
        with tempfile.TemporaryDirectory() as folder:
            config = ConcurrentConfig(mode=mode, client=client, concurrency=slots, results_dir=Path(folder))
            outcome = ConcurrentBigModelExecutor(config).run(workload, endpoint)
        summary = outcome.summary
        if summary.tasks.ok != tasks:
            raise RuntimeError(f"{mode}, {client}: {summary.tasks.ok} of {tasks} tasks are ok: {summary.errors}")
        return Shown(summary.harness.cpu_us_per_task or 0.0, summary.throughput_tasks_per_s or 0.0)

    return turn


def rows(slots: int, tasks: int) -> dict[str, Callable[..., Shown]]:
    """Return the rows that can be shown with that many slots."""
    modes = cast("tuple[Mode, ...]", get_args(Mode))
    shown = {BARE: bare(by_protocol, tasks), "bare aiohttp": bare(by_aiohttp, tasks)}
    shown["lean alone"] = bare(by_lean, tasks)
    for mode in modes:
        if mode == "serial" or (mode == "multiprocessing" and slots > MOST_PROCESSES):
            continue
        shown[f"lean, {mode}"] = harness(mode, "lean", tasks)
    shown["openai, asyncio"] = harness("asyncio", "openai", max(slots, tasks // SDK_SHARE))
    shown["scripted, asyncio"] = harness("asyncio", "scripted", tasks)
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 16, 128, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=16000)
    parser.add_argument("--only", nargs="+", help="rows whose name contains one of these")
    options = parser.parse_args()
    with SimulatorProcess(SimulatorSettings(tokens=16)) as simulator:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(simulator.pid, {cores[0]})
        os.sched_setaffinity(0, {cores[-1]})
        endpoint = Endpoint(provider="simulator", base_url=simulator.base_url, model="m", pid=simulator.pid)
        for slots in options.slots:
            show(slots, rows(slots, max(options.tasks, 4 * slots)), options.rounds, options.only, endpoint)


def show(
    slots: int, turns: dict[str, Callable[..., Shown]], rounds: int, only: Sequence[str] | None, endpoint: Endpoint
) -> None:
    """Measure and print the rows for one number of slots."""
    names = [name for name in turns if name == BARE or only is None or any(part in name for part in only)]
    seen: dict[str, list[Shown]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            seen[name].append(turns[name](endpoint, slots))
    floor_us = statistics.median(shown.cpu_us for shown in seen[BARE])
    say(f"\n{slots} in flight, medians of {rounds}")
    say(f"{'':<24}" + "".join(f"{title:>12}" for title in ("CPU us/task", "best", "tasks/s", "ratio")))
    for name, turns_seen in seen.items():
        cpu_us = statistics.median(shown.cpu_us for shown in turns_seen)
        best_us = min(shown.cpu_us for shown in turns_seen)
        per_s = statistics.median(shown.tasks_per_s for shown in turns_seen)
        say(f"{name:<24}{cpu_us:>12.0f}{best_us:>12.0f}{per_s:>12.0f}{cpu_us / floor_us:>12.2f}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
