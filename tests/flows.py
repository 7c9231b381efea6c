"""One task through its worker on virtual time, driven by a thread or by an event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.clients._base import ClientSettings, Timeouts
from bench.policy.retry import RetryPolicy
from bench.providers import Endpoint, Secret
from bench.records import WorkerId
from bench.stop import StopSignal
from bench.worker import Assignment, TaskWorker, WorkerSpec
from tests.clocks import NS_PER_S, PRESENT_NS, VirtualClock
from tests.samples import make_task
from tests.scripted_clients import AsyncScripted, Line, Player, SyncScripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.records import TaskResult

WHO: Final = WorkerId(pid=7, thread="MainThread", slot=3)

#: 2026-11-22 03:05:06 UTC.
ORIGIN_UTC_S: Final = 1_795_316_706.0


def make_spec(**changes: object) -> WorkerSpec:
    """Return the settings of a streaming run whose clock began 10 s before the present; waits are exact."""
    plain = WorkerSpec(
        endpoints=(
            Endpoint(
                provider="alpha", base_url="http://127.0.0.1:1/v1", model="m-1", api_key=Secret("sk-canary-0123456789")
            ),
        ),
        client=ClientSettings(client="scripted", transport="none", slots=8, timeouts=Timeouts()),
        retry=RetryPolicy(retries=3, delay_s=1.0, backoff="fixed"),
        timeout_s=100.0,
        stream=True,
        mode="asyncio",
        segment=0,
        origin_ns=PRESENT_NS - 10 * NS_PER_S,
        origin_utc_s=ORIGIN_UTC_S,
        chunk_times=False,
        seed=0,
    )
    return msgspec.structs.replace(plain, **changes)


@dataclass
class World:
    """A worker and what surrounds it: a clock that stands still, a stop that nobody raised, a client with a script."""

    script: Sequence[Line] = (Line(),)
    spec: WorkerSpec = field(default_factory=make_spec)
    clock: VirtualClock = field(default_factory=VirtualClock)
    stop: StopSignal = field(default_factory=StopSignal)

    def __post_init__(self) -> None:
        """Make the client's script and the worker."""
        self.player = Player(self.script, self.clock, self.stop)
        self.worker = TaskWorker(self.spec, self.clock, self.stop)

    def assignment(self, index: int = 0, **changes: object) -> Assignment:
        """Return a task that a slot asked for half a second before the present."""
        plain = Assignment(task=make_task(index), scheduled_ns=PRESENT_NS - NS_PER_S // 2)
        return msgspec.structs.replace(plain, **changes)


def by_thread(world: World, assignment: Assignment) -> TaskResult:
    """Do a task with a blocking client."""
    return world.worker.run(assignment, SyncScripted(world.player), WHO)


def by_loop(world: World, assignment: Assignment) -> TaskResult:
    """Do a task with an asynchronous client, in a coroutine that a cancelled run cancels."""

    async def do() -> TaskResult:
        slot = asyncio.create_task(world.worker.arun(assignment, AsyncScripted(world.player), WHO))

        def on_stop() -> None:
            if world.stop.cancelled:
                slot.cancel()

        with world.stop.watched(on_stop):
            return await slot

    return asyncio.run(do())


both_drivers = pytest.mark.parametrize("drive", [by_thread, by_loop])
