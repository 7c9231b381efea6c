"""Some tasks of a source, as a workload of their own; each keeps its index and its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.policy.fingerprint import task_fingerprint, workload_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from bench.records import Task


class Chosen:
    """The tasks that have one of the chosen keys.

    Args:
        kind: What they are made from, for the run's records.
        tasks: Returns all tasks in order, the same each time; they are made as they are needed.
        keys: `custom_id` and version of those that are chosen.
    """

    def __init__(
        self, kind: str, tasks: Callable[[], Iterable[Task]], keys: Collection[tuple[str | None, int]]
    ) -> None:
        self.kind = kind
        self._tasks = tasks
        self._keys = frozenset(keys)
        self._places: dict[tuple[int, int, int], int] = {}
        fingerprints = []
        for place, task in enumerate(self):
            self._places[task.index, task.iteration, task.version] = place
            fingerprints.append(task_fingerprint(task))
        self.count = len(fingerprints)
        # As that of a source which is repeated once: where all are chosen, it is the same workload.
        self.fingerprint = workload_fingerprint([workload_fingerprint(fingerprints)])

    def __repr__(self) -> str:
        """Show kind and size."""
        return f"<Chosen {self.kind} tasks={self.count}>"

    def __iter__(self) -> Iterator[Task]:
        """Begin again at the first task."""
        return (task for task in self._tasks() if (task.custom_id, task.version) in self._keys)

    def place(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return the place from 0 at which a task comes, None if it is not chosen."""
        return self._places.get((index, iteration, version))
