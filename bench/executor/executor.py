"""ConcurrentBigModelExecutor: configuration -> engine -> journal."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bench.clock import NS_PER_S
from bench.engines._base import Job
from bench.engines.choose import engine_for
from bench.environment import usable_cores
from bench.errors import ConfigError, JournalError, RunError
from bench.executor.canary import canary_server
from bench.executor.document import write_document
from bench.executor.ledger import Ledger
from bench.executor.opening import OpenRun, begin, concluded, take_up
from bench.executor.preflight import prepare_machine
from bench.executor.prod import dispatched
from bench.executor.spec import giving_up, worker_spec
from bench.journal import SUMMARY, write_atomically
from bench.logcontext import Scrubber
from bench.manifest import HarnessCost
from bench.policy.pause import standstill_s
from bench.policy.statistics import percentile
from bench.stop import StopSignal
from bench.summary import Summary, summarise
from bench.usage import Usage, UsageMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.observers import Observer
    from bench.providers import Endpoint
    from bench.records import RunStatus
    from bench.worker.spec import Canary
    from bench.workload import Workload

_log = logging.getLogger("bench.executor")


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        directory: The run's directory; everything is in it.
        status: `completed` (every task has its record), `interrupted` or `failed`.
        error: Why it failed.
        summary: Its numbers.
    """

    directory: Path
    status: RunStatus
    error: str | None
    summary: Summary


class ConcurrentBigModelExecutor:
    """Runs workloads under one configuration.

    Args:
        config: Every setting.
    """

    def __init__(self, config: ConcurrentConfig) -> None:
        self._config = config

    def open(self, workload: Workload, *endpoints: Endpoint, command: str = "") -> Run:
        """Make a run's directory and journal; nothing is sent yet.

        Args:
            workload: The tasks.
            endpoints: Where they go: one, or in profile `prod` any number.
            command: The command line that reproduces the run, without secrets, for its records.

        Raises:
            ConfigError: The results directory cannot be written, the arrival times cannot be used, or this machine
                cannot hold so many slots.
        """
        prepare_machine(self._config, workload.count, own_server=_has_own_server(endpoints))
        return Run(self._config, workload, endpoints, begin(self._config, workload, endpoints, command))

    def resume(self, run: Path, workload: Workload, *endpoints: Endpoint, retry_failed: bool = False) -> Run:
        """Take up a run where it ended, however it ended; nothing is sent yet.

        Args:
            run: Its directory.
            workload: Its tasks; those without an answer are left to do.
            endpoints: Where they go.
            retry_failed: Do those that failed again.

        Raises:
            ConfigError: Another process writes it, its workload or what shapes its answers has changed, or its records
                cannot be read and written.
        """
        prepare_machine(self._config, workload.count, own_server=_has_own_server(endpoints))
        opened = take_up(run, self._config, workload, endpoints, retry_failed=retry_failed)
        return Run(self._config, workload, endpoints, opened)

    def run(self, workload: Workload, *endpoints: Endpoint) -> RunOutcome:
        """Open a run and do its tasks; for use as a library.

        Raises:
            ConfigError: The results directory cannot be written, or the arrival times cannot be used.
            JournalError: The records cannot be read back.
        """
        return self.open(workload, *endpoints).execute()


