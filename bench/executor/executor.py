"""ConcurrentBigModelExecutor: configuration -> engine -> journal."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import msgspec

from bench.clients._base import ClientSettings, Timeouts
from bench.clock import NS_PER_S, Clock, MonotonicClock, utc_label, utc_now
from bench.engines._base import Job
from bench.engines.choose import engine_for
from bench.environment import usable_cores
from bench.errors import ConfigError, JournalError, RunError
from bench.executor.arrivals import arrivals
from bench.executor.canary import canary_server
from bench.executor.document import write_document
from bench.executor.ledger import Ledger
from bench.executor.manifest import first_manifest, first_segment
from bench.journal import SUMMARY, Journal, create_run_directory, write_atomically
from bench.manifest import HarnessCost
from bench.policy.retry import RetryPolicy
from bench.policy.statistics import percentile
from bench.stop import StopSignal
from bench.summary import Summary, summarise
from bench.usage import Usage, UsageMonitor
from bench.worker import WorkerSpec

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

    def open(self, workload: Workload, endpoint: Endpoint, *, command: str = "") -> Run:
        """Make a run's directory and journal; nothing is sent yet.

        Args:
            workload: The tasks.
            endpoint: Where they go.
            command: The command line that reproduces the run, without secrets, for its records.

        Raises:
            ConfigError: The results directory cannot be written, or the arrival times cannot be used.
        """
        return Run(self._config, workload, endpoint, command)

    def run(self, workload: Workload, endpoint: Endpoint) -> RunOutcome:
        """Open a run and do its tasks; for use as a library.

        Raises:
            ConfigError: The results directory cannot be written, or the arrival times cannot be used.
            JournalError: The records cannot be read back.
        """
        return self.open(workload, endpoint).execute()


class Run:
    """One workload through one engine, once.

    Attributes:
        directory: Where its records are.
    """

    def __init__(self, config: ConcurrentConfig, workload: Workload, endpoint: Endpoint, command: str) -> None:
        now = utc_now()
        self._clock: Clock = MonotonicClock()
        self._origin_ns, self._origin_utc_s = self._clock.now_ns(), now.timestamp()
        self._arrivals = arrivals(config, workload.count)
        self._config = config
        self._workload = workload
        self._endpoint = endpoint
        self._startup_s: float | None = None
        self._startup_cpu_s: float | None = None
        self._added_s: list[float] = []
        self.directory = create_run_directory(config.results_dir, config.mode, now)
        segment = first_segment(now, self._origin_ns)
        manifest = first_manifest(self.directory.name, config, workload, endpoint, command, segment)
        self._journal = Journal(self.directory, manifest)

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
        ledger = Ledger(iter(self._workload), self._journal, observers, self._clock, stop, self._arrivals)
        _log.info("%d tasks, mode %s, %d slots", self._workload.count, self._config.mode, self._config.slots)
        with contextlib.ExitStack() as servers_of_own:
            try:
                canary = servers_of_own.enter_context(canary_server(wanted=self._config.canary))
            except RunError as failure:
                return self._close(str(failure), HarnessCost())
            servers = [self._endpoint.pid, None if canary is None else canary.endpoint.pid]
            monitor = UsageMonitor(
                excluded_pids=[pid for pid in servers if pid is not None], server_pid=self._endpoint.pid
            )
            monitor.start()
            error = self._run_engine(self._job(ledger, stop, observers, monitor, canary))
            usage = monitor.stop()
        return self._close(error or (str(ledger.error) if ledger.error else None), self._cost(usage))

    def _cost(self, usage: Usage) -> HarnessCost:
        added = sorted(self._added_s)
        return HarnessCost(
            startup_s=self._startup_s,
            startup_cpu_s=self._startup_cpu_s,
            cpu_s=usage.cpu_s,
            peak_pss_bytes=usage.peak_pss_bytes,
            wakeup_lag_p99_s=usage.wakeup_lag_p99_s,
            server_cpu_s=usage.server_cpu_s,
            switches_voluntary=usage.switches_voluntary,
            switches_involuntary=usage.switches_involuntary,
            gc_collections=usage.gc_collections,
            open_files=usage.open_files,
            canaries=len(added) if self._config.canary else None,
            canary_p50_s=percentile(added, 0.5) if added else None,
            canary_p99_s=percentile(added, 0.99) if added else None,
        )

    def _run_engine(self, job: Job) -> str | None:
        """Return why the run had to stop, if it had to."""
        try:
            engine_for(self._config.mode).run(job)
        except (RunError, ConfigError) as failure:
            return str(failure)
        except Exception as bug:  # noqa: BLE001 - the run's edge: the records are kept whatever happens
            _log.exception("the run stopped on a bug")
            return f"a bug stopped the run ({type(bug).__name__}: {bug}); its traceback is in the run's log"
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
            spec=msgspec.structs.replace(self._spec(), canary=canary),
            clock=self._clock,
            stop=stop,
            draw=ledger.draw,
            emit=ledger.emit,
            ready=ready,
            worker_cpu=monitor.add_cpu,
            canary=self._added_s.append,
        )

    def _spec(self) -> WorkerSpec:
        config = self._config
        max_wait_s = config.timeout if config.max_wait is None else config.max_wait
        return WorkerSpec(
            endpoint=self._endpoint,
            client=ClientSettings(
                client=config.client,
                transport=_transport(config),
                slots=config.slots,
                timeouts=Timeouts(
                    ttft_s=config.ttft_timeout, idle_s=config.idle_timeout, connect_s=config.connect_timeout
                ),
            ),
            retry=RetryPolicy(retries=config.retries, delay_s=config.retry_delay, backoff=config.backoff),
            timeout_s=config.timeout,
            max_wait_s=max_wait_s if config.load_model == "open" else None,
            stream=config.stream,
            mode=config.mode,
            segment=len(self._journal.manifest.segments) - 1,
            origin_ns=self._origin_ns,
            origin_utc_s=self._origin_utc_s,
            chunk_times=config.chunk_times,
            seed=config.seed,
        )

    def _close(self, error: str | None, cost: HarnessCost) -> RunOutcome:
        """Write what concludes a run; of several reasons why it failed, the first is told."""
        whole = self._journal.recorded == self._workload.count
        status: RunStatus = "failed" if error else "completed" if whole else "interrupted"
        manifest = self._journal.manifest
        segment = msgspec.structs.replace(manifest.segments[-1], ended_at=utc_label(utc_now()), cost=cost)
        manifest = msgspec.structs.replace(
            manifest, status=status, error=error, segments=(*manifest.segments[:-1], segment)
        )
        failures = [error] if error else []
        with _noted(failures):
            self._journal.close(manifest)
        summary = summarise(self.directory)
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


@contextlib.contextmanager
def _noted(failures: list[str]) -> Iterator[None]:
    """Note in words that something could not be written, and go on."""
    try:
        yield
    except JournalError as failure:
        failures.append(str(failure))


def _transport(config: ConcurrentConfig) -> str:
    """Return what the client stands on; only the openai client on an event loop has a choice."""
    on_loop = config.mode in {"asyncio", "hybrid"}
    match config.client:
        case "openai":
            return config.transport if on_loop else "httpx2"
        case "lean":
            return "protocol" if on_loop else "socket"
        case "scripted":
            return "none"
        case _:
            assert_never(config.client)
