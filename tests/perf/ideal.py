"""How far each mode is from the ideal wall time, and whose CPU time the excess is: prints a table, judges nothing.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.ideal [--tasks 2000] [--slots 64]`.
The simulator answers with 200 ms to the first token and 10 ms between 16 tokens. Beside each mode with the SDK stand
the SDK by itself (as short as an application can be), the same mode with the client `lean`, and with the scripted
client, which sends nothing: so it shows whose the excess is.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.providers import Endpoint
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.perf.bare_sdk import asyncio_wall_s, threading_wall_s
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from bench.config import ClientName
    from bench.records import Mode
    from bench.summary import Summary

TTFT_S: Final = 0.2
ITL_S: Final = 0.01
TOKENS: Final = 16
#: CPU time between two samples of the profile.
SAMPLE_EVERY_S: Final = 0.005
ROOT: Final = Path(__file__).parents[2]

#: The SDK by itself, where a mode has such a thing.
BARE: Final = {"asyncio": asyncio_wall_s, "threading": threading_wall_s}


@contextmanager
def profiled(owners: Counter[str]) -> Iterator[None]:
    """Count, every 5 ms of this process's CPU time, whose code the main thread is in."""

    def sample(_number: int, frame: FrameType | None) -> None:
        owners[owner_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_EVERY_S, SAMPLE_EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def owner_of(frame: FrameType | None) -> str:
    """Name whose code the sampled frame is, or was called by: a library of the SDK's, or the harness."""
    while frame is not None:
        file = frame.f_code.co_filename
        if "site-packages" in file and "uvloop" not in file:
            return "SDK"
        if file.startswith(str(ROOT / "bench")):
            return "harness"
        frame = frame.f_back
    return "event loop and rest"


def run(mode: Mode, client: ClientName, tasks: int, slots: int, endpoint: Endpoint) -> Summary:
    """Run numbered tasks and return their numbers."""
    with tempfile.TemporaryDirectory() as folder:
        config = ConcurrentConfig(mode=mode, client=client, concurrency=slots, results_dir=Path(folder))
        outcome = ConcurrentBigModelExecutor(config).run(CountedWorkload(tasks), endpoint)
    return outcome.summary


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=64)
    options = parser.parse_args()
    # N slots at once, a last round that may be smaller.
    ideal_s = -(-options.tasks // options.slots) * (TTFT_S + ITL_S * (TOKENS - 1))
    say(f"{options.tasks} tasks, {options.slots} in flight: ideal {ideal_s:.2f} s")
    titles = ("wall s", "excess", "CPU us/task", "in flight")
    say(f"{'mode, client':<28}" + "".join(f"{title:>13}" for title in titles))
    scripted = Endpoint(provider="scripted", base_url="none", model="scripted")
    modes: tuple[Mode, ...] = ("asyncio", "threading", "multiprocessing", "hybrid")
    owners: Counter[str] = Counter()
    with SimulatorProcess(SimulatorSettings(ttft_s=TTFT_S, itl_s=ITL_S, tokens=TOKENS)) as simulator:
        endpoint = Endpoint(provider="simulator", base_url=simulator.base_url, model="m", pid=simulator.pid)
        for mode in modes:
            with profiled(owners) if mode == "asyncio" else nullcontext():
                say(row(f"{mode}, openai", run(mode, "openai", options.tasks, options.slots, endpoint), ideal_s))
            if mode in BARE:
                wall_s, cpu_s = BARE[mode](endpoint, options.tasks, options.slots)
                say(line(f"{mode}, the SDK by itself", wall_s, ideal_s, cpu_s * 1e6 / options.tasks, None))
            say(row(f"{mode}, lean", run(mode, "lean", options.tasks, options.slots, endpoint), ideal_s))
            say(row(f"{mode}, scripted", run(mode, "scripted", options.tasks, options.slots, scripted), None))
        lateness_s = simulator.stats().lateness_p99_s
    total = owners.total() or 1
    shares = ", ".join(f"{owner} {count / total:.0%}" for owner, count in owners.most_common())
    say(f"profile of asyncio with openai, share of {total} samples of CPU time: {shares}")
    say(f"simulator's own lateness p99: {(lateness_s or 0) * 1e3:.2f} ms")


def row(name: str, summary: Summary, ideal_s: float | None) -> str:
    """Return a run's line of the table."""
    return line(name, summary.wall_s or 0.0, ideal_s, summary.harness.cpu_us_per_task, summary.in_flight.mean)


def line(name: str, wall_s: float, ideal_s: float | None, cpu_us: float | None, in_flight: float | None) -> str:
    """Return a line of the table."""
    cells = (
        f"{wall_s:.2f}",
        "-" if ideal_s is None else f"{wall_s / ideal_s - 1:.1%}",
        "-" if cpu_us is None else f"{cpu_us:.0f}",
        "-" if in_flight is None else f"{in_flight:.1f}",
    )
    return f"{name:<28}" + "".join(f"{cell:>13}" for cell in cells)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
