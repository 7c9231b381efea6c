"""What the dispatcher draws tasks from and gives their records to: the service's ledger, on one event loop."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S
from bench.errors import JournalError
from bench.records import DISPATCHER, ErrorInfo, Task, TaskResult, WorkerId
from bench.service.values import PRIORITIES
from bench.worker import Assignment
from bench.worker.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.clock import Clock
    from bench.errors import BenchError
    from bench.policy.admission import Admission
    from bench.records import JsonObject
    from bench.service.kept import Kept
    from bench.service.keys import Key
    from bench.service.reasons import Reason
    from bench.service.ticket import Ticket
    from bench.service.values import Path, Wish
    from bench.worker import WorkerSpec

_log = logging.getLogger("bench.service")

#: Who draws first: a direct task was promised that it begins at once.
_ORDER: Final[tuple[Path, ...]] = ("direct", "pooled")


class Intake:
    """Keeps each task before it is answered and each record before it is told; a `Source` of the dispatcher.

    Args:
        kept: The files of this start.
        pools: The slots and the queue of each path.
        spec: What all tasks share.
        params: Parameters of every request that its wish says nothing about.
        clock: The service's clock.
        settled: Called with each ticket whose record was kept.
    """

    def __init__(
        self,
        kept: Kept,
        pools: Mapping[Path, Admission],
        spec: WorkerSpec,
        params: JsonObject,
        clock: Clock,
        settled: Callable[[Ticket], None],
    ) -> None:
        self._kept = kept
        self._pools = pools
        self._params = params
        self._clock = clock
        self._settled = settled
        self._recorder = Recorder(spec)
        self._decode = msgspec.json.Decoder(TaskResult).decode
        self._waiting: dict[str, Assignment] = {}
        self._open: dict[str, Ticket] = {}
        self.error: BenchError | None = None

    def __repr__(self) -> str:
        """Show how many tasks are open."""
        return f"<Intake {len(self._waiting)} waiting {len(self._open)} open>"

    @property
    def open(self) -> tuple[Ticket, ...]:
        """The tasks without a record."""
        return tuple(self._open.values())

    def accept(self, ticket: Ticket, wish: Wish, key: Key | None, digest: str) -> None:
        """Keep a task and let it wait for its slot.

        Args:
            ticket: The task as its client knows it.
            wish: What was asked for.
            key: Its idempotency key, if it has one.
            digest: What tells it from another wish under that key; empty without one.

        Raises:
            JournalError: It cannot be kept.
        """
        task = Task(
            index=ticket.index,
            messages=wish.messages,
            params=self._params | wish.params,
            topic=wish.topic,
            custom_id=ticket.task_id,
        )
        try:
            self._kept.accept(ticket, task, key, digest)
        except JournalError as error:
            self.fail(error)
            raise
        self._open[ticket.task_id] = ticket
        self._waiting[ticket.task_id] = Assignment(task=task, scheduled_ns=ticket.created_ns)
        priority = PRIORITIES[wish.kind] if wish.path == "pooled" else 0
        self._pools[wish.path].admit(ticket.task_id, priority=priority, now_s=ticket.created_ns / NS_PER_S)

    def position(self, ticket: Ticket) -> int:
        """Return the place of a task that waits, from 1; 0 where it waits for its provider alone."""
        return self._pools[ticket.path].position(ticket.task_id) or 0

    def began(self, task_id: str) -> Ticket:
        """Note that an attempt of a task begins, and return its ticket."""
        ticket = self._open[task_id]
        if ticket.began_ns is None:
            now_ns = self._clock.now_ns()
            ticket.begin(now_ns)
            self._pools[ticket.path].waited((now_ns - ticket.created_ns) / NS_PER_S)
        return ticket

    def withdraw(self, ticket: Ticket, why: Reason) -> bool:
        """Record a task that waits for its slot as given up; return whether it does."""
        if not self._pools[ticket.path].withdraw(ticket.task_id):
            return False
        now_ns = self._clock.now_ns()
        who = WorkerId(pid=os.getpid(), thread=DISPATCHER, slot=0)
        self._keep(self._recorder.lost(self._waiting.pop(ticket.task_id), now_ns, why.error, who), ticket)
        return True

    def fail(self, error: BenchError) -> None:
        """Begin nothing any more: what happens could not be kept."""
        if self.error is None:
            self.error = error
            _log.error("no more tasks are taken: %s", error)

    # What the dispatcher calls, with its lock held: nothing here may call it back.

    def draw(self) -> Assignment | None:
        """Return the next task that has a slot, or None where there is none now."""
        for path in _ORDER:
            task_id = self._pools[path].begin()
            if task_id is not None:
                return self._waiting.pop(task_id)
        return None

    def emit(self, result: TaskResult | bytes) -> None:
        """Keep the last word on a task, free its slot, and tell its readers."""
        ended = self._decode(result) if isinstance(result, bytes) else result
        ticket = self._open[ended.custom_id or ""]
        pool = self._pools[ticket.path]
        pool.end()
        if ticket.began_ns is not None:
            pool.served((self._clock.now_ns() - ticket.began_ns) / NS_PER_S)
        self._keep(ended, ticket)

    def stop_for(self, error: BenchError) -> None:
        """Note that no provider may be asked: the service goes on, for keys are tried again after a while."""
        _log.error("tasks fail: %s", error)

    def _keep(self, result: TaskResult, ticket: Ticket) -> None:
        if ticket.given_up is not None:
            # What was told is what is kept, also where the answer was whole when it was given up.
            why = ticket.given_up.error
            info = ErrorInfo(type=why.error_type, message=why.message, retryable=ticket.given_up.retryable)
            result = msgspec.structs.replace(result, status="cancelled", error=info)
        try:
            self._kept.end(result)
        except JournalError as error:
            self.fail(error)
        del self._open[ticket.task_id]
        now_ns = self._clock.now_ns()
        ticket.settle(result, now_ns)
        if ticket.state == "timed_out":
            self._pools[ticket.path].timed_out += 1
        self._settled(ticket)
