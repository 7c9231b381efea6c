"""The contract of a live view: it is told of each task drawn and each record kept, and can slow neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.records import Glimpse, TaskResult


class Observer(Protocol):
    """Watches a run; methods are called from any thread, must return at once and must not raise."""

    def ready(self) -> None:
        """All slots stand ready; the first request goes out now."""

    def drawn(self) -> None:
        """A slot took a task."""

    def recorded(self, glimpse: Glimpse | TaskResult) -> None:
        """A task's record is in the journal; `glimpse` is the record where this process made it."""
