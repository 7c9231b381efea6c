"""Where each task stands in a workload."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A source of `items` repeated as a whole, each item with so many versions: iteration, then item, then version.

    Attributes:
        items: Items of the source.
        iterations: How often the source is repeated.
        versions: Tasks of each item.
    """

    items: int
    iterations: int
    versions: int = 1

    @property
    def count(self) -> int:
        """How many tasks there are."""
        return self.items * self.iterations * self.versions

    def place(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return a task's place from 0, None if there is no such task."""
        inside = 0 <= index < self.items and 0 <= iteration < self.iterations and 0 <= version < self.versions
        return (iteration * self.items + index) * self.versions + version if inside else None
