"""What the harness measures about itself."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

import psutil
import pytest

from bench.usage import UsageMonitor, pause_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: CPU time that a busy child uses, in seconds; far above what starting an interpreter takes.
BURN_S: Final = 0.6

#: A child that does what it is told a line at a time, and answers each line when it is done.
CHILD: Final = """
import sys, time
kept = []
for line in sys.stdin:
    word, amount = line.split()
    if word == "burn":
        end = time.process_time() + float(amount)
        while time.process_time() < end:
            pass
    else:
        kept.append(b"x" * int(amount))
    print("done", flush=True)
"""


class Child:
    """A process that burns CPU time or holds memory on demand."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.do("hold 1")

    def do(self, order: str) -> None:
        """Give an order and wait until it is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{order}\n")
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        """End it and wait for that."""
        self.process.communicate()


@pytest.fixture
def others() -> list[int]:
    """Processes that other tests left to this one, such as a fork server."""
    return [process.pid for process in psutil.Process().children(recursive=True)]


@pytest.fixture
def child(others: list[int]) -> Iterator[Callable[[], Child]]:
    """Return a maker of children; they end with the test."""
    children: list[Child] = []

    def make() -> Child:
        children.append(Child())
        return children[-1]

    yield make
    for started in children:
        if started.process.returncode is None:
            started.end()


def burn(cpu_s: float) -> None:
    """Use CPU time in this process."""
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        pass


def test_own_cpu(others: list[int]) -> None:
    """The CPU time of this process is counted, from start to stop and no more."""
    burn(0.2)
    before_s = time.process_time()
    with UsageMonitor(excluded_pids=others) as monitor:
        burn(0.2)
    usage = monitor.stop()
    assert 0.2 <= usage.cpu_s <= time.process_time() - before_s


def test_cpu_of_living_children(child: Callable[[], Child], others: list[int]) -> None:
    """A child that lives on counts with what it used since the start, unless it is excluded."""
    ours, theirs = child(), child()
    ours.do(f"burn {BURN_S}")  # this belongs to whatever was before
    with UsageMonitor(excluded_pids=[*others, theirs.process.pid]) as monitor:
        theirs.do(f"burn {BURN_S}")
        nothing_s = monitor.cpu_s()
        ours.do(f"burn {BURN_S}")
    assert nothing_s < BURN_S
    assert BURN_S <= monitor.stop().cpu_s < 2 * BURN_S


def test_cpu_of_children_that_ended(child: Callable[[], Child], others: list[int]) -> None:
    """A child that ended counts with what it reported of itself, once."""
    with UsageMonitor(excluded_pids=others) as monitor:
        worker = child()
        worker.do(f"burn {BURN_S}")
        monitor.add_cpu(BURN_S)
        worker.end()
    assert BURN_S <= monitor.stop().cpu_s < 2 * BURN_S


def test_reports_from_many_threads() -> None:
    """Reports that come from many threads at once all count."""
    with UsageMonitor() as monitor:

        def report() -> None:
            for _ in range(1000):
                monitor.add_cpu(1.0)

        threads = [threading.Thread(target=report) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 8000 <= monitor.stop().cpu_s < 8100


def test_memory_of_children(child: Callable[[], Child], others: list[int]) -> None:
    """The peak holds what all the harness's processes have at once, and not what an excluded one has."""
    size_bytes = 64 * 2**20
    ours, theirs = child(), child()
    with UsageMonitor(excluded_pids=[*others, theirs.process.pid]) as monitor:
        monitor._look_at_memory()
        before_bytes = monitor._peak_pss_bytes
        theirs.do(f"hold {4 * size_bytes}")
        ours.do(f"hold {size_bytes}")
    usage = monitor.stop()
    assert before_bytes is not None
    assert usage.peak_pss_bytes is not None
    # Pages that processes share count in parts, which change as processes come and go.
    assert 0.9 * size_bytes < usage.peak_pss_bytes - before_bytes < 2 * size_bytes
    assert usage.processes_peak == 2


def test_memory_is_looked_at_while_it_runs(child: Callable[[], Child], others: list[int]) -> None:
    """A child that ends before the stop was seen, if it lived through the first look."""
    with UsageMonitor(excluded_pids=others) as monitor:
        worker = child()
        deadline = time.perf_counter() + 30
        while monitor._processes_peak < 2 and time.perf_counter() < deadline:
            worker.do("burn 0.05")
        worker.end()
    assert monitor.stop().processes_peak == 2


def test_looks_at_memory_are_bounded() -> None:
    """Looks at memory are 2 s apart at least, and more where they would take more than a hundredth of a core."""
    assert pause_after_s(0.0) == 2.0
    assert pause_after_s(0.004) == 2.0
    assert pause_after_s(0.5) == pytest.approx(50.0)


def test_lag_of_a_held_interpreter() -> None:
    """A thread that keeps all others from running for a time shows as lag of that length, at each tick of that time."""
    holding = ctypes.PyDLL(None)  # unlike CDLL it keeps the interpreter's lock during a call
    with UsageMonitor() as monitor:
        began_s = time.perf_counter()
        burn(0.05)
        holding.usleep(300_000)
        burn(0.3)
        ticks = (time.perf_counter() - began_s) / 0.02
    usage = monitor.stop()
    assert monitor._lag.n > ticks - 8
    assert usage.wakeup_lag_max_s is not None
    assert usage.wakeup_lag_max_s >= 0.2
    assert usage.wakeup_lag_p50_s is not None
    assert 0 <= usage.wakeup_lag_p50_s <= usage.wakeup_lag_max_s
    assert usage.wakeup_lag_p99_s is None, "half a second holds too few samples for a p99"


def test_too_short_to_measure() -> None:
    """What a run is too short for is None, and not 0."""
    monitor = UsageMonitor()
    monitor.start()
    usage = monitor.stop()
    assert usage.wakeup_lag_p50_s is None
    assert usage.wakeup_lag_p99_s is None
    assert usage.processes_peak >= 1


def test_stop_twice_and_threads() -> None:
    """A second stop returns the same figures, and no thread of the monitor is left."""
    with UsageMonitor() as monitor:
        assert {"usage-lag", "usage-memory"} <= {thread.name for thread in threading.enumerate()}
    assert monitor.stop() is monitor.stop()
    assert not {"usage-lag", "usage-memory"} & {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError):
        monitor.start()
    with pytest.raises(RuntimeError):
        UsageMonitor().stop()
