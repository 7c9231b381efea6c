"""Mode `asyncio`: N coroutines on one event loop that share one asynchronous client."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import uvloop

from bench.clients.routed import async_client_for
from bench.engines._base import Pause
from bench.engines._garbage import few_collections
from bench.engines.bell import LoopPauses
from bench.engines.canary import canary_on_loop
from bench.records import WorkerId
from bench.worker import TaskWorker

if TYPE_CHECKING:
    from bench.clients._base import AsyncClient
    from bench.engines._base import Job


class CoroutinesEngine:
    """N slots, each a coroutine on one uvloop event loop in the calling thread."""

    @few_collections()
    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(job))


async def _run(job: Job) -> None:
    loop = asyncio.get_running_loop()
    client = async_client_for(job.spec.client, job.spec.endpoints)
    slots: list[asyncio.Task[None]] = []

    def cancel_slots() -> None:
        for slot in slots:
            slot.cancel()

    def on_stop() -> None:
        if job.stop.cancelled:
            loop.call_soon_threadsafe(cancel_slots)

    worker = TaskWorker(job.spec, job.clock, job.stop)
    pauses = LoopPauses(job.bell)
    try:
        job.ready()
        slots += [loop.create_task(_slot(job, worker, client, pauses, number)) for number in range(job.slots)]
        with job.stop.watched(on_stop), pauses.heard(), job.by_turns(loop.call_soon):
            async with canary_on_loop(job.spec, job.clock, job.canary):
                await asyncio.wait(slots)
    finally:
        await client.aclose()
    for slot in slots:
        if not slot.cancelled():
            slot.result()


async def _slot(job: Job, worker: TaskWorker, client: AsyncClient, pauses: LoopPauses, number: int) -> None:
    """Do tasks until there are none; a cancellation that falls between two tasks ends the slot as it should."""
    who = WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=number)
    while (drawn := job.draw()) is not None:
        if isinstance(drawn, Pause):
            await pauses.wait(drawn.until_ns)
        else:
            job.emit(await worker.arun(drawn, client, who))
            # What is told of it takes its time now, and not out of the next task's.
            await asyncio.sleep(0)
