"""The contract of a workload: a lazy, ordered source of tasks that was read once before the run starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.records import Task


class Workload(Protocol):
    """What a run works through, iteration by iteration (all of iteration 0 first).

    Attributes:
        kind: What the tasks are made from: `topics`, `topics_file`, `prompts` or `outline`.
        count: How many tasks there are.
        fingerprint: sha256 (64 hex digits) of all the tasks, in order.
    """

    @property
    def kind(self) -> str:
        """What the tasks are made from."""

    @property
    def count(self) -> int:
        """How many tasks there are."""

    @property
    def fingerprint(self) -> str:
        """What makes two workloads the same."""

    def __iter__(self) -> Iterator[Task]:
        """Begin again at the first task; one iterator belongs to one thread, several may be under way at once.

        Raises:
            WorkloadError: The source cannot be read any more.
        """

    def place(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return the place from 0 at which a task comes, None if it has no such task; callable from any thread."""


class Source(Protocol):
    """One pass over what a workload repeats.

    Attributes:
        kind: As in `Workload`.
        name: What it is called in messages.
    """

    kind: str
    name: str

    def located(self) -> Iterator[tuple[str, Task]]:
        """Yield each task with the place that it came from, in words for an error message.

        Raises:
            WorkloadError: A part of the source is wrong; the message names the place.
        """
