"""What a task costs over nodes, beside one process and two of one machine: prints a table, judges nothing.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.distributed [--slots 64] [--tasks 8000] [--rounds 3]`.
All do the same tasks in turn against a simulator that answers at once; the figures are medians over the rounds, of
CPU time without start-up. Scheduler and nodes are processes of this machine, started by Dask's own commands, and stay
for all rounds. At the end calls to a node and back are timed, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.engines.cluster.link import Link, connected, present_nodes
from bench.journal import read_manifest
from bench.summary import summarise
from tests.command import COMMAND, the_run, write_topics
from tests.nodes import KEY, Cluster, Simulator, begin, here, registered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.hosts import Machine


class Cost(NamedTuple):
    """What a run cost: tasks a second, and microseconds of CPU a task; None where there is no such process."""

    tasks_per_s: float
    parent_us: float | None
    workers_us: float | None
    scheduler_us: float | None
    all_us: float


def alone(machine: Machine, folder: Path, asked: Sequence[str], slots: int, tasks: int) -> Cost:
    """Do the tasks in a mode of one machine; the options say which."""
    topics = write_topics(folder / "topics.txt", tasks)
    run = machine.start(
        *(*COMMAND, "-c", str(slots), "--client", "lean"),
        *("--topics-file", str(topics), "--no-report", "--quiet", *asked),
        cwd=folder,
        env=KEY,
    )
    _, tasks_per_s, all_us = _ended(run.communicate()[1], folder, tasks)
    return Cost(tasks_per_s, None, None, None, all_us)


def distributed(machine: Machine, folder: Path, cluster: Cluster, asked: Sequence[str], slots: int, tasks: int) -> Cost:
    """Do the tasks over the nodes of a cluster."""
    before_s = cluster.scheduler_cpu_s()
    run = begin(machine, folder, cluster, *asked, tasks=tasks, slots=slots)
    _, err = run.communicate()
    scheduler_us = (cluster.scheduler_cpu_s() - before_s) / tasks * 1e6
    directory, tasks_per_s, all_us = _ended(err, folder, tasks)
    (segment,) = read_manifest(directory).segments
    nodes_us = sum(node.cpu_s or 0.0 for node in segment.nodes) / tasks * 1e6
    return Cost(tasks_per_s, all_us - nodes_us, nodes_us, scheduler_us, all_us + scheduler_us)


def _ended(err: str, folder: Path, tasks: int) -> tuple[Path, float, float]:
    """Return a run's directory, its tasks a second and its own CPU microseconds a task."""
    directory = the_run(folder / "results")
    summary = summarise(directory)
    cost_us = summary.harness.cpu_us_per_task
    if summary.tasks.ok != tasks or cost_us is None or summary.throughput_tasks_per_s is None:
        message = f"the run did not do its tasks: {err}"
        raise RuntimeError(message)
    return directory, summary.throughput_tasks_per_s, cost_us


async def round_trips_us(address: str, calls: int) -> list[float]:
    """Time calls of a node that ask for its time."""
    taken: list[float] = []
    async with connected(address, connect_s=10) as client:
        link = Link(client, (await present_nodes(client))[0].address)
        await link.open()
        for _ in range(calls):
            before_ns = time.perf_counter_ns()
            await link.call("now_ns")
            taken.append((time.perf_counter_ns() - before_ns) / 1e3)
        link.close()
    return taken


def told(name: str, costs: Sequence[Cost]) -> str:
    """Return a row of the table: medians."""

    def median(field: str) -> str:
        values = [value for cost in costs if (value := getattr(cost, field)) is not None]
        return f"{statistics.median(values):10.0f}" if values else f"{'-':>10}"

    return f"{name:24}" + "".join(median(field) for field in Cost._fields)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What a task costs over nodes, and over worker processes.")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--tasks", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args(arguments)
    arms = {
        "asyncio": ("-m", "asyncio"),
        "hybrid, 2 processes": ("-m", "hybrid", "--processes", "2"),
        "distributed, 2 nodes": (),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in arms}
    with tempfile.TemporaryDirectory(prefix="distributed-") as temporary, here() as machine:
        root = Path(temporary)
        simulator = Simulator(machine("server"), root)
        cluster = Cluster(machine("boss"), root / "cluster")
        registered(*(cluster.node(machine(node), node) for node in ("n1", "n2")))
        for number, (name, mode) in itertools.product(range(wanted.rounds), arms.items()):
            folder = root / f"{name}-{number}"
            folder.mkdir()
            options = (*simulator.asked, *mode)
            if mode:
                cost = alone(machine("desk"), folder, options, wanted.slots, wanted.tasks)
            else:
                cost = distributed(machine("desk"), folder, cluster, options, wanted.slots, wanted.tasks)
            costs[name].append(cost)
        trips_us = sorted(asyncio.run(round_trips_us(cluster.address, 2000)))
    heading = ("tasks/s", "parent", "workers", "scheduler", "all")
    sys.stdout.write(f"{'CPU in us a task':24}" + "".join(f"{column:>10}" for column in heading) + "\n")
    for name, found in costs.items():
        sys.stdout.write(told(name, found) + "\n")
    half, most = trips_us[len(trips_us) // 2], trips_us[len(trips_us) * 99 // 100]
    sys.stdout.write(f"a call to a node and back: p50 {half:.0f} us, p99 {most:.0f} us\n")


if __name__ == "__main__":
    main(sys.argv[1:])
