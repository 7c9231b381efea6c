"""How long a task waits for what may never come: a slot, and a reader."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench.service.reasons import CLIENT_GONE, QUEUE_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.service.reasons import Reason
    from bench.service.ticket import Ticket


class Patience:
    """Gives tasks up that have waited too long; on one event loop.

    Args:
        for_slot_s: How long one waits for its slot, in seconds.
        for_reader_s: How long one whose client can come back goes on that nobody reads, in seconds.
        give_up: Gives a task up.
    """

    def __init__(self, *, for_slot_s: float, for_reader_s: float, give_up: Callable[[Ticket, Reason], None]) -> None:
        self._for_slot_s = for_slot_s
        self._for_reader_s = for_reader_s
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._slots: dict[str, asyncio.TimerHandle] = {}
        self._readers: dict[str, asyncio.TimerHandle] = {}

    def __repr__(self) -> str:
        """Show how many tasks are waited with."""
        return f"<Patience {len(self._slots)} for a slot {len(self._readers)} for a reader>"

    def begin(self, ticket: Ticket) -> None:
        """Wait for a slot and for the first reader, who is on its way whether it can come back or not."""
        self._slots[ticket.task_id] = self._loop.call_later(self._for_slot_s, self._on_waited, ticket)
        self._await_reader(ticket)

    def grace_s(self, ticket: Ticket) -> float:
        """Return how long a task goes on that nobody reads, in seconds; 0 for one whose client cannot come back."""
        return self._for_reader_s if ticket.can_return else 0.0

    def unread(self, ticket: Ticket) -> None:
        """Wait for a reader where one can come back: the last one has left."""
        if ticket.is_over:
            return
        if ticket.can_return:
            self._await_reader(ticket)
        else:
            self._give_up(ticket, CLIENT_GONE)

    def read(self, ticket: Ticket) -> None:
        """Wait for no reader: there is one."""
        _end(self._readers, ticket)

    def end(self, ticket: Ticket) -> None:
        """Wait for nothing any more."""
        _end(self._readers, ticket)
        _end(self._slots, ticket)

    def _await_reader(self, ticket: Ticket) -> None:
        self._readers[ticket.task_id] = self._loop.call_later(self._for_reader_s, self._give_up, ticket, CLIENT_GONE)

    def _on_waited(self, ticket: Ticket) -> None:
        if ticket.began_ns is None:
            self._give_up(ticket, QUEUE_TIMEOUT)


def _end(timers: dict[str, asyncio.TimerHandle], ticket: Ticket) -> None:
    timer = timers.pop(ticket.task_id, None)
    if timer is not None:
        timer.cancel()
