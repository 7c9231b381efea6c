"""What the commands that run something share: one run with its display, its log, its numbers and its report."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from bench.cli.context import FAILED, INTERRUPTED, OK
from bench.cli.drawing import draw_own_report
from bench.cli.hints import failure_lines
from bench.cli.interrupts import interrupts
from bench.cli.messages import fail, note, say
from bench.cli.options import PROGRAM, command_line
from bench.cli.traced import following
from bench.errors import BenchError, ConfigError
from bench.executor import ConcurrentBigModelExecutor, RunOutcome
from bench.journal import LOG
from bench.observe.console import progress_display
from bench.observe.logs import run_logging
from bench.observe.summary_table import print_summary
from bench.observe.terminal import Terminal
from bench.observe.text import printable
from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.executor import Run
    from bench.observers import Observer
    from bench.providers import Endpoint
    from bench.records import Glimpse, TaskResult
    from bench.workload import Workload

_log = logging.getLogger("bench.cli")


@dataclass(frozen=True, kw_only=True)
class TakenUp:
    """A run that is taken up again.

    Attributes:
        run: Its directory.
        retry_failed: Do the tasks that failed again, too.
    """

    run: Path
    retry_failed: bool


class Companion(Protocol):
    """A command whose work is made of runs.

    Attributes:
        command: The command line that does it again.
    """

    command: str

    def watching(self, run: Path) -> AbstractContextManager[Observer]:
        """Watch a run inside the block, from its directory."""


class InFlight:
    """Counts the tasks that are under way; an observer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<InFlight {self.count}>"

    @property
    def count(self) -> int:
        """How many tasks are under way."""
        return self._count

    def ready(self) -> None:
        """Do nothing."""

    def drawn(self) -> None:
        """Count one more."""
        with self._lock:
            self._count += 1

    def recorded(self, _glimpse: Glimpse | TaskResult) -> None:
        """Count one less."""
        with self._lock:
            self._count -= 1


class Session:
    """One run or several that one Ctrl+C stops, on one terminal.

    Attributes:
        stop: Ends the runs early.
        outcomes: How the runs so far ended.
        interrupted: Whether a signal asked for the end.
    """

    def __init__(self) -> None:
        self.stop = StopSignal()
        self.outcomes: list[RunOutcome] = []
        self.interrupted = False
        self._terminal = Terminal(sys.stderr)

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Session runs={len(self.outcomes)} {self.stop!r}>"

    @property
    def exit_code(self) -> int:
        """What the command returns for the runs so far."""
        if self.interrupted:
            return INTERRUPTED
        return OK if self.outcomes and all(map(_succeeded, self.outcomes)) else FAILED

    def run(
        self,
        config: ConcurrentConfig,
        workload: Workload,
        endpoints: Sequence[Endpoint],
        *,
        details: bool = True,
        taken_up: TakenUp | None = None,
        companion: Companion | None = None,
    ) -> RunOutcome:
        """Run a workload, show its progress and its numbers, and draw its report.

        Args:
            config: Every setting.
            workload: The tasks.
            endpoints: Where they go.
            details: Show the run's own numbers; failures are shown in any case.
            taken_up: The run whose tasks that are left are to be done, instead of a new one.
            companion: Whose work the run is, and who watches it beside the display.

        Raises:
            ConfigError: The results or the log cannot be written; nothing was sent.
            RunError: The records cannot be read back, or the report cannot be written.
            CrashError: This program failed.
        """
        executor = ConcurrentBigModelExecutor(config)
        if taken_up is None:
            command = command_line(config) if companion is None else companion.command
            run = executor.open(workload, *endpoints, command=command)
        else:
            run = executor.resume(taken_up.run, workload, *endpoints, retry_failed=taken_up.retry_failed)
            if not config.quiet:
                note(f"{run.directory.name}: {run.left} of {workload.count} tasks are left to do")
        log_file = config.log_file or run.directory / LOG
        with (
            self._logged(config, log_file, run.directory.name, endpoints),
            following(config, run.directory) as traces,
        ):
            outcome = self._watched(config, run, companion, others=traces.pids)
            traces.run_ended()
            self.outcomes.append(outcome)
            if details and not config.quiet:
                _show(config, outcome)
            _show_failures(outcome)
            # Before the report, which names the page of the traces.
            traces.finish()
            if config.report:
                draw_own_report([outcome.directory], outcome.directory, quiet=config.quiet)
        return outcome

    def _watched(
        self, config: ConcurrentConfig, run: Run, companion: Companion | None, others: tuple[int, ...]
    ) -> RunOutcome:
        in_flight = InFlight()

        def announce(stage: str) -> None:
            self._terminal.line(Text(f"stopping: {_stage_text(stage, in_flight.count, config.grace)}"))

        with (
            interrupts(self.stop, grace_s=config.grace, announce=announce) as came,
            progress_display(
                total=run.left, slots=config.slots, mode=config.mode, quiet=config.quiet, terminal=self._terminal
            ) as display,
            contextlib.ExitStack() as beside,
        ):
            more = () if companion is None else (beside.enter_context(companion.watching(run.directory)),)
            outcome = run.execute(stop=self.stop, observers=(display, in_flight, *more), beside=others)
        self.interrupted = self.interrupted or came.interrupted
        return outcome

    @contextlib.contextmanager
    def _logged(
        self, config: ConcurrentConfig, log_file: Path, run_id: str, endpoints: Sequence[Endpoint]
    ) -> Iterator[None]:
        """Keep the log of a run, and in it the traceback of a crash of our own."""
        secrets = [endpoint.api_key.reveal() for endpoint in endpoints if endpoint.api_key is not None]
        with run_logging(
            log_file,
            run_id=run_id,
            level=getattr(logging, config.log_level.upper()),
            console_level=logging.ERROR if config.quiet else logging.WARNING,
            secrets=secrets,
            terminal=self._terminal,
        ):
            try:
                yield
            except BenchError:
                raise
            except Exception as bug:
                _log.exception("a bug stopped the command")
                raise CrashError(bug, log_file) from bug


