"""Which tasks of a workload a run has no answer to, by their places: a byte a task, and no text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from bench.errors import JournalError
from bench.journal import TASKS, decode_line, iter_lines
from bench.records import Status
from bench.workload.places import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.manifest import RunManifest
    from bench.records import Task
    from bench.workload import Workload

_LEFT: Final = 0
_ANSWERED: Final = 1
_FAILED: Final = 2

_CODES: Final[dict[Status, int]] = {"ok": _ANSWERED, "failed": _FAILED, "cancelled": _LEFT}


class Place(Protocol):
    """Says where in a workload a task comes."""

    def __call__(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return its place from 0, None if there is no such task."""


class _Ending(msgspec.Struct, frozen=True, gc=False):
    """What a record says of its task."""

    index: int
    iteration: int
    version: int
    status: Status


class Left:
    """The tasks that have no record, or whose last one says that they were cancelled.

    Args:
        total: Tasks of the workload.
        place: Says where in it a task comes, as the workload does.
        retry_failed: Whether tasks that failed are left too.
    """

    def __init__(self, total: int, place: Place, *, retry_failed: bool = False) -> None:
        self.total = total
        self._place = place
        self._done = {_ANSWERED} if retry_failed else {_ANSWERED, _FAILED}
        #: By place, up to the last task that has a record.
        self._endings = bytearray()

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Left {self.count} of {self.total}>"

    @property
    def count(self) -> int:
        """How many tasks are left."""
        return self.total - sum(map(self._endings.count, self._done))

    @property
    def failed(self) -> int:
        """How many tasks have failed, left or not."""
        return self._endings.count(_FAILED)

    @property
    def reached(self) -> int:
        """The place behind the last task that has a record."""
        return len(self._endings)

    def count_before(self, place: int) -> int:
        """Return how many are left among the first `place` tasks."""
        return place - sum(self._endings.count(code, 0, place) for code in self._done)

    def read(self, run: Path) -> int:
        """Take in all records of a run, and return how many lines they are.

        Raises:
            JournalError: They cannot be read, one is damaged, or one is of no task of this workload.
        """
        path = run / TASKS
        decoder = msgspec.json.Decoder(_Ending)
        number = 0
        for number, line in enumerate(iter_lines(path), 1):
            ending = decode_line(decoder, line, path, number)
            place = self._place(index=ending.index, iteration=ending.iteration, version=ending.version)
            if place is None:
                task_id = f"{ending.index}-i{ending.iteration}-v{ending.version}"
                raise JournalError(f"{path}, line {number} is of task {task_id}, which this run's workload has not")
            self._note(place, _CODES[ending.status])
        return number

    def of(self, workload: Workload) -> Iterator[Task]:
        """Yield the tasks that are left, in order; to be called when all records were taken in."""
        for place, task in enumerate(workload):
            if place >= len(self._endings) or self._endings[place] not in self._done:
                yield task

    def _note(self, place: int, code: int) -> None:
        if place >= len(self._endings):
            self._endings.extend(bytes(place + 1 - len(self._endings)))
        self._endings[place] = code


def answers(run: Path, manifest: RunManifest, *, retry_failed: bool) -> tuple[int, int]:
    """Return how many tasks of a run are left to do, and how many have failed; for saying so.

    Args:
        run: The run's directory.
        manifest: What is known of it.
        retry_failed: Whether tasks that failed are left.

    Raises:
        JournalError: Its records cannot be read, or are damaged.
    """
    iterations, versions = (
        times if isinstance(times := manifest.config.get(name), int) else 1 for name in ("iterations", "versions")
    )
    grid = Grid(items=manifest.tasks // (iterations * versions), iterations=iterations, versions=versions)
    left = Left(manifest.tasks, grid.place, retry_failed=retry_failed)
    left.read(run)
    return left.count, left.failed
