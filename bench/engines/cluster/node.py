"""A run's part on a node: an actor of Dask, whose coroutines run on the event loop of the node's Dask worker.

It is called over and over (see `messages.py`). A run that calls no more, because it was killed or its network is gone,
costs nothing more: after `LEASE_S` the node gives up its requests and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING

import msgspec

from bench.clock import NS_PER_S, MonotonicClock
from bench.engines.canary import canary_on_loop
from bench.engines.cluster import messages
from bench.engines.cluster.orders import LEASE_S, LISTEN_S, facts, with_keys
from bench.engines.loop_slots import LoopSlots
from bench.logcontext import logging_to_parent

if TYPE_CHECKING:
    from bench.engines.cluster.messages import Given, Stage
    from bench.engines.cluster.orders import Facts, Orders
    from bench.worker import Assignment, WorkerSpec


class Node:
    """What a run can ask of a node. Each method may be called again where a call broke."""

    def __init__(self) -> None:
        self._duty: _Duty | None = None

    def __repr__(self) -> str:
        """Show what it is at."""
        return f"<Node {self._duty!r}>"

    async def facts(self) -> Facts:
        """Return what this node is."""
        return facts()

    async def now_ns(self) -> int:
        """Return the time on this node's clock."""
        return time.perf_counter_ns()

    async def begin(self, orders: Orders) -> list[str]:
        """Make the slots ready; return the variables of keys that are not set here, without which nothing begins."""
        spec, missing = with_keys(orders, os.environ)
        if not missing and self._duty is None:
            self._duty = _Duty(spec, orders)
        return missing

    async def take(self, parcel: bytes) -> None:
        """Do the tasks of a parcel; for a call that is not to wait."""
        self._on_duty().take(messages.unpack_parcel(parcel))

    async def exchange(self, parcel: bytes) -> bytes:
        """Do the tasks of a parcel; return what there is to tell, as soon as there is something, or nothing."""
        duty = self._on_duty()
        duty.take(messages.unpack_parcel(parcel))
        return messages.pack(await duty.listen())

    async def end(self) -> bytes:
        """End, and return the CPU seconds used, with what was not heard yet."""
        return messages.pack(await self._on_duty().end())

    def _on_duty(self) -> _Duty:
        if self._duty is None:
            msg = "this node has not begun, or has ended"
            raise RuntimeError(msg)
        return self._duty


class _Duty:
    """A node's slots while it takes part in a run. Everything happens on the loop of its Dask worker."""

    def __init__(self, spec: WorkerSpec, orders: Orders) -> None:
        self._spec = spec
        self._log_level = orders.log_level
        self._slots = LoopSlots(spec, self._on_done, self._on_bug, orders.node)
        self._tickets = messages.Tickets()
        self._outbox = messages.Outbox()
        self._to_tell = asyncio.Event()
        self._called_ns = time.perf_counter_ns()
        self._cpu_before_s = time.process_time()
        self._stage: Stage = "run"
        self._bug: str | None = None
        self._ended = asyncio.Event()
        self._serving = asyncio.get_running_loop().create_task(self._serve())
        self._serving.add_done_callback(self._on_end)

    def __repr__(self) -> str:
        """Show what there is to tell."""
        return f"<_Duty {self._slots!r} {self._outbox!r}>"

    def take(self, parcel: messages.Parcel) -> None:
        """Begin the tasks that are new, and forget what was heard."""
        self._called_ns = time.perf_counter_ns()
        self._outbox.heard(parcel.heard)
        self._on_stage(parcel.stage)
        for given in parcel.given:
            if self._tickets.is_new(given.slot, given.ticket):
                self._slots.begin(given.slot, _dated(given, self._called_ns))

    async def listen(self) -> messages.Answer:
        """Return what there is to tell, at the latest after `LISTEN_S`."""
        if not self._outbox and self._bug is None:
            self._to_tell.clear()
            # Nothing to tell tells that this node is there.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTEN_S):
                    await self._to_tell.wait()
        self._called_ns = time.perf_counter_ns()
        return self._outbox.answer(self._bug)

    async def end(self) -> messages.Ended:
        """Give up what is under way, if anything is, close the connections, and return the CPU seconds used."""
        self._slots.cancel()
        self._ended.set()
        await asyncio.wait([self._serving])
        return messages.Ended(time.process_time() - self._cpu_before_s, self._outbox.answer())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()

        def send_log(record: bytes) -> None:
            # From any thread.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._tell, messages.LOG, record)

        def send_canary(added_s: float) -> None:
            self._tell(messages.CANARY, repr(added_s).encode())

        with logging_to_parent(send_log, level=self._log_level, secrets=self._spec.secrets):
            async with canary_on_loop(self._spec, MonotonicClock(), send_canary):
                await self._lease_over()
            self._slots.cancel()
            await self._slots.aclose()

    async def _lease_over(self) -> None:
        """Wait for the end, or until nobody has called for `LEASE_S`."""
        while not self._ended.is_set():
            left_s = LEASE_S - (time.perf_counter_ns() - self._called_ns) / NS_PER_S
            if left_s <= 0:
                self._on_bug(TimeoutError(f"nobody called for {LEASE_S:g} s"))
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._ended.wait()

    def _on_stage(self, stage: Stage) -> None:
        if stage != self._stage:
            self._stage = stage
            if stage == "cancel":
                self._slots.cancel()
            else:
                self._slots.drain()

    def _on_done(self, done: list[tuple[int, bytes]]) -> None:
        packed = messages.pack([messages.Done(slot, self._tickets.of(slot), line) for slot, line in done])
        self._tell(messages.DONE, packed)

    def _tell(self, kind: bytes, content: bytes) -> None:
        self._outbox.put(kind, content)
        self._to_tell.set()

    def _on_end(self, serving: asyncio.Task[None]) -> None:
        bug = None if serving.cancelled() else serving.exception()
        if bug is not None:
            self._on_bug(bug)

    def _on_bug(self, bug: BaseException) -> None:
        # The run waits for a result that will not come: it takes the node for lost when it hears of it.
        self._bug = f"{type(bug).__name__}: {bug}"
        self._to_tell.set()


def _dated(given: Given, now_ns: int) -> Assignment:
    """Return a task with its instants on this node's clock, so that no duration of it has ends on two clocks."""
    assignment = given.assignment
    started_ns = assignment.started_ns
    return msgspec.structs.replace(
        assignment,
        scheduled_ns=now_ns - assignment.scheduled_ns,
        started_ns=None if started_ns is None else now_ns - started_ns,
    )