def _stage_text(stage: str, count: int, grace_s: float) -> str:
    match stage:
        case "drain" if count:
            return f"waiting up to {grace_s:g} s for {count} in flight; Ctrl+C again to stop now"
        case "drain":
            return "nothing is in flight"
        case "overdue":
            return f"{grace_s:g} s are over, giving up {count} in flight"
        case _:
            return f"giving up {count} in flight"


class CrashError(BenchError):
    """This program failed during a run; the run's log has the traceback.

    Args:
        bug: What was raised.
        log_file: Where the traceback is.
    """

    def __init__(self, bug: Exception, log_file: Path) -> None:
        super().__init__(bug, log_file)
        self.bug = bug
        self.log_file = log_file

    def __str__(self) -> str:
        """Say what failed and where to read on."""
        return f"this program failed ({type(self.bug).__name__}: {self.bug})\nthe traceback is in {self.log_file}"


def _succeeded(outcome: RunOutcome) -> bool:
    """Say whether every task of a run succeeded."""
    return outcome.status == "completed" and outcome.summary.tasks.ok == outcome.summary.tasks.total


def check_files(config: ConcurrentConfig) -> None:
    """Refuse files that could not be written, before anything is sent.

    Raises:
        ConfigError: One is a directory, or in none.
    """
    for name, path in (("--output", config.output), ("--log-file", config.log_file)):
        if path is None:
            continue
        if path.is_dir():
            raise ConfigError(f"{name} {path} is a directory", "name a file")
        if not os.access(path.parent, os.W_OK):
            raise ConfigError(
                f"{name} {path} cannot be written", f"is there a directory {path.parent}, and is it yours?"
            )


def _show(config: ConcurrentConfig, outcome: RunOutcome) -> None:
    """Print a run's numbers, where its records are and how to run it again."""
    print_summary(outcome.summary)
    say(f"records: {printable(str(outcome.directory))}")
    if config.output is not None:
        say(f"results: {printable(str(config.output))}")
    say(f"again:   {printable(command_line(config))}")
    if outcome.status != "completed":
        say(f"go on:   python {PROGRAM} --resume {printable(shlex.quote(str(outcome.directory)))}")


def _show_failures(outcome: RunOutcome) -> None:
    """Tell what went wrong and what to do about it."""
    if outcome.error is not None:
        where = printable(str(outcome.directory))
        fail(f"the run had to stop: {printable(outcome.error)}", f"its records and its log are in {where}")
    for said, hint in failure_lines(outcome.summary):
        fail(printable(said), hint)
