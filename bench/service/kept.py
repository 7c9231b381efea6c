"""What is kept of a task, on the disk: that it was accepted, before its client is told; and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.service.past import Accepted

if TYPE_CHECKING:
    from bench.journal import Journal, LineFile
    from bench.records import Task, TaskResult
    from bench.service.keys import Key
    from bench.service.ticket import Ticket


class Kept:
    """Writes the files of a start.

    Args:
        journal: What every run keeps.
        accepted: What only the service knows of its tasks.
    """

    def __init__(self, journal: Journal, accepted: LineFile) -> None:
        self._journal = journal
        self._accepted = accepted
        self._encode = msgspec.json.Encoder().encode

    def __repr__(self) -> str:
        """Show how many tasks there are."""
        return f"<Kept {self._accepted.lines} accepted {self._journal.recorded} ended>"

    def accept(self, ticket: Ticket, task: Task, key: Key | None, digest: str) -> None:
        """Keep that a task was accepted, and what it is.

        Args:
            ticket: The task as its client knows it.
            task: The task as it is done.
            key: Its idempotency key, if it has one.
            digest: What tells its wish from another under that key; empty without one.

        Raises:
            JournalError: It cannot be kept.
        """
        told = Accepted(
            task_id=ticket.task_id,
            kind=ticket.kind,
            path=ticket.path,
            created_at=ticket.created_at,
            digest=digest,
            user_id=key.user_id if key else "",
            key=key.key if key else None,
        )
        self._accepted.append(self._encode(told))
        self._journal.drew(task)

    def end(self, result: TaskResult) -> None:
        """Keep the last word on a task.

        Raises:
            JournalError: It cannot be kept.
        """
        self._journal.append(self._encode(result))