class Run:
    """One workload through one engine, once: from its beginning, or what is left of it.

    Attributes:
        directory: Where its records are.
        left: How many tasks it is to do.
    """

    def __init__(
        self, config: ConcurrentConfig, workload: Workload, endpoints: Sequence[Endpoint], opened: OpenRun
    ) -> None:
        self._config = config
        self._workload = workload
        self._endpoints = endpoints
        self._opened = opened
        self._journal = opened.journal
        self._clock = opened.zero.clock
        self._recorded_before = opened.journal.recorded
        self._startup_s: float | None = None
        self._startup_cpu_s: float | None = None
        self._added_s: list[float] = []
        self.directory = opened.journal.directory
        self.left = opened.left.count

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Run {self._journal!r}>"

    def execute(self, *, stop: StopSignal | None = None, observers: Sequence[Observer] = ()) -> RunOutcome:
        """Do the tasks and keep their results; returns however the run ends, unless its records cannot be read back.

        Args:
            stop: Ends the run early; the outcome is then `interrupted`.
            observers: Told of what happens, from any thread.

        Raises:
            JournalError: The records cannot be read back.
        """
        stop = stop or StopSignal()
        self._log_beginning()
        if not self.left:
            # It was ended after its last answer and before its numbers were written.
            return self._close(None, HarnessCost())
        tasks = self._opened.left.of(self._workload)
        ledger = Ledger(tasks, self._journal, observers, self._clock, stop, self._opened.arrivals)
        ledger.give_up_by(giving_up(self._config))
        with contextlib.ExitStack() as servers_of_own:
            try:
                canary = servers_of_own.enter_context(canary_server(wanted=self._config.canary))
            except RunError as failure:
                return self._close(str(failure), HarnessCost())
            own = [endpoint.pid for endpoint in self._endpoints if endpoint.pid is not None]
            servers = own if canary is None or canary.endpoint.pid is None else [*own, canary.endpoint.pid]
            monitor = UsageMonitor(excluded_pids=servers, server_pid=own[0] if own else None)
            monitor.start()
            with self._journal.syncing(on_failure=stop.cancel):
                error = self._run_engine(self._job(ledger, stop, observers, monitor, canary), ledger)
            usage = monitor.stop()
        _log_standstill(usage)
        stopped_by = ledger.error or self._journal.failure
        return self._close(error or (str(stopped_by) if stopped_by else None), self._cost(usage))

    def _log_beginning(self) -> None:
        for torn in self._journal.torn:
            _log.warning("the last line had been cut off by the end of its writer: it is kept in %s", torn)
        total = self._workload.count
        if len(self._journal.manifest.segments) > 1:
            _log.info("resumed: %d of %d tasks are left", self.left, total)
        _log.info("%d tasks, mode %s, %d slots", self.left, self._config.mode, self._config.slots)

    def _cost(self, usage: Usage) -> HarnessCost:
        added = sorted(self._added_s)
        return HarnessCost(
            startup_s=self._startup_s,
            startup_cpu_s=self._startup_cpu_s,
            cpu_s=usage.cpu_s,
            peak_pss_bytes=usage.peak_pss_bytes,
            wakeup_lag_p99_s=usage.wakeup_lag_p99_s,
            wakeup_lag_max_s=usage.wakeup_lag_max_s,
            server_cpu_s=usage.server_cpu_s,
            switches_voluntary=usage.switches_voluntary,
            switches_involuntary=usage.switches_involuntary,
            gc_collections=usage.gc_collections,
            open_files=usage.open_files,
            canaries=len(added) if self._config.canary else None,
            canary_p50_s=percentile(added, 0.5) if added else None,
            canary_p99_s=percentile(added, 0.99) if added else None,
        )

    def _run_engine(self, job: Job, ledger: Ledger) -> str | None:
        """Return why the run had to stop, if it had to."""
        try:
            with dispatched(self._config, job, ledger, self.directory) as todo:
                engine_for(self._config.mode).run(todo)
        except (RunError, ConfigError) as failure:
            return str(failure)
        except Exception as bug:  # noqa: BLE001 - the run's edge: the records are kept whatever happens
            _log.exception("the run stopped on a bug")
            said = Scrubber(job.spec.secrets)(f"{type(bug).__name__}: {bug}")
            return f"a bug stopped the run ({said}); its traceback is in the run's log"
        return None

    def _job(
        self,
        ledger: Ledger,
        stop: StopSignal,
        observers: Sequence[Observer],
        monitor: UsageMonitor,
        canary: Canary | None,
    ) -> Job:
        begun_ns = self._clock.now_ns()

        def ready() -> None:
            self._startup_s = (self._clock.now_ns() - begun_ns) / NS_PER_S
            self._startup_cpu_s = monitor.cpu_s()
            for observer in observers:
                observer.ready()
            ledger.begin()

        return Job(
            slots=self._config.slots,
            processes=self._config.processes or min(usable_cores(), self._config.slots),
            spec=worker_spec(self._config, self._endpoints, self._opened, canary),
            clock=self._clock,
            stop=stop,
            draw=ledger.draw,
            emit=ledger.emit,
            ready=ready,
            worker_cpu=monitor.add_cpu,
            canary=self._added_s.append,
        )

    def _close(self, error: str | None, cost: HarnessCost) -> RunOutcome:
        """Write what concludes a run; of several reasons why it failed, the first is told."""
        failures = [error] if error else []
        self._opened.reserve.release()
        with _noted(failures):
            self._journal.sync()
        whole = self._journal.recorded - self._recorded_before == self.left
        status: RunStatus = "failed" if failures else "completed" if whole else "interrupted"
        with _noted(failures):
            self._journal.close(concluded(self._journal.manifest, status, next(iter(failures), None), cost))
        summary = self._summary(failures)
        with _noted(failures):
            write_atomically(self.directory / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2))
        with _noted(failures):
            if self._config.output is not None:
                write_document(self.directory, summary, self._config.output)
        _log.info("%s: %d ok, %d failed in %s s", status, summary.tasks.ok, summary.tasks.failed, summary.wall_s)
        return RunOutcome(
            directory=self.directory,
            status="failed" if failures else status,
            error=failures[0] if failures else None,
            summary=summary,
        )

    def _summary(self, failures: list[str]) -> Summary:
        try:
            return summarise(self.directory)
        except JournalError as error:
            # Where there are no records any more, the reason for that says more than that they cannot be read.
            raise JournalError(next(iter(failures), str(error))) from error


def _has_own_server(endpoints: Sequence[Endpoint]) -> bool:
    return any(endpoint.pid is not None for endpoint in endpoints)


def _log_standstill(usage: Usage) -> None:
    still_s = standstill_s(usage.wakeup_lag_max_s)
    if still_s is not None:
        _log.warning(
            "this process stood still for %.1f s (stopped, or kept from running): times of tasks that were under way "
            "are too long by as much, which is not the server's doing",
            still_s,
        )


@contextlib.contextmanager
def _noted(failures: list[str]) -> Iterator[None]:
    """Note in words that something could not be written, and go on."""
    try:
        yield
    except JournalError as failure:
        failures.append(str(failure))
