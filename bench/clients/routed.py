"""One client over all routes of a run: each request goes where it says, and several may race for one answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Final, TypeVar

from bench.clients._base import Reply
from bench.clients.make import make_async_client, make_sync_client
from bench.clock import NS_PER_S
from bench.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from concurrent.futures import Future

    from bench.clients._base import AsyncClient, ClientSettings, Contender, Outcomes, Request, Sink, SyncClient
    from bench.providers import Endpoint

#: The calls under way of a race: place and beginning of each.
_Racing = dict[asyncio.Task[Reply], tuple[int, int]]

_T = TypeVar("_T")

_BEATEN: Final = CallError("cancelled", "another provider answered first")
_STOPPED: Final = CallError("cancelled", "given up because the run was cancelled")


def sync_client_for(settings: ClientSettings, endpoints: Sequence[Endpoint]) -> SyncClient:
    """Make a client for threads, in the process that is to use it; around one endpoint's client there may be nothing.

    Raises:
        ConfigError: There is no such client, or a key cannot be sent.
    """
    if len(endpoints) == 1 and endpoints[0].timeout_s is None:
        return make_sync_client(settings, endpoints[0])
    return RoutedSyncClient(settings, endpoints)


def async_client_for(settings: ClientSettings, endpoints: Sequence[Endpoint]) -> AsyncClient:
    """Make a client for the running event loop; around one endpoint's client there may be nothing.

    Raises:
        ConfigError: There is no such client, or a key cannot be sent.
    """
    if len(endpoints) == 1 and endpoints[0].timeout_s is None:
        return make_async_client(settings, endpoints[0])
    return RoutedAsyncClient(settings, endpoints)


class RoutedAsyncClient:
    """A client a route, on one event loop."""

    def __init__(self, settings: ClientSettings, endpoints: Sequence[Endpoint]) -> None:
        self._clients = [make_async_client(settings, endpoint) for endpoint in endpoints]
        self._limits_ns = _limits_ns(endpoints)
        self._left: set[asyncio.Task[Reply]] = set()

    def __repr__(self) -> str:
        """Show whom it asks."""
        return f"<RoutedAsyncClient {self._clients}>"

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Send one request over its route; see `AsyncClient.call`."""
        due_ns = _due_ns(self._limits_ns[request.route], deadline_ns)
        return await self._clients[request.route].call(request, due_ns, sink)

    async def race(self, contenders: Sequence[Contender], deadline_ns: int) -> Outcomes:
        """Send the first request, each next one when it is time or the one before has failed; take the first success.

        The others' connections are closed at once and not waited for. Where all fail, the last failure decides.

        Returns:
            What became of each that was sent.
        """
        ahead = deque(enumerate(contenders))
        racing: _Racing = {}
        failed: Outcomes = []
        try:
            while ahead or racing:
                if ahead:
                    place, contender = ahead.popleft()
                    call = asyncio.ensure_future(self.call(contender.request, deadline_ns))
                    racing[call] = place, time.perf_counter_ns()
                # After this it is time for the next one, or one has failed and has no need of its time any more.
                for call in await _ended(racing, ahead[0][1].after_s if ahead else None):
                    place, _ = racing.pop(call)
                    if call.result().error is None:
                        return [*failed, *_beaten(racing), (place, call.result())]
                    failed.append((place, call.result()))
            return failed
        finally:
            self._leave(racing)

    async def aclose(self) -> None:
        """Close the connections."""
        await asyncio.gather(*self._left, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    def _leave(self, racing: _Racing) -> None:
        """Cancel what is under way: it closes its connection by itself, and nobody waits for it."""
        for call in racing:
            call.cancel()
            self._left.add(call)
            call.add_done_callback(self._left.discard)


def _limits_ns(endpoints: Sequence[Endpoint]) -> list[int | None]:
    """Return how long an attempt may take at each of them."""
    return [None if each.timeout_s is None else int(each.timeout_s * NS_PER_S) for each in endpoints]


def _due_ns(limit_ns: int | None, deadline_ns: int) -> int:
    """Return when an attempt that begins now is given up."""
    return deadline_ns if limit_ns is None else min(deadline_ns, time.perf_counter_ns() + limit_ns)


async def _ended(racing: _Racing, at_most_s: float | None) -> set[asyncio.Task[Reply]]:
    """Wait until a call ends, or until it is time for the next, counted from the last one's beginning."""
    if at_most_s is not None:
        begun_ns = max(begun_ns for _, begun_ns in racing.values())
        at_most_s = max(0.0, at_most_s - (time.perf_counter_ns() - begun_ns) / NS_PER_S)
    return (await asyncio.wait(racing, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED))[0]


def _beaten(racing: _Racing) -> Outcomes:
    """Return what became of those that were under way when another one won."""
    end_ns = time.perf_counter_ns()
    return [
        (place, Reply(sent_ns=begun_ns, end_ns=end_ns, error=_BEATEN, cancelled=True))
        for place, begun_ns in racing.values()
    ]


class RoutedSyncClient:
    """A client a route, for threads; a race runs on an event loop of its own, where a loser can be cut off."""

    def __init__(self, settings: ClientSettings, endpoints: Sequence[Endpoint]) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._clients = [make_sync_client(settings, endpoint) for endpoint in endpoints]
        self._limits_ns = _limits_ns(endpoints)
        self._lock = threading.Lock()
        self._track: _Track | None = None
        self._cancelled = False

    def __repr__(self) -> str:
        """Show whom it asks."""
        return f"<RoutedSyncClient {self._clients}>"

    def call(self, request: Request, deadline_ns: int) -> Reply:
        """Send one request over its route; see `SyncClient.call`."""
        due_ns = _due_ns(self._limits_ns[request.route], deadline_ns)
        return self._clients[request.route].call(request, due_ns)

    def race(self, contenders: Sequence[Contender], deadline_ns: int) -> Outcomes:
        """Send the first request, and the next when it is time; see `RoutedAsyncClient.race`."""
        begun_ns = time.perf_counter_ns()
        with self._lock:
            if self._track is None:
                self._track = _Track(self._settings, self._endpoints)
            race = None if self._cancelled else self._track.begin(contenders, deadline_ns)
        outcomes = None if race is None else self._track.outcome(race)
        if outcomes is None:
            return [(0, Reply(sent_ns=begun_ns, end_ns=time.perf_counter_ns(), error=_STOPPED, cancelled=True))]
        return outcomes

    def cancel_all(self) -> None:
        """Give up every call under way, from any thread, and every later one."""
        with self._lock:
            self._cancelled = True
            if self._track is not None:
                self._track.cancel_all()
        for client in self._clients:
            client.cancel_all()

    def close(self) -> None:
        """Close the connections."""
        if self._track is not None:
            self._track.close()
        for client in self._clients:
            client.close()


class _Track:
    """An event loop in a thread, for the races of threads."""

    def __init__(self, settings: ClientSettings, endpoints: Sequence[Endpoint]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="races", daemon=True)
        self._thread.start()
        self._races: set[Future[Outcomes]] = set()
        self._client = self._do(_made(settings, endpoints))

    def begin(self, contenders: Sequence[Contender], deadline_ns: int) -> Future[Outcomes]:
        race = asyncio.run_coroutine_threadsafe(self._client.race(contenders, deadline_ns), self._loop)
        self._races.add(race)
        race.add_done_callback(self._races.discard)
        return race

    def outcome(self, race: Future[Outcomes]) -> Outcomes | None:
        """Wait for the end of a race; None where it was given up."""
        try:
            return race.result()
        except CancelledError:
            return None

    def cancel_all(self) -> None:
        for race in list(self._races):
            race.cancel()

    def close(self) -> None:
        self._do(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[object, object, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


async def _made(settings: ClientSettings, endpoints: Sequence[Endpoint]) -> RoutedAsyncClient:
    return RoutedAsyncClient(settings, endpoints)
