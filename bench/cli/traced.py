"""Tracing beside a run: whether it is wanted, the process that follows the run, and what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.cli.messages import note, say, warn
from bench.cli.options import PROGRAM
from bench.clock import NS_PER_S
from bench.errors import ConfigError
from bench.observe.text import printable, seconds, size
from bench.tracing.destination import destination, sample_wanted, tracing_wanted
from bench.tracing.outcome import OUTCOME, read_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.config import ConcurrentConfig

_ROOT: Final = Path(__file__).parents[2]

#: How long a run's end waits for its follower, and then for it to write down how far it got: 5 s together.
_PATIENCE_S: Final = 4.3
_LAST_S: Final = 0.7

#: What the run leaves over is enough for who only watches it.
_NICENESS: Final = 19


def traced(config: ConcurrentConfig, environ: Mapping[str, str]) -> ConcurrentConfig:
    """Settle whether a run's traces are sent, and which share of them.

    Args:
        config: The run's settings.
        environ: The environment over the env file.

    Raises:
        ConfigError: They are asked for by option and there is no key, or a variable cannot be used.
    """
    by_option = config.trace
    if by_option is False or not (by_option or tracing_wanted(environ)):
        return config
    if destination(environ, config.trace_to) is None:
        if by_option:
            raise ConfigError(
                "--trace needs a key of LangSmith, and LANGSMITH_API_KEY is not set",
                "set it in the environment or the env file, or leave --trace out",
            )
        if not config.quiet:
            note("LANGSMITH_TRACING is true and LANGSMITH_API_KEY is not set: no traces are sent")
        return dataclasses.replace(config, trace=False)
    share = sample_wanted(environ) if config.trace_sample == 1 else None
    return dataclasses.replace(config, trace=True, trace_sample=config.trace_sample if share is None else share)


class Follower:
    """The process that sends a run's traces while the run goes on.

    Args:
        config: The run's settings.
        run: The run's directory.
    """

    def __init__(self, config: ConcurrentConfig, run: Path) -> None:
        files = {"--env-file": config.env_file, "--providers-file": config.providers_file}
        named = [word for name, path in files.items() if path is not None for word in (name, str(path))]
        self._run = run
        self._to = config.trace_to
        self._quiet = config.quiet
        self._ended_ns: int | None = None
        self._finished = False
        # What an earlier push came to would be taken for this one's.
        (run / OUTCOME).unlink(missing_ok=True)
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [
                *(sys.executable, str(_ROOT / PROGRAM), "traces", "push", str(run), "--follow"),
                *("--trace-to", config.trace_to, "--trace-sample", str(config.trace_sample), *named),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl+C ends the run, and the run's end ends this.
            start_new_session=True,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICENESS)

    def __repr__(self) -> str:
        """Show which process it is."""
        return f"<Follower pid={self._process.pid}>"

    @property
    def pids(self) -> tuple[int, ...]:
        """The process, which is no part of what the run costs."""
        return (self._process.pid,)

    def run_ended(self) -> None:
        """Take note that the run has ended: from now on the follower has some seconds."""
        self._ended_ns = time.perf_counter_ns()

    def finish(self) -> None:
        """Wait for the follower as long as it has, end it, and say in a line what became of the traces; once."""
        if self._finished:
            return
        self._finished = True
        since_ns = self._ended_ns or time.perf_counter_ns()
        left_s = _PATIENCE_S - (time.perf_counter_ns() - since_ns) / NS_PER_S
        if not self._ends(left_s):
            self._process.terminate()
            if not self._ends(_LAST_S):
                self._process.kill()
                self._process.wait()
        if not self._quiet:
            self._say()

    def _ends(self, within_s: float) -> bool:
        try:
            self._process.wait(max(0.0, within_s))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _say(self) -> None:
        outcome = read_outcome(self._run)
        if outcome is None or outcome.ended_at is None:
            warn(f"the sending of traces was cut short; {self._again()}")
            return
        if outcome.is_whole:
            place = printable(outcome.url or f"project {outcome.project}")
            cost = f"CPU {seconds(outcome.cpu_s)}, memory {size(outcome.peak_rss_bytes)}"
            say(f"traces:  {outcome.traces_sent:,} in {place} ({cost}, beside the run)")
            return
        missing = outcome.traces_failed + outcome.traces_dropped
        warn(
            f"{missing:,} of {missing + outcome.traces_sent:,} traces were not sent to {printable(outcome.endpoint)} "
            f"({printable(outcome.reason or 'time was over')}); {self._again()}"
        )

    def _again(self) -> str:
        to = "" if self._to == "langsmith" else f" --trace-to {self._to}"
        return f"send them with: python {PROGRAM} traces push {printable(str(self._run))}{to}"


class NotFollowed:
    """A run whose traces are not sent."""

    pids: Final[tuple[int, ...]] = ()

    def run_ended(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


@contextlib.contextmanager
def following(config: ConcurrentConfig, run: Path) -> Iterator[Follower | NotFollowed]:
    """Send a run's traces inside the block, if they are wanted."""
    if not config.trace:
        yield NotFollowed()
        return
    follower = Follower(config, run)
    try:
        yield follower
    finally:
        follower.finish()
