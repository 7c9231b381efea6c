"""How far the reported times are from the server's own stamps with many streams open: prints a table, judges nothing.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.fidelity [--slots 1000 2000 5000]`. The simulator sends the
first token after 200 ms and 16 tokens 10 ms apart, each with the time at which it was written; the client is `lean` on
one event loop. Both have a core of their own where there are two.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Final

import psutil

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.experiment.readings import client_lags_s
from bench.journal import read_manifest
from bench.policy.statistics import percentile
from bench.providers import Endpoint
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary.steady import steady
from tests.workloads import CountedWorkload

TTFT_S: Final = 0.2
ITL_S: Final = 0.01
TOKENS: Final = 16
IDEAL_S: Final = TTFT_S + ITL_S * (TOKENS - 1)
TITLES: Final = (
    *("streams", "tasks/s", "of ideal", "lag p50 ms", "lag p99 ms", "ICL p50 ms", "server p99 ms", "server core"),
    *("CPU us/task", "kB/stream"),
)


def measure(slots: int, rounds: int, idle_bytes: int) -> str:
    """Return a line of the table."""
    settings = SimulatorSettings(ttft_s=TTFT_S, itl_s=ITL_S, tokens=TOKENS, stamps=True)
    with tempfile.TemporaryDirectory() as folder, SimulatorProcess(settings) as simulator:
        pin(simulator.pid)
        endpoint = Endpoint(provider="simulator", base_url=simulator.base_url, model="m", pid=simulator.pid)
        config = ConcurrentConfig(
            mode="asyncio", client="lean", concurrency=slots, results_dir=Path(folder), connect_timeout=30
        )
        outcome = ConcurrentBigModelExecutor(config).run(CountedWorkload(slots * rounds), endpoint)
        stats = simulator.stats()
        part = steady(outcome.directory)
        origin_ns = read_manifest(outcome.directory).segments[0].origin_ns
        if part is None or origin_ns is None or outcome.status != "completed":
            return f"{slots:>8}  {outcome.status}: {outcome.error or outcome.summary.tasks}"
        lags = client_lags_s(outcome.directory, origin_ns, part)
    harness = outcome.summary.harness
    peak_bytes = harness.peak_pss_bytes or 0
    cells = (
        f"{part.throughput_tasks_per_s:.0f}",
        f"{part.throughput_tasks_per_s * IDEAL_S / slots:.1%}",
        f"{percentile(lags, 0.5) * 1e3:.2f}",
        f"{percentile(lags, 0.99) * 1e3:.2f}",
        f"{(part.icl_s.p50 or 0) * 1e3:.2f}",
        f"{(stats.lateness_p99_s or 0) * 1e3:.2f}",
        f"{stats.cpu_s / stats.window_s:.0%}",
        f"{harness.cpu_us_per_task or 0:.0f}",
        f"{(peak_bytes - idle_bytes) / slots / 1000:.1f}",
    )
    return f"{slots:>8}" + "".join(f"{cell:>15}" for cell in cells)


def pin(server_pid: int) -> None:
    """Give the server one core and this process another, where there are two."""
    cores = sorted(os.sched_getaffinity(0) | set(range(os.cpu_count() or 1)))
    if len(cores) > 1:
        os.sched_setaffinity(server_pid, {cores[0]})
        os.sched_setaffinity(0, {cores[1]})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[1000, 2000, 5000])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    say(f"{TITLES[0]:>8}" + "".join(f"{title:>15}" for title in TITLES[1:]))
    idle_bytes = 0
    measure(8, 4, 0)  # loads what a run needs
    idle_bytes = psutil.Process().memory_full_info().pss
    for slots in options.slots:
        say(measure(slots, options.rounds, idle_bytes))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
