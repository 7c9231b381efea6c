"""What an endpoint for traces that fails does to a run: prints a table of the run's time, its exit, counts and words.

`.venv/bin/python -m tests.perf.tracing_faults [--repeats 5]`. In each repeat, in an order drawn anew: the same run
without traces, with an endpoint that takes them, with one that refuses connections, that answers after 10 s, and that
answers 401 or 429. 64 answers are streamed at once, ten rounds of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S
from bench.journal import read_manifest
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import summarise
from bench.tracing.outcome import read_outcome
from tests.command import COMMAND, records, the_run, write_topics
from tests.langsmith_receiver import receiving
from tests.tracing_runs import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.langsmith_receiver import Receiver

SLOTS: Final = 64
TASKS: Final = 640

#: What the endpoint does; None where no traces are sent.
ENDPOINTS: Final[dict[str, tuple[int, float] | None]] = {
    "no traces": None,
    "takes them": (202, 0.0),
    "refuses connections": (0, 0.0),
    "answers after 10 s": (202, 10.0),
    "answers 401": (401, 0.0),
    "answers 429": (429, 0.0),
}


@dataclass(frozen=True)
class Seen:
    """What a run took, and what it said.

    Attributes:
        wall_s: From the first request to the last answer.
        exit_s: From the last answer to the command's end.
        counts: Traces sent, failed and dropped.
        said: Its lines about traces.
    """

    wall_s: float
    exit_s: float
    counts: str
    said: tuple[str, ...]


@contextlib.contextmanager
def endpoint(status: int, delay_s: float) -> Iterator[Receiver]:
    """Run an endpoint inside the block, or none where its status is 0."""
    with receiving() as receiver:
        receiver.status, receiver.delay_s = status, delay_s
        if status:
            yield receiver
            return
    yield receiver


def see(base_url: str, behaviour: tuple[int, float] | None) -> Seen:
    """Run the command once."""
    with tempfile.TemporaryDirectory() as folder, endpoint(*(behaviour or (0, 0.0))) as receiver:
        topics = write_topics(Path(folder) / "topics.txt", TASKS)
        done = subprocess.run(
            [
                *(*COMMAND, "-m", "asyncio", "--client", "lean", "-c", str(SLOTS), "--topics-file", str(topics)),
                *("--base-url", base_url, "--model", "m", "--results-dir", folder, "--no-report"),
                "--no-trace" if behaviour is None else "--trace",
            ],
            env={**os.environ, **settings(receiver)},
            capture_output=True,
            text=True,
            check=True,
        )
        ended_ns = time.perf_counter_ns()
        run = the_run(Path(folder))
        origin_ns = read_manifest(run).segments[0].origin_ns
        outcome, wall_s = read_outcome(run), summarise(run).wall_s
        last_s = max(record.ended_s for record in records(run))
    if origin_ns is None or wall_s is None:
        sys.exit("a run without times")
    counts = "-" if outcome is None else f"{outcome.traces_sent}/{outcome.traces_failed}/{outcome.traces_dropped}"
    words = (done.stdout + done.stderr).replace(folder, "..").splitlines()
    said = tuple(word for word in words if "traces" in word)
    return Seen(wall_s, (ended_ns - origin_ns) / NS_PER_S - last_s, counts, said)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    order = random.Random(0)
    found: dict[str, list[Seen]] = {name: [] for name in ENDPOINTS}
    with SimulatorProcess(SimulatorSettings(ttft_s=0.2, itl_s=0.01, tokens=16)) as simulator:
        see(simulator.base_url, None)
        for _ in range(options.repeats):
            for name in order.sample(list(ENDPOINTS), len(ENDPOINTS)):
                found[name].append(see(simulator.base_url, ENDPOINTS[name]))
    say(f"{TASKS} tasks, {SLOTS} at once, {options.repeats} times each; medians")
    say(f"{'endpoint':<22}{'run s':>8}{'exit s':>8}{'longest':>9}  sent/failed/dropped")
    for name, runs in found.items():
        wall_s, exits_s = median(each.wall_s for each in runs), [each.exit_s for each in runs]
        say(f"{name:<22}{wall_s:>8.2f}{median(exits_s):>8.2f}{max(exits_s):>9.2f}  {runs[-1].counts}")
    for name, runs in found.items():
        say(f"\n{name}:")
        for said in runs[-1].said:
            say(f"  {said}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
