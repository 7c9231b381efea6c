"""Which of a run's records can be sent next, and what is known of its iterations; it reads no further than needed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from bench.errors import JournalError
from bench.journal import TASKS, WORKLOAD, decode_line
from bench.policy.trace_ids import is_sampled, task_span_id
from bench.records import Status, Task, TaskResult
from bench.tracing.lines import GrowingLines
from bench.tracing.make import Iteration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.manifest import RunManifest
    from bench.tracing.make import SpanMaker
    from bench.tracing.notes import Notes
    from bench.tracing.span import Span

#: How many records may be known and not be sent yet; what comes after them stays in the file.
_AHEAD: Final = 10_000

_STATUSES: Final[tuple[Status, ...]] = get_args(Status)


class _Look(msgspec.Struct, frozen=True, gc=False):
    """What decides where a record belongs."""

    task_id: str
    index: int
    iteration: int
    version: int
    segment: int
    status: Status
    scheduled_s: float
    ended_s: float
    started_at: str


@dataclass(eq=False)
class _Known:
    """An iteration as far as its records were looked at.

    Attributes:
        iteration: What its root says.
        answered: How many of its tasks have a record.
        begun: Whether the start of its root is settled.
        held: Lines that wait for that.
    """

    iteration: Iteration
    answered: int = 0
    begun: bool = False
    held: list[int] = field(default_factory=list)


class Gathering:
    """Reads the files of a run as they grow.

    A span refers to the start of its root, which is the earliest of the iteration: the tasks of an iteration wait until
    that of its first one is known, or the run is over.

    Args:
        run: The run's directory.
        manifest: What is known of the run.
        maker: Makes its spans.
        notes: What was sent before.
        sample: Share of the tasks that are sent.

    Raises:
        JournalError: The files cannot be read.
    """

    def __init__(self, run: Path, manifest: RunManifest, maker: SpanMaker, notes: Notes, sample: float) -> None:
        self._manifest = manifest
        self._maker = maker
        self._notes = notes
        self._sample = sample
        self._versions = _positive(manifest.config.get("versions"))
        self._per_iteration = max(1, manifest.tasks // _positive(manifest.config.get("iterations")))
        self._records_path, self._tasks_path = run / TASKS, run / WORKLOAD
        try:
            self._records = GrowingLines(self._records_path)
            self._tasks = GrowingLines(self._tasks_path)
        except OSError as error:
            raise JournalError(f"cannot read {run}: {error.strerror}") from error
        self._looked = 0
        self._statuses = bytearray()
        self._ready: deque[int] = deque()
        self._iterations: dict[int, _Known] = {}
        self._look = msgspec.json.Decoder(_Look)
        self._decode = msgspec.json.Decoder(TaskResult)
        self._decode_task = msgspec.json.Decoder(Task)
        self.left_out = 0

    def __repr__(self) -> str:
        """Show how far it has looked."""
        return f"<Gathering looked={self._looked} ready={len(self._ready)}>"

    def count(self) -> int:
        """How many records the run has by now."""
        return self._records.count()

    def grow(self, *, over: bool) -> None:
        """Look at records that have come.

        Args:
            over: No more will come: what still waits need not wait any longer.
        """
        more = self._records.grow(self._looked + max(0, _AHEAD - len(self._ready)))
        while self._looked < len(self._records):
            self._look_at(self._looked)
            self._looked += 1
        if over and not more:
            for known in self._iterations.values():
                self._begin(known)

    def next_line(self) -> int | None:
        """Return the number of the next record to send, None where there is none now."""
        return self._ready.popleft() if self._ready else None

    def spans_of(self, line: int) -> list[Span]:
        """Return the spans of a record.

        Raises:
            JournalError: It is damaged.
        """
        record = decode_line(self._decode, self._records.line(line), self._records_path, line + 1)
        start_us = self._iterations[record.iteration].iteration.start_us
        return self._maker.of_record(record, self._task(record), start_us)

    def roots(self, *, over: bool) -> Iterator[tuple[Iteration, bool]]:
        """Yield the iterations whose roots have something to say, and whether they have said something before.

        Args:
            over: The run is: an iteration has what it has.
        """
        # A copy, because whoever counts does not wait for the thread that reads on.
        for known in list(self._iterations.values()):
            iteration = known.iteration
            said = self._notes.said.get(iteration.number)
            is_whole = known.answered == self._per_iteration and said is None
            if known.begun and (over or is_whole) and said != (iteration.end_us, iteration.counts):
                yield iteration, said is not None

    def close(self) -> None:
        """Close the files."""
        self._records.close()
        self._tasks.close()

    def _look_at(self, line: int) -> None:
        look = decode_line(self._look, self._records.line(line), self._records_path, line + 1)
        start_us = self._maker.at_us(look.segment, look.scheduled_s)
        known = self._iterations.get(look.iteration)
        if known is None:
            first = Iteration(number=look.iteration, start_us=start_us, end_us=start_us)
            known = self._iterations[look.iteration] = _Known(first)
            settled = self._notes.starts_us.get(look.iteration)
            if settled is not None:
                known.begun, first.start_us = True, settled
        iteration = known.iteration
        iteration.end_us = max(iteration.end_us, self._maker.at_us(look.segment, look.ended_s))
        self._count(known, look)
        if not known.begun:
            iteration.start_us = min(iteration.start_us, start_us)
        if not self._notes.is_sent(line):
            if self._is_wanted(look):
                (self._ready if known.begun else known.held).append(line)
            else:
                self.left_out += 1
        if look.index == 0 and look.version == 0:
            self._begin(known)

    def _is_wanted(self, look: _Look) -> bool:
        """Say whether a record belongs to the sample."""
        if self._sample >= 1:
            return True
        return is_sampled(
            task_span_id(self._manifest.run_id, look.task_id, look.segment, look.started_at), self._sample
        )

    def _count(self, known: _Known, look: _Look) -> None:
        """Count a task under its last status."""
        place = self._place(look)
        if place >= len(self._statuses):
            self._statuses.extend(bytes(place + 1 - len(self._statuses)))
        counts, before = known.iteration.counts, self._statuses[place]
        if before:
            status = _STATUSES[before - 1]
            counts[status] -= 1
            if not counts[status]:
                del counts[status]
        else:
            known.answered += 1
        counts[look.status] = counts.get(look.status, 0) + 1
        self._statuses[place] = 1 + _STATUSES.index(look.status)

    def _begin(self, known: _Known) -> None:
        """Settle the start of an iteration, and let go of what waited for it."""
        if not known.begun:
            self._notes.has_begun(known.iteration.number, known.iteration.start_us)
            known.begun = True
        self._ready.extend(known.held)
        known.held.clear()

    def _place(self, look: _Look | TaskResult) -> int:
        """Return where a task stands in the workload: iteration by iteration, item by item, version by version."""
        return look.iteration * self._per_iteration + look.index * self._versions + look.version

    def _task(self, record: TaskResult) -> Task | None:
        place = self._place(record)
        self._tasks.grow(place + 1)
        if place >= len(self._tasks):
            return None
        task = decode_line(self._decode_task, self._tasks.line(place), self._tasks_path, place + 1)
        return task if task.task_id == record.task_id else None


def _positive(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 1
