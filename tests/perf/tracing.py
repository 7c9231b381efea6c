"""What traces cost a run, and what they cost the usual way: prints a table with the bounds that it is held to.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.tracing [--blocks 12] [--rounds 20]`; 12 blocks take ten
minutes. In each block, in an order drawn anew: a run of this program (asyncio, client `lean`) with `--trace` and one
without, and the SDK by itself with `wrap_openai` and `@traceable` and without, each in a process of its own. 64 answers
are streamed at once, the first token after 200 ms, 16 tokens 10 ms apart. The simulator and the endpoint that takes
the traces have one core; the run, and the process that sends its traces, share the other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import psutil

from bench.policy.paired import paired_ratio
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import summarise
from bench.tracing.outcome import read_outcome
from tests.command import COMMAND, ROOT, the_run, write_topics
from tests.perf.fidelity import pin
from tests.perf.tracing_sink import sinking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bench.policy.paired import PairedRatio
    from tests.perf.tracing_sink import Sink

TTFT_S: Final = 0.2
ITL_S: Final = 0.01
TOKENS: Final = 16

#: How far the interval of a ratio may reach from 1, both ways.
BOUNDS: Final = {"throughput_per_s": 0.02, "p50_s": 0.02, "p99_s": 0.1}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What an arm took in a block.

    Attributes:
        throughput_per_s: Tasks in a second, over the whole of it.
        p50_s: Median time of a task, and its 99th percentile.
        p99_s: See there.
        cpu_us: CPU time a task of the process that does the tasks.
        sender_us: CPU time a task, its start included, of a process of its own that sends traces; None without one.
    """

    throughput_per_s: float
    p50_s: float
    p99_s: float
    cpu_us: float
    sender_us: float | None = None


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all arms have in common."""

    base_url: str
    sink: Sink
    tasks: int
    slots: int

    def own(self, *, traced: bool) -> Figures:
        """Run this program."""
        with tempfile.TemporaryDirectory() as folder:
            topics = write_topics(Path(folder) / "topics.txt", self.tasks)
            self._call(
                *COMMAND,
                *("-m", "asyncio", "--client", "lean", "-c", str(self.slots), "--topics-file", str(topics)),
                *("--base-url", self.base_url, "--model", "m", "--results-dir", folder, "--no-report", "--quiet"),
                "--trace" if traced else "--no-trace",
                spans=2 * self.tasks + 1 if traced else 0,
            )
            run = the_run(Path(folder))
            summary, outcome = summarise(run), read_outcome(run)
        return Figures(
            throughput_per_s=_there(summary.throughput_tasks_per_s),
            p50_s=_there(summary.latency_s.p50),
            p99_s=_there(summary.latency_s.p99),
            cpu_us=_there(summary.harness.cpu_us_per_task),
            sender_us=None if outcome is None else _there(outcome.cpu_s) * 1e6 / self.tasks,
        )

    def sdk(self, *, traced: bool) -> Figures:
        """Run the SDK by itself."""
        said = self._call(
            *(sys.executable, "-m", "tests.perf.tracing_sdk", "--base-url", self.base_url),
            *("--tasks", str(self.tasks), "--slots", str(self.slots), *(["--traced"] if traced else [])),
            spans=2 * self.tasks if traced else 0,
        )
        return Figures(**json.loads(said))

    def _call(self, *command: str, spans: int) -> str:
        """Call a command, see to it that its spans have all come, and return what it printed."""
        before = self.sink.taken()
        settings = {
            "LANGSMITH_ENDPOINT": self.sink.url,
            "LANGSMITH_API_KEY": "none-needed",
            "LANGSMITH_TRACING": "true" if spans else "false",
        }
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
        came = self.sink.taken() - before
        if done.returncode or came != spans:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}, {came} spans of {spans}\n{done.stderr}")
        return done.stdout


#: How each arm is run, and which one is compared with which.
ARMS: Final[dict[str, Callable[[Bench], Figures]]] = {
    "lean": lambda bench: bench.own(traced=False),
    "lean, --trace": lambda bench: bench.own(traced=True),
    "SDK": lambda bench: bench.sdk(traced=False),
    "SDK, wrap_openai and @traceable": lambda bench: bench.sdk(traced=True),
}
PAIRS: Final = (("lean, --trace", "lean"), ("SDK, wrap_openai and @traceable", "SDK"))


def _there(value: float | None) -> float:
    """Return a figure that was measured."""
    if value is None:
        sys.exit("a figure was not measured: more --rounds are needed")
    return value


def measure(bench: Bench, blocks: int, seed: int) -> dict[str, list[Figures]]:
    """Run all arms in every block, after a first time of each that does not count."""
    order = random.Random(seed)
    found: dict[str, list[Figures]] = {name: [] for name in ARMS}
    for block in range(blocks + 1):
        stolen = _stolen_s()
        for name in order.sample(list(ARMS), len(ARMS)):
            figures = ARMS[name](bench)
            if block:
                found[name].append(figures)
        stolen = [after - before for before, after in zip(stolen, _stolen_s(), strict=True)]
        share, load = stolen[0] / stolen[1], os.getloadavg()[0]
        say(f"block {block} of {blocks}: {share:.1%} of the CPU time was stolen, load average {load:.1f}")
    return found


def _stolen_s() -> list[float]:
    """Return the CPU time that the machine's host has taken so far, and all of it."""
    times = psutil.cpu_times()
    return [getattr(times, "steal", 0.0), sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)]


