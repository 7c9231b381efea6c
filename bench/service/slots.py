"""Attempts on the service's event loop: each in a coroutine of its own, so that one can be given up alone."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from bench.engines._base import Pause
from bench.engines.bell import timer_s
from bench.errors import CallError
from bench.records import WorkerId
from bench.stop import StopSignal
from bench.worker import TaskWorker
from bench.worker.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clients._base import AsyncClient, Reply, Request, Sink
    from bench.clock import Clock
    from bench.executor.dispatch import Dispatcher
    from bench.records import TaskResult
    from bench.service.ticket import Ticket
    from bench.worker import Assignment, WorkerSpec

_ENDED: Final = CallError("cancelled", "the service was stopped")


class Slots:
    """Makes the attempts that the dispatcher hands out; how many at once is decided by whom it draws from.

    Args:
        dispatcher: Hands out attempts and takes what they came to.
        spec: What all tasks share.
        clock: The service's clock.
        client: Makes the calls.
        begin: Called as an attempt begins; returns the task's ticket.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        spec: WorkerSpec,
        clock: Clock,
        client: AsyncClient,
        begin: Callable[[str], Ticket],
    ) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._client = client
        self._begin = begin
        self._worker = TaskWorker(spec, clock, StopSignal())
        self._recorder = Recorder(spec)
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[str, asyncio.Task[TaskResult]] = {}
        self._used: set[int] = set()
        self._look: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Show how many attempts are under way."""
        return f"<Slots {len(self._under_way)} under way>"

    def look(self) -> None:
        """Draw what there is, soon: a task came, or a slot is free."""
        if self._look is None:
            self._look = self._loop.call_soon(self._draw)

    def cancel(self, task_id: str) -> bool:
        """Give up a task's call, whose connection closes at once; return whether one is under way."""
        attempt = self._under_way.get(task_id)
        return attempt is not None and attempt.cancel()

    def close(self) -> None:
        """Draw nothing any more."""
        for handle in (self._look, self._timer):
            if handle is not None:
                handle.cancel()

    def _draw(self) -> None:
        self._look = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (drawn := self._dispatcher.draw()) is not None:
            if isinstance(drawn, Pause):
                self._timer = self._loop.call_later(timer_s(drawn.until_ns), self.look)
                return
            self._start(drawn)

    def _start(self, drawn: Assignment) -> None:
        task_id = drawn.task.custom_id or ""
        ticket = self._begin(task_id)
        worker = self._worker.stopped_by(ticket.stop)
        client = _Shown(self._client, lambda text: ticket.write(text, self._clock.now_ns()))
        who = WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=self._free_number())
        attempt = self._loop.create_task(worker.arun(drawn, client, who))
        self._under_way[task_id] = attempt
        attempt.add_done_callback(lambda ended: self._end(drawn, ticket, who, ended))

    def _free_number(self) -> int:
        """Take the lowest number that no attempt has."""
        number = next(number for number in itertools.count() if number not in self._used)
        self._used.add(number)
        return number

    def _end(self, drawn: Assignment, ticket: Ticket, who: WorkerId, ended: asyncio.Task[TaskResult]) -> None:
        del self._under_way[ticket.task_id]
        self._used.discard(who.slot)
        # Cancelled is what was given up before its first step; later the step tells it as an outcome.
        result = self._recorder.lost(drawn, self._clock.now_ns(), _ENDED, who) if ended.cancelled() else ended.result()
        if ticket.stop.cancelled and result.status == "failed":
            # It failed in the moment in which it was given up: nobody waits for another attempt.
            result = msgspec.structs.replace(result, status="cancelled")
        self._dispatcher.emit(result)


class _Shown:
    """A client whose answers are shown as they arrive.

    Args:
        client: Makes the calls.
        sink: Takes the text.
    """

    def __init__(self, client: AsyncClient, sink: Sink) -> None:
        self._client = client
        self._sink = sink

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Send one request; see `AsyncClient.call`."""
        return await self._client.call(request, deadline_ns, sink or self._sink)

    async def aclose(self) -> None:
        """Do nothing: the client serves others too."""
