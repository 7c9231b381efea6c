"""One way to drive every client, from the test's own thread, whether it is made for threads or for an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import uvloop

from bench.clients._base import ClientSettings, Reply, Request, Timeouts
from bench.clients.make import make_async_client, make_sync_client
from bench.clock import NS_PER_S
from bench.providers import Endpoint, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.clients._base import AsyncClient

#: The drivers' names, as they appear in the tests' ids, with the client and the transport that each is for.
KINDS = {
    "sync": ("openai", "httpx2"),
    "aiohttp": ("openai", "aiohttp"),
    "httpx2": ("openai", "httpx2"),
    "lean-sync": ("lean", "socket"),
    "lean": ("lean", "protocol"),
}


def is_sync(kind: str) -> bool:
    """Return whether a kind of client is for threads."""
    return kind.endswith("sync")


def ask(*, stream: bool = True, text: str = "hi", **params: object) -> Request:
    """Return a request."""
    return Request(model="m", messages=({"role": "user", "content": text},), params=params, stream=stream)


class Driver(Protocol):
    """A client, and what it needs to run in."""

    def start(self, request: Request, within_s: float = 10.0) -> Future[Reply]:
        """Begin a call that must be over within `within_s` seconds."""

    def call(self, request: Request, within_s: float = 10.0) -> Reply:
        """Make a call and wait for its end."""

    def call_behind(self, busy: Callable[[], None], request: Request, calls: int) -> list[Reply]:
        """Make calls at once, right after `busy` has kept the client from everything, its event loop included."""

    def cancel(self, calls: Sequence[Future[Reply]]) -> None:
        """Give up the calls under way, in the way of this kind of client, from another thread than theirs."""

    def close(self) -> None:
        """Close the client."""


def drive(
    kind: str,
    base_url: str,
    *,
    slots: int = 8,
    timeouts: Timeouts | None = None,
    key: str | None = None,
    reads_limits: bool = False,
) -> Driver:
    """Open a client of one kind against an address."""
    client, transport = KINDS[kind]
    settings = ClientSettings(
        client=client,
        transport=transport,
        slots=slots,
        timeouts=timeouts or Timeouts(),
        reads_limits=reads_limits,
    )
    endpoint = Endpoint(provider="test", base_url=base_url, model="m", api_key=Secret(key) if key else None)
    return SyncDriver(settings, endpoint) if is_sync(kind) else AsyncDriver(settings, endpoint)


class SyncDriver:
    """Drives the client for threads, from as many threads as it has slots."""

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._client = make_sync_client(settings, endpoint)
        self._threads = ThreadPoolExecutor(settings.slots)

    def start(self, request: Request, within_s: float = 10.0) -> Future[Reply]:
        """See Driver."""
        return self._threads.submit(self._client.call, request, _deadline_ns(within_s))

    def call(self, request: Request, within_s: float = 10.0) -> Reply:
        """See Driver."""
        return self.start(request, within_s).result(within_s + 10)

    def call_behind(self, busy: Callable[[], None], request: Request, calls: int) -> list[Reply]:
        """See Driver."""
        busy()
        return [call.result(20) for call in [self.start(request) for _ in range(calls)]]

    def cancel(self, calls: Sequence[Future[Reply]]) -> None:  # noqa: ARG002 - this kind gives up all it has
        """See Driver."""
        self._client.cancel_all()

    def close(self) -> None:
        """See Driver."""
        self._threads.shutdown()
        self._client.close()


class AsyncDriver:
    """Drives a client for an event loop, which runs in a thread of its own."""

    def __init__(self, settings: ClientSettings, endpoint: Endpoint) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="driver")
        self._thread.start()

        async def make() -> AsyncClient:
            return make_async_client(settings, endpoint)

        try:
            self._client = asyncio.run_coroutine_threadsafe(make(), self._loop).result()
        except BaseException:
            self._stop()
            raise

    def start(self, request: Request, within_s: float = 10.0) -> Future[Reply]:
        """See Driver."""
        return asyncio.run_coroutine_threadsafe(self._client.call(request, _deadline_ns(within_s)), self._loop)

    def call(self, request: Request, within_s: float = 10.0) -> Reply:
        """See Driver."""
        return self.start(request, within_s).result(within_s + 10)

    def call_behind(self, busy: Callable[[], None], request: Request, calls: int) -> list[Reply]:
        """See Driver."""

        async def first() -> Reply:
            busy()  # in the step in which the calls begin: between steps the loop would see what it missed
            return await self._client.call(request, _deadline_ns(10.0))

        async def made() -> list[Reply]:
            others = (self._client.call(request, _deadline_ns(10.0)) for _ in range(calls - 1))
            return await asyncio.gather(first(), *others)

        return asyncio.run_coroutine_threadsafe(made(), self._loop).result(20)

    def cancel(self, calls: Sequence[Future[Reply]]) -> None:
        """See Driver."""
        for call in calls:
            call.cancel()

    def close(self) -> None:
        """See Driver."""

        async def finish() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)
            await self._client.aclose()
            await self._loop.shutdown_asyncgens()
            await self._loop.shutdown_default_executor()

        try:
            asyncio.run_coroutine_threadsafe(finish(), self._loop).result(10)
        finally:
            self._stop()

    def _stop(self) -> None:
        """End the loop's thread: it would keep the test process from ending."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _deadline_ns(within_s: float) -> int:
    return time.perf_counter_ns() + int(within_s * NS_PER_S)
