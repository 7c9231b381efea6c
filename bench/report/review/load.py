"""What a review needs of a run, read a record at a time: never the text of a prompt or an answer."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import ConfigError, JournalError
from bench.journal import iter_last_results, read_manifest
from bench.policy.spent import PHASES, Phase, Stretch, stretches
from bench.records import ErrorInfo, Status

if TYPE_CHECKING:
    from pathlib import Path

    from bench.manifest import RunManifest

#: Waterfalls are drawn of the first iterations alone, and of so many tasks of each.
ITERATIONS_DRAWN: Final = 6
TASKS_DRAWN: Final = 500

#: Tasks that did not succeed are named one by one up to this many.
FAILED_NAMED: Final = 100


class Call(msgspec.Struct, frozen=True, gc=False):
    """What is shown of an attempt."""

    provider: str
    status: Status
    sent_s: float
    end_s: float
    error_type: str | None = None
    http_status: int | None = None
    first_content_s: float | None = None
    wait_before_s: float = 0.0


class Row(msgspec.Struct, frozen=True, gc=False):
    """What is shown of a record."""

    task_id: str
    iteration: int
    segment: int
    status: Status
    started_at: str
    scheduled_s: float
    started_s: float
    ended_s: float
    latency_s: float
    attempts: tuple[Call, ...]
    topic: str | None = None
    chapter: str | None = None
    custom_id: str | None = None
    error: ErrorInfo | None = None
    cached: bool = False

    @property
    def label(self) -> str:
        """What it is called."""
        named = self.chapter or self.topic or self.custom_id
        return f"{self.task_id} {named}" if named else self.task_id

    @property
    def parts(self) -> tuple[Stretch, ...]:
        """Where its time went."""
        return stretches(self.scheduled_s, self.started_s, self.ended_s, self.attempts)


@dataclass
class Iteration:
    """What is shown of an iteration.

    Attributes:
        number: Which one, from 0.
        statuses: How many of its tasks ended how.
        first_s: When its first task was scheduled.
        last_s: When the last one ended.
        spent_s: Where the time of all its tasks went.
        rows: Those that are drawn, for the first iterations: the first to be scheduled.
    """

    number: int
    statuses: Counter[str] = field(default_factory=Counter)
    first_s: float = float("inf")
    last_s: float = float("-inf")
    spent_s: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    rows: list[tuple[float, int, Row]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many tasks it has."""
        return self.statuses.total()


@dataclass(kw_only=True)
class Reviewed:
    """A run as a review shows it.

    Attributes:
        path: Its directory.
        manifest: `run.json`.
        iterations: In order.
        slowest: The slowest tasks, the slowest first.
        failed: Those that did not succeed, in the order in which they ended, as far as they are named.
        latencies_s: Of every task that is looked at, by task, where two runs are compared.
        shares: For each phase, its seconds in every task.
    """

    path: Path
    manifest: RunManifest
    iterations: dict[int, Iteration] = field(default_factory=dict)
    slowest: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    latencies_s: dict[str, float] = field(default_factory=dict)
    shares: dict[Phase, array[float]] = field(default_factory=lambda: {phase: array("d") for phase in PHASES})

    @property
    def total(self) -> int:
        """How many tasks were looked at."""
        return sum(iteration.total for iteration in self.iterations.values())

    @property
    def failed_total(self) -> int:
        """How many of them did not succeed."""
        return sum(iteration.total - iteration.statuses["ok"] for iteration in self.iterations.values())


def review(run: Path, *, slowest: int, failed_only: bool = False, compared: bool = False) -> Reviewed:
    """Read a run.

    Args:
        run: Its directory.
        slowest: How many of the slowest tasks are kept.
        failed_only: Look at tasks alone that did not succeed.
        compared: Keep the latency of every task.

    Raises:
        ConfigError: It is no run, or damaged.
    """
    try:
        reviewed = Reviewed(path=run, manifest=read_manifest(run))
        heap: list[tuple[float, int, Row]] = []
        for number, row in enumerate(iter_last_results(run, Row)):
            if failed_only and row.status == "ok":
                continue
            _take(reviewed, row, number)
            if compared:
                reviewed.latencies_s[row.task_id] = row.latency_s
            heapq.heappush(heap, (row.latency_s, -number, row))
            if len(heap) > slowest:
                heapq.heappop(heap)
    except JournalError as error:
        raise ConfigError(f"cannot review {run}: {error}", "name a run's directory or its id") from error
    reviewed.slowest = [row for *_, row in sorted(heap, key=lambda item: item[:2], reverse=True)]
    reviewed.iterations = dict(sorted(reviewed.iterations.items()))
    return reviewed


def _take(reviewed: Reviewed, row: Row, number: int) -> None:
    iteration = reviewed.iterations.setdefault(row.iteration, Iteration(row.iteration))
    iteration.statuses[row.status] += 1
    iteration.first_s = min(iteration.first_s, row.scheduled_s)
    iteration.last_s = max(iteration.last_s, row.ended_s)
    spent_s: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
    for stretch in row.parts:
        spent_s[stretch.phase] += stretch.end_s - stretch.begin_s
    for phase, column in reviewed.shares.items():
        iteration.spent_s[phase] += spent_s[phase]
        column.append(spent_s[phase])
    if row.iteration < ITERATIONS_DRAWN:
        # The last to be scheduled goes first where there is no room.
        heapq.heappush(iteration.rows, (-row.scheduled_s, -number, row))
        if len(iteration.rows) > TASKS_DRAWN:
            heapq.heappop(iteration.rows)
    if row.status != "ok" and len(reviewed.failed) < FAILED_NAMED:
        reviewed.failed.append(row)
