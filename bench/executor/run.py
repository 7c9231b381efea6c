"""One run from its first task to its last: the ledger, the engine, and what is measured of the harness."""

from __future__ import annotations

import contextlib
import logging
import shlex
from typing import TYPE_CHECKING

from bench.clock import NS_PER_S
from bench.engines._base import Job
from bench.engines.choose import engine_for
from bench.environment import usable_cores
from bench.errors import ConfigError, RunError
from bench.executor.canary import canary_server
from bench.executor.closing import close
from bench.executor.cost import harness_cost
from bench.executor.ledger import Ledger
from bench.executor.prod import dispatched
from bench.executor.spec import giving_up, worker_spec
from bench.logcontext import Scrubber
from bench.manifest import HarnessCost, NodeFacts
from bench.policy.pause import standstill_s
from bench.stop import StopSignal
from bench.usage import Usage, UsageMonitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.config import ConcurrentConfig
    from bench.executor.closing import RunOutcome
    from bench.executor.opening import OpenRun
    from bench.observers import Observer
    from bench.providers import Endpoint
    from bench.worker.spec import Canary
    from bench.workload import Workload

_log = logging.getLogger("bench.executor")


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
        self._nodes: list[NodeFacts] = []
        self._refusal: ConfigError | None = None
        self.directory = opened.journal.directory
        self.left = opened.left.count

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Run {self._journal!r}>"

    def execute(
        self, *, stop: StopSignal | None = None, observers: Sequence[Observer] = (), beside: Sequence[int] = ()
    ) -> RunOutcome:
        """Do the tasks and keep their results; returns however a run that can begin ends.

        Args:
            stop: Ends the run early; the outcome is then `interrupted`.
            observers: Told of what happens, from any thread.
            beside: Processes that the caller started and that are no part of the run: they are not in its cost.

        Raises:
            ConfigError: Something that was to be used cannot be; nothing was sent.
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
            monitor = UsageMonitor(excluded_pids=[*servers, *beside], server_pid=own[0] if own else None)
            monitor.start()
            with self._journal.syncing(on_failure=stop.cancel):
                error = self._run_engine(self._job(ledger, stop, observers, monitor, canary), ledger)
            usage = monitor.stop()
        _log_standstill(usage)
        stopped_by = ledger.error or self._journal.failure
        outcome = self._close(error or (str(stopped_by) if stopped_by else None), self._cost(usage))
        if self._refusal is not None:
            raise self._refusal
        return outcome

    def _log_beginning(self) -> None:
        for torn in self._journal.torn:
            _log.warning("the last line had been cut off by the end of its writer: it is kept in %s", torn)
        total = self._workload.count
        if len(self._journal.manifest.segments) > 1:
            _log.info("resumed: %d of %d tasks are left", self.left, total)
        _log.info("%d tasks, mode %s, %d slots", self.left, self._config.mode, self._config.slots)

    def _cost(self, usage: Usage) -> HarnessCost:
        added_s = self._added_s if self._config.canary else None
        return harness_cost(usage, startup_s=self._startup_s, startup_cpu_s=self._startup_cpu_s, added_s=added_s)

    def _run_engine(self, job: Job, ledger: Ledger) -> str | None:
        """Return why the run had to stop, if it had to."""
        try:
            with dispatched(self._config, job, ledger, self.directory) as todo:
                engine_for(self._config.mode).run(todo)
        except ConfigError as refusal:
            self._refusal = refusal
            return str(refusal)
        except RunError as failure:
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
            by_turns=ledger.by_turns,
            nodes=self._nodes.extend,
            resume=f"--resume {shlex.quote(str(self.directory))}",
            scheduler=self._config.scheduler,
        )

    def _close(self, error: str | None, cost: HarnessCost) -> RunOutcome:
        is_whole = self._journal.recorded - self._recorded_before == self.left
        return close(self._opened, error, cost, nodes=self._nodes, is_whole=is_whole, output=self._config.output)


def _log_standstill(usage: Usage) -> None:
    still_s = standstill_s(usage.wakeup_lag_max_s)
    if still_s is not None:
        _log.warning(
            "this process stood still for %.1f s (stopped, or kept from running): times of tasks that were under way "
            "are too long by as much, which is not the server's doing",
            still_s,
        )