def medians(found: dict[str, list[Figures]]) -> Iterator[str]:
    """Yield the lines of a table with the median over blocks of each figure."""
    yield line("median of the blocks", ("tasks/s", "p50 ms", "p99 ms", "CPU us/task", "sender us/task"), width=16)
    for name, blocks in found.items():
        senders = [each.sender_us for each in blocks if each.sender_us is not None]
        cells = (
            f"{median(each.throughput_per_s for each in blocks):.1f}",
            f"{median(each.p50_s for each in blocks) * 1e3:.1f}",
            f"{median(each.p99_s for each in blocks) * 1e3:.1f}",
            f"{median(each.cpu_us for each in blocks):.0f}",
            f"{median(senders):.0f}" if senders else "-",
        )
        yield line(name, cells, width=16)


def ratios(found: dict[str, list[Figures]]) -> Iterator[str]:
    """Yield the lines of a table with what traces change, and whether that is within the bounds."""
    titles = [f"{name.removesuffix('_s').removesuffix('_per')}, {bound:.0%}" for name, bound in BOUNDS.items()]
    yield line("traced to not, 95 % interval", titles, width=30)
    for name, against in PAIRS:
        cells = [
            verdict(paired_ratio(_column(found[name], figure), _column(found[against], figure)), bound)
            for figure, bound in BOUNDS.items()
        ]
        yield line(name, cells, width=30)


def _column(blocks: Sequence[Figures], figure: str) -> list[float]:
    return [getattr(each, figure) for each in blocks]


def verdict(ratio: PairedRatio, bound: float) -> str:
    """Return a ratio with its interval, and whether that lies within the bound."""
    if ratio.ratio is None or ratio.low is None or ratio.high is None:
        return "n/a"
    holds = 1 - bound <= ratio.low and ratio.high <= 1 + bound
    return f"{ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] {'within' if holds else 'beyond'}"


def line(name: str, cells: Iterable[str], width: int) -> str:
    """Return a line of a table."""
    return f"{name:<34}" + "".join(f"{cell:>{width}}" for cell in cells)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = SimulatorSettings(ttft_s=TTFT_S, itl_s=ITL_S, tokens=TOKENS)
    with SimulatorProcess(settings) as simulator, sinking() as sink:
        pin(simulator.pid)
        os.sched_setaffinity(sink.pid, os.sched_getaffinity(simulator.pid))
        tasks = options.slots * options.rounds
        bench = Bench(base_url=simulator.base_url, sink=sink, tasks=tasks, slots=options.slots)
        found = measure(bench, options.blocks, options.seed)
    say(f"{tasks} tasks an arm, {options.slots} at once, {options.blocks} blocks")
    for row in (*medians(found), "", *ratios(found)):
        say(row)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
