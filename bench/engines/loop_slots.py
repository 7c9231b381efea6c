"""Slots on one event loop that are given their tasks from another process: those of mode hybrid, and of a node."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, cast

import msgspec

from bench.clients.routed import async_client_for
from bench.clock import MonotonicClock
from bench.records import WorkerId
from bench.stop import StopSignal
from bench.worker import TaskWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.worker import Assignment, WorkerSpec


class LoopSlots:
    """Does tasks on the running event loop, one for each slot at a time. Everything happens on that loop.

    Args:
        spec: What the workers share.
        done: Takes what ended in one turn of the loop together: slots and their results as JSON.
        broken: Takes the bug that ended a task without a result.
        node: The node's name, for the records; unset where there are no nodes.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        done: Callable[[list[tuple[int, bytes]]], None],
        broken: Callable[[BaseException], None],
        node: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = async_client_for(spec.client, spec.endpoints)
        self._stop = StopSignal()
        self._worker = TaskWorker(spec, MonotonicClock(), self._stop)
        self._done = done
        self._broken = broken
        self._node = node
        self._who: dict[int, WorkerId] = {}
        self._encoder = msgspec.json.Encoder()
        self._begun: set[asyncio.Task[None]] = set()
        self._ended: list[tuple[int, bytes]] = []

    def __repr__(self) -> str:
        """Show how much is under way."""
        return f"<LoopSlots {len(self._begun)} under way, {self._stop!r}>"

    def begin(self, slot: int, assignment: Assignment) -> None:
        """Begin a task in a slot that has none."""
        self._loop.create_task(self._do(slot, assignment)).add_done_callback(self._on_done)

    def drain(self) -> None:
        """Let what is under way end, without further attempts."""
        self._stop.drain()

    def cancel(self) -> None:
        """Give up what is under way; each task still has its result."""
        self._stop.cancel()
        for task in self._begun:
            task.cancel()

    async def aclose(self) -> None:
        """Wait for what is under way, and close the client's connections."""
        await asyncio.gather(*self._begun, return_exceptions=True)
        await self._client.aclose()

    async def _do(self, slot: int, assignment: Assignment) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._begun.add(task)
        if self._stop.cancelled:
            # The cancellation fell between the message and this first step; thrown in before, it would lose the task.
            task.cancel()
        line = self._encoder.encode(await self._worker.arun(assignment, self._client, self._who_has(slot)))
        # What else is done in this turn of the loop goes with it.
        if not self._ended:
            self._loop.call_soon(self._hand_on)
        self._ended.append((slot, line))

    def _who_has(self, slot: int) -> WorkerId:
        who = self._who.get(slot)
        if who is None:
            thread = threading.current_thread().name
            who = self._who[slot] = WorkerId(pid=os.getpid(), thread=thread, slot=slot, node=self._node)
        return who

    def _hand_on(self) -> None:
        ended, self._ended = self._ended, []
        self._done(ended)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._begun.discard(task)
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            self._broken(bug)
