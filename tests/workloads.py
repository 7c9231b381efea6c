"""A workload of as many tasks as a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.policy.fingerprint import task_fingerprint, workload_fingerprint
from bench.records import Task

if TYPE_CHECKING:
    from collections.abc import Iterator


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
