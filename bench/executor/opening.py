"""How a run's directory comes to be, and how one is taken up again."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from bench.clock import Clock, MonotonicClock, utc_label, utc_now
from bench.errors import ConfigError, JournalError
from bench.executor.arrivals import Schedule, arrivals
from bench.executor.left import Left
from bench.executor.manifest import changed_settings, first_manifest, next_segment
from bench.executor.reserve import Reserve
from bench.executor.unchanged import check_kept, check_workload
from bench.journal import WORKLOAD, Journal, create_run_directory, iter_lines, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.manifest import HarnessCost, NodeFacts, RunManifest
    from bench.providers import Endpoint
    from bench.records import RunStatus
    from bench.workload import Workload


@dataclass(frozen=True)
class Zero:
    """The zero of a segment's clock.

    Attributes:
        now: It in UTC.
        clock: The clock.
        ns: It on that clock.
    """

    now: datetime = field(default_factory=utc_now)
    clock: Clock = field(default_factory=MonotonicClock)
    ns: int = field(init=False)

    def __post_init__(self) -> None:
        """Read the clock."""
        object.__setattr__(self, "ns", self.clock.now_ns())


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run's directory that is ours to write.

    Attributes:
        journal: Its files.
        zero: The zero of this segment's clock.
        left: What is to be done.
        reserve: Disk space for its end.
        arrivals: Open loop: when each task that is left arrives.
    """

    journal: Journal
    zero: Zero
    left: Left
    reserve: Reserve
    arrivals: Schedule | None


def begin(config: ConcurrentConfig, workload: Workload, endpoints: Sequence[Endpoint], command: str) -> OpenRun:
    """Make a run's directory; nothing is sent yet.

    Args:
        config: Every setting.
        workload: The tasks.
        endpoints: Where they go.
        command: The command line that reproduces the run.

    Raises:
        ConfigError: It cannot be written.
    """
    times = arrivals(config, workload.count)
    zero = Zero()
    directory = create_run_directory(config.results_dir, config.mode, zero.now)
    segment = next_segment(zero.now, zero.ns, workload.count)
    manifest = first_manifest(directory.name, config, workload, endpoints, command, segment)
    with contextlib.ExitStack() as undo, _refused("make room, or choose another place with --results-dir"):
        reserve = Reserve(directory, config.slots)
        undo.callback(reserve.release)
        journal = Journal(directory, manifest)
        undo.pop_all()
    left = Left(workload.count, workload.place)
    return OpenRun(journal=journal, zero=zero, left=left, reserve=reserve, arrivals=times and times.since(zero.ns))


def take_up(
    run: Path, config: ConcurrentConfig, workload: Workload, endpoints: Sequence[Endpoint], *, retry_failed: bool
) -> OpenRun:
    """Take up a run again where it ended, however it ended; nothing is sent yet.

    Args:
        run: Its directory.
        config: Every setting, which are the run's own but for those that may change.
        workload: Its tasks.
        endpoints: Where they go.
        retry_failed: Do those that failed again.

    Raises:
        ConfigError: Another process writes it, what must not change has changed, or it is no run, is damaged, or cannot
            be written.
    """
    with _refused("its records stay as they are"):
        return _taken_up(run, config, workload, endpoints, retry_failed=retry_failed)


def _taken_up(
    run: Path, config: ConcurrentConfig, workload: Workload, endpoints: Sequence[Endpoint], *, retry_failed: bool
) -> OpenRun:
    manifest = read_manifest(run)
    check_kept(run, manifest, config, endpoints)
    check_workload(run, manifest, workload, _source(config))
    zero = Zero()
    with contextlib.ExitStack() as undo:
        journal = Journal.reopened(run)
        undo.callback(journal.abandon)
        reserve = Reserve(run, config.slots)
        undo.callback(reserve.release)
        left = Left(workload.count, workload.place, retry_failed=retry_failed)
        journal.count(drawn=sum(1 for _ in iter_lines(run / WORKLOAD)), recorded=left.read(run))
        # Where the machine died, a record may have outlived the line of its task.
        for task in itertools.islice(workload, journal.drawn, left.reached):
            journal.drew(task)
        times = arrivals(config, left.count)
        manifest = _continued(journal.manifest, config, zero, left.count)
        journal.go_on(manifest, known=left.count_before(journal.drawn))
        undo.pop_all()
    return OpenRun(journal=journal, zero=zero, left=left, reserve=reserve, arrivals=times and times.since(zero.ns))


@contextlib.contextmanager
def _refused(hint: str) -> Iterator[None]:
    """Make a journal that cannot be used a matter of configuration: nothing was sent yet."""
    try:
        yield
    except JournalError as error:
        raise ConfigError(str(error), hint) from error


def concluded(
    manifest: RunManifest, status: RunStatus, error: str | None, cost: HarnessCost, nodes: Sequence[NodeFacts]
) -> RunManifest:
    """Return what is known of a run at the end of a segment."""
    segment = msgspec.structs.replace(
        manifest.segments[-1], ended_at=utc_label(utc_now()), cost=cost, nodes=tuple(nodes)
    )
    segments = (*manifest.segments[:-1], segment)
    return msgspec.structs.replace(manifest, status=status, error=error, segments=segments)


def _continued(manifest: RunManifest, config: ConcurrentConfig, zero: Zero, tasks: int) -> RunManifest:
    segment = msgspec.structs.replace(
        next_segment(zero.now, zero.ns, tasks), changed=changed_settings(manifest.config, config)
    )
    return msgspec.structs.replace(manifest, status="running", error=None, segments=(*manifest.segments, segment))


def _source(config: ConcurrentConfig) -> str:
    """Return what the workload is called in messages."""
    if config.outline is not None:
        return f"--outline {config.outline}"
    if config.prompts is not None:
        return f"--prompts {config.prompts}"
    return "--topics" if config.topics_file is None else f"--topics-file {config.topics_file}"
