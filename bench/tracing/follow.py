"""A push from its beginning to its outcome: of a run that has ended, or of one that goes on."""

from __future__ import annotations

import platform
import resource
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import psutil

from bench.clock import NS_PER_S
from bench.errors import ConfigError
from bench.journal import read_manifest
from bench.tracing.gather import Gathering
from bench.tracing.make import SpanMaker
from bench.tracing.notes import Notes
from bench.tracing.outcome import Outcome, write_outcome
from bench.tracing.push import Patience, Push
from bench.tracing.secrets import KeyScrubber
from bench.tracing.sinks import sink_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.tracing.destination import Destination

#: How often a follower looks whether its run has ended.
_LOOK_S: Final = 0.2

#: How long it may take after that, if nobody asks for an earlier end.
_END_S: Final = 5.0

#: How long a follower waits for another that is ending.
_TAKE_OVER_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be sent, and where to.

    Attributes:
        to: Where to.
        sample: Share of the tasks, from 0 to 1.
        secrets: Values that must not leave.
        patience: How the sender bears with an endpoint that takes nothing.
    """

    to: Destination
    sample: float = 1.0
    secrets: Sequence[str] = ()
    patience: Patience = field(default_factory=Patience)


def push_traces(run: Path, wanted: Wanted, *, follow: bool = False, stop: threading.Event | None = None) -> Outcome:
    """Send what is missing of a run's traces; return how far that got, which is kept in the run's directory too.

    Args:
        run: The run's directory.
        wanted: What is to be sent.
        follow: Go on until the run has ended, and then for some seconds at most.
        stop: To be set where nobody will wait any longer.

    Raises:
        ConfigError: It is no run, another process sends its traces, or what speaks to the destination is not installed.
        JournalError: Its files cannot be read or written.
    """
    manifest = read_manifest(run)
    notes = Notes(run, wanted.to.name)
    try:
        _take(run, notes, patience_s=_TAKE_OVER_S if follow else 0.0)
        maker = SpanMaker(manifest, wanted.to.shown)
        gathering = Gathering(run, manifest, maker, notes, wanted.sample)
        connection, writer = sink_of(wanted.to, KeyScrubber([*wanted.secrets, *_own(wanted.to)]))
        push = Push(
            wanted.to,
            connection=connection,
            gathering=gathering,
            maker=maker,
            writer=writer,
            notes=notes,
            patience=wanted.patience,
        )
        push.start()
        try:
            _wait(run, push, stop or threading.Event(), follow=follow)
        finally:
            outcome = _with_cost(push.outcome())
            write_outcome(run, outcome)
        return outcome
    finally:
        notes.close()


def _wait(run: Path, push: Push, stop: threading.Event, *, follow: bool) -> None:
    """Wait until everything was sent or refused, or time is over."""
    deadline_ns: int | None = None
    if follow:
        while not has_ended(run) and not stop.wait(_LOOK_S):
            pass
        deadline_ns = time.perf_counter_ns() + int(_END_S * NS_PER_S)
        push.hurry.set()
    push.over.set()
    while not push.wait(_LOOK_S) and not stop.is_set():
        if deadline_ns is not None and time.perf_counter_ns() >= deadline_ns:
            return


def has_ended(run: Path) -> bool:
    """Say whether a run has ended, or whoever wrote it has.

    Raises:
        JournalError: It is no run.
    """
    manifest = read_manifest(run)
    if manifest.status != "running" or not manifest.segments:
        return True
    writer = manifest.segments[-1]
    return writer.host == platform.node() and not _is_alive(writer.pid)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _with_cost(outcome: Outcome) -> Outcome:
    """Add what this process took so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
    return msgspec.structs.replace(outcome, cpu_s=used.ru_utime + used.ru_stime, peak_rss_bytes=peak)


def _own(to: Destination) -> tuple[str, ...]:
    keys = (*to.headers.values(), *(() if to.key is None else (to.key,)))
    return tuple(key.reveal() for key in keys)


def _take(run: Path, notes: Notes, patience_s: float) -> None:
    deadline_ns = time.perf_counter_ns() + int(patience_s * NS_PER_S)
    while not notes.lock():
        if time.perf_counter_ns() >= deadline_ns:
            raise ConfigError(f"another process sends the traces of {run.name}", "wait for its end")
        time.sleep(_LOOK_S)
