"""What a run costs the machine it runs on: CPU and memory of the harness's processes, and how late its threads wake."""

from __future__ import annotations

import contextlib
import gc
import resource
import threading
import time
from typing import TYPE_CHECKING, Final, Self

import msgspec
import psutil

from bench.clock import NS_PER_S
from bench.policy.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

#: How long the lag thread sleeps at a time: often enough for a p99 after 13 s, at 0.2 % of a core.
_TICK_NS: Final = NS_PER_S // 50

#: The first look at memory: soon, so that a short run has one while its workers are there.
_FIRST_LOOK_S: Final = 0.5

#: Looks at memory are no closer than this ..
_LOOK_EVERY_S: Final = 2.0

#: .. and take no more than this share of a core: one costs 4 ms, and up to 1 ms more for each process.
_LOOK_SHARE: Final = 0.01


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the harness cost; None where it was not measured.

    Attributes:
        cpu_s: CPU time, user and system, of this process and of those that it started.
        peak_pss_bytes: Most memory seen at once over all of them (proportional set size); None where the system does
            not tell it. Memory is looked at every few seconds, so a shorter peak may be missed.
        processes_peak: Most processes seen at once, this one included.
        wakeup_lag_p50_s: How late a thread woke that slept for 20 ms; with its 99th percentile, which needs 662
            samples or 13 s, and its maximum.
        server_cpu_s: CPU time of the run's own server. None without any.
        switches_voluntary: How often this process waited for something of its own accord.
        switches_involuntary: How often it was made to wait for others.
        gc_collections: Garbage collections of this process.
        open_files: Descriptors that this process had open at the end; None where the system does not tell it.
    """

    cpu_s: float
    peak_pss_bytes: int | None
    processes_peak: int
    wakeup_lag_p50_s: float | None
    wakeup_lag_p99_s: float | None
    wakeup_lag_max_s: float | None
    server_cpu_s: float | None
    switches_voluntary: int
    switches_involuntary: int
    gc_collections: int
    open_files: int | None


class UsageMonitor:
    """Measures this process and its descendants from `start` to `stop`, in two daemon threads.

    Worker processes that end before `stop` are counted by what they report of themselves (`add_cpu`); one that was
    killed reports nothing, and its CPU time is not counted.

    Args:
        excluded_pids: Descendants that are not the harness: a simulator, a local model.
        server_pid: The one of them whose CPU time is told.
    """

    def __init__(self, *, excluded_pids: Collection[int] = (), server_pid: int | None = None) -> None:
        self._excluded = frozenset(excluded_pids)
        self._server_pid = server_pid
        self._self = psutil.Process()
        self._ended = threading.Event()
        self._threads = (
            threading.Thread(target=self._watch_lag, name="usage-lag", daemon=True),
            threading.Thread(target=self._watch_memory, name="usage-memory", daemon=True),
        )
        self._lag = Histogram()
        self._lock = threading.Lock()
        self._reported_s = 0.0
        self._own_at_start_s = 0.0
        self._others_at_start_s: dict[psutil.Process, float] = {}
        self._server: tuple[psutil.Process, float] | None = None
        self._switches_at_start = (0, 0)
        self._collections_at_start = 0
        self._peak_pss_bytes: int | None = None
        self._processes_peak = 1
        self._usage: Usage | None = None

    def __repr__(self) -> str:
        """Show how far it got."""
        state = "stopped" if self._usage else "running" if self._threads[0].is_alive() else "not started"
        return f"<UsageMonitor {state}>"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it; `stop` returns the figures again."""
        self.stop()

    def start(self) -> None:
        """Begin to measure; once.

        Raises:
            RuntimeError: It was started before.
        """
        # What a process that is here already has used belongs to an earlier run.
        self._others_at_start_s = {process: _cpu_s(process) for process in self._descendants()}
        self._own_at_start_s = _own_cpu_s()
        self._switches_at_start, self._collections_at_start = _switches(), _collections()
        if self._server_pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                server = psutil.Process(self._server_pid)
                self._server = server, _cpu_s(server)
        for thread in self._threads:
            thread.start()

    def add_cpu(self, seconds: float) -> None:
        """Count the CPU time that a worker process reports of itself as it ends; from any thread."""
        with self._lock:
            self._reported_s += seconds

    def stop(self) -> Usage:
        """Stop measuring and return the figures; a second call returns them again.

        Raises:
            RuntimeError: It was not started.
        """
        if self._usage is None:
            self._ended.set()
            for thread in self._threads:
                thread.join()
            self._look_at_memory()
            voluntary, involuntary = _switches()
            self._usage = Usage(
                cpu_s=self.cpu_s(),
                peak_pss_bytes=self._peak_pss_bytes,
                processes_peak=self._processes_peak,
                wakeup_lag_p50_s=self._lag.percentile("p50"),
                wakeup_lag_p99_s=self._lag.percentile("p99"),
                wakeup_lag_max_s=self._lag.max_s if self._lag.n else None,
                server_cpu_s=self._server_cpu_s(),
                switches_voluntary=voluntary - self._switches_at_start[0],
                switches_involuntary=involuntary - self._switches_at_start[1],
                gc_collections=_collections() - self._collections_at_start,
                open_files=_open_files(self._self),
            )
        return self._usage

    def cpu_s(self) -> float:
        """Return the CPU time used since `start`, over all processes."""
        living_s = sum(_cpu_s(process) - self._others_at_start_s.get(process, 0.0) for process in self._descendants())
        with self._lock:
            return _own_cpu_s() - self._own_at_start_s + living_s + self._reported_s

    def _server_cpu_s(self) -> float | None:
        """Return what the server used; one that has ended meanwhile no longer tells."""
        if self._server is None or not _is_alive(self._server[0]):
            return None
        return _cpu_s(self._server[0]) - self._server[1]

    def _descendants(self) -> Iterator[psutil.Process]:
        """Yield the harness's other processes; one that has ended and reported is none, though it may be listed yet."""
        for process in self._self.children(recursive=True):
            if process.pid not in self._excluded and _is_alive(process):
                yield process

    def _watch_lag(self) -> None:
        """Sleep until absolute instants: after a long delay, each tick that it covers counts with its own lateness."""
        due_ns = time.perf_counter_ns() + _TICK_NS
        while not self._ended.wait((due_ns - time.perf_counter_ns()) / NS_PER_S):
            self._lag.add((max(0, time.perf_counter_ns() - due_ns) / NS_PER_S,))
            due_ns += _TICK_NS
        # The last tick counts where it is overdue: a process that was stopped may end in the moment in which it wakes.
        late_ns = time.perf_counter_ns() - due_ns
        if late_ns > 0:
            self._lag.add((late_ns / NS_PER_S,))

    def _watch_memory(self) -> None:
        pause_s = _FIRST_LOOK_S
        while not self._ended.wait(pause_s):
            began_ns = time.thread_time_ns()
            self._look_at_memory()
            cost_s = (time.thread_time_ns() - began_ns) / NS_PER_S
            pause_s = pause_after_s(cost_s)

    def _look_at_memory(self) -> None:
        pss_bytes: list[int | None] = []
        for process in (self._self, *self._descendants()):
            try:
                pss_bytes.append(_pss_bytes(process))
            except psutil.NoSuchProcess:
                continue
        self._processes_peak = max(self._processes_peak, len(pss_bytes))
        known = [value for value in pss_bytes if value is not None]
        if len(known) == len(pss_bytes):
            self._peak_pss_bytes = max(self._peak_pss_bytes or 0, sum(known))


def pause_after_s(cost_s: float) -> float:
    """Return how long not to look at memory after a look that took `cost_s` seconds of CPU time."""
    return max(_LOOK_EVERY_S, cost_s / _LOOK_SHARE)


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _switches() -> tuple[int, int]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_nvcsw, used.ru_nivcsw


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def _open_files(process: psutil.Process) -> int | None:
    try:
        return process.num_fds()
    except psutil.Error:
        return None


def _cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process, 0 for one that has just ended."""
    try:
        used = process.cpu_times()
    except psutil.Error:
        return 0.0
    return used.user + used.system


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _pss_bytes(process: psutil.Process) -> int | None:
    """Return the proportional set size, or None where the system does not tell it.

    Raises:
        psutil.NoSuchProcess: It has ended.
    """
    try:
        return getattr(process.memory_full_info(), "pss", None)  # Linux alone has it
    except psutil.AccessDenied:
        return None
