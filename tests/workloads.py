"""Workloads of the tasks that a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.policy.fingerprint import task_fingerprint, workload_fingerprint
from bench.records import Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class CountedWorkload:
    """Tasks with numbered prompts."""

    kind = "topics"

    def __init__(self, count: int) -> None:
        self.count = count
        self.fingerprint = workload_fingerprint(map(task_fingerprint, self))

    def place(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return the place of a task."""
        return index if index < self.count and not iteration and not version else None

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks."""
        for index in range(self.count):
            yield Task(
                index=index,
                topic=f"主题 {index}",
                messages=({"role": "user", "content": f"分析主题 {index} 🙂"},),
                params={"max_tokens": 64},
            )


class ListedWorkload:
    """Tasks as they are given."""

    kind = "topics"

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self.count = len(tasks)
        self.fingerprint = workload_fingerprint(map(task_fingerprint, tasks))

    def place(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return the place of a task."""
        places = [(task.index, task.iteration, task.version) for task in self._tasks]
        wanted = (index, iteration, version)
        return places.index(wanted) if wanted in places else None

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks."""
        return iter(self._tasks)
