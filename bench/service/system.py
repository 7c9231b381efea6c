"""The service's own jobs: in a small pool with a queue and a time limit, so that none of them can pile up."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Self

from bench.clock import NS_PER_S
from bench.policy.admission import Admission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger("bench.service")


class SystemPool:
    """Does jobs, each at its own interval; on the service's event loop.

    Args:
        slots: How many run at once.
        queue_size: How many may wait.
        timeout_s: The longest time for one, in seconds.
    """

    def __init__(self, *, slots: int, queue_size: int, timeout_s: float) -> None:
        self.places = Admission(slots=slots, queue_size=queue_size, ageing_s=1.0, longest_s=timeout_s)
        self._timeout_s = timeout_s
        self._jobs: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """Show how full it is."""
        return f"<SystemPool {self.places!r}>"

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up what is under way, and end."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def every(self, interval_s: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Do a job at once and then again and again; one that is under way or waits is not begun a second time."""
        self._keep(self._repeat(interval_s, name, job))

    def submit(self, name: str, job: Callable[[], Awaitable[None]]) -> bool:
        """Let a job wait for its slot; return False where the queue is full or the job is there already."""
        if name in self._jobs:
            return False
        if not self.places.has_room:
            self.places.refuse(_now_s())
            return False
        now_s = _now_s()
        self._jobs[name] = (now_s, job)
        self.places.admit(name, priority=0, now_s=now_s)
        self._begin()
        return True

    async def _repeat(self, interval_s: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
        while True:
            self.submit(name, job)
            await asyncio.sleep(interval_s)

    def _begin(self) -> None:
        while (name := self.places.begin()) is not None:
            self._keep(self._do(name))

    async def _do(self, name: str) -> None:
        begun_s = _now_s()
        submitted_s, job = self._jobs[name]
        self.places.waited(begun_s - submitted_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await job()
        except TimeoutError:
            self.places.timed_out += 1
            _log.warning("the job %s took longer than %g s and was given up", name, self._timeout_s)
        except Exception:  # noqa: BLE001 - a job's edge: the service goes on without it
            _log.exception("the job %s failed", name)
        finally:
            del self._jobs[name]
            self.places.end()
            self.places.served(_now_s() - begun_s)
            self._begin()

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _now_s() -> float:
    return time.perf_counter_ns() / NS_PER_S
