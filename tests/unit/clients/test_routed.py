"""Several routes behind one client, and races between them, over the wire."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import pytest

from bench.clients._base import ClientSettings, Contender, Request, Timeouts
from bench.clients.routed import RoutedAsyncClient, RoutedSyncClient, async_client_for, sync_client_for
from bench.providers import Endpoint
from tests.faultserver import FaultServer
from tests.wire import answer, completion

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from bench.clients._base import Outcomes, Reply
    from tests.faultserver import Exchange, Script

NS_PER_S = 1_000_000_000

T = TypeVar("T")

#: So long that a test that waits for it fails by its own limit.
LONG_S = 600.0


def says(text: str) -> Script:
    """A server that answers at once."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(answer(completion(text)))

    return script


def fails(status: str = "500 Internal Server Error") -> Script:
    """A server that refuses at once."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(answer({"error": {"message": "no"}}, status))

    return script


async def silent(exchange: Exchange) -> None:
    """Answer nothing until the client has gone."""
    await exchange.gone()


class Racing(Protocol):
    """A client with several routes, driven from the test's own thread."""

    def race(self, contenders: Sequence[Contender]) -> Future[Outcomes]:
        """Begin a race."""

    def call(self, request: Request, within_s: float) -> Reply:
        """Make a call."""

    def cancel(self, race: Future[Outcomes]) -> None:
        """Give up what is under way."""

    def close(self) -> None:
        """Close the client."""


def due_ns(within_s: float = LONG_S) -> int:
    """The deadline."""
    return time.perf_counter_ns() + int(within_s * NS_PER_S)


class InThreads:
    """The client for threads."""

    def __init__(self, settings: ClientSettings, endpoints: Sequence[Endpoint]) -> None:
        self._client = RoutedSyncClient(settings, endpoints)
        self._threads = ThreadPoolExecutor(4)

    def race(self, contenders: Sequence[Contender]) -> Future[Outcomes]:
        """See Racing."""
        return self._threads.submit(self._client.race, contenders, due_ns())

    def call(self, request: Request, within_s: float) -> Reply:
        """See Racing."""
        return self._client.call(request, due_ns(within_s))

    def cancel(self, race: Future[Outcomes]) -> None:
        """See Racing."""
        self._client.cancel_all()
        [(place, reply)] = race.result(10)
        assert (place, reply.cancelled) == (0, True)

    def close(self) -> None:
        """See Racing."""
        self._threads.shutdown()
        self._client.close()


class OnLoop:
    """The client for an event loop, which runs in a thread of its own."""

    def __init__(self, settings: ClientSettings, endpoints: Sequence[Endpoint]) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon: where a call is never given up, the test is to fail, not to keep the interpreter from ending.
        self._thread = threading.Thread(target=self._loop.run_forever, name="racing", daemon=True)
        self._thread.start()

        async def make() -> RoutedAsyncClient:
            return RoutedAsyncClient(settings, endpoints)

        self._client = self._begin(make()).result()

    def _begin(self, coroutine: Coroutine[object, object, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def race(self, contenders: Sequence[Contender]) -> Future[Outcomes]:
        """See Racing."""
        return self._begin(self._client.race(contenders, due_ns()))

    def call(self, request: Request, within_s: float) -> Reply:
        """See Racing."""
        return self._begin(self._client.call(request, due_ns(within_s))).result()

    def cancel(self, race: Future[Outcomes]) -> None:
        """See Racing."""
        race.cancel()

    def close(self) -> None:
        """See Racing."""
        self._begin(self._client.aclose()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


#: The ways to make one: client, transport, driver.
KINDS: Final[dict[str, tuple[str, str, type[InThreads | OnLoop]]]] = {
    "lean-threads": ("lean", "socket", InThreads),
    "openai-threads": ("openai", "httpx2", InThreads),
    "lean-loop": ("lean", "protocol", OnLoop),
    "openai-loop": ("openai", "aiohttp", OnLoop),
}


@pytest.fixture(params=KINDS)
def racing(request: pytest.FixtureRequest) -> Iterator[Callable[..., tuple[Racing, list[FaultServer]]]]:
    """Open clients over servers with these scripts, and close both with the test."""
    client, transport, driver = KINDS[str(request.param)]
    drivers: list[Racing] = []
    servers: list[FaultServer] = []

    def open_over(*scripts: Script, limits_s: Sequence[float | None] = ()) -> tuple[Racing, list[FaultServer]]:
        for script in scripts:
            server = FaultServer(script)
            server.__enter__()
            servers.append(server)
        limits_s = limits_s or [None] * len(scripts)
        endpoints = [
            Endpoint(provider=f"p{place}", base_url=server.base_url, model="m", timeout_s=limit_s)
            for place, (server, limit_s) in enumerate(zip(servers, limits_s, strict=True))
        ]
        settings = ClientSettings(client=client, transport=transport, slots=4, timeouts=Timeouts())
        drivers.append(driver(settings, endpoints))
        return drivers[-1], servers

    yield open_over
    for each in drivers:
        each.close()
    for server in servers:
        server.__exit__(None, None, None)


def contender(route: int, after_s: float = 0.0) -> Contender:
    """One that asks a route."""
    message: dict[str, object] = {"role": "user", "content": "hi"}
    request = Request(model="m", messages=(message,), params={}, stream=False, route=route)
    return Contender(request=request, after_s=after_s)


def told(outcomes: Outcomes) -> list[tuple[int, str | None, str | None]]:
    """Place, content and failure of each."""
    return [
        (place, reply.content or None, None if reply.error is None else reply.error.error_type)
        for place, reply in outcomes
    ]


def test_the_first_answer_wins(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """The first whole answer ends the race, whoever began it; the loser's connection is closed at once."""
    client, (slow, _) = racing(silent, says("quick"))
    outcomes = client.race([contender(0), contender(1, 0.05)]).result(10)
    assert told(outcomes) == [(0, None, "cancelled"), (1, "quick", None)]
    assert outcomes[0][1].cancelled
    assert slow.wait_until(lambda server: server.in_flight == 0 and len(server.exchanges) == 1)


def test_who_answers_in_time_has_no_rival(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """Where the first one answers before it is the next one's time, the next one is never asked."""
    client, (_, rival) = racing(says("first"), says("second"))
    assert told(client.race([contender(0), contender(1, LONG_S)]).result(10)) == [(0, "first", None)]
    assert rival.exchanges == []


def test_a_failure_starts_the_next_at_once(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """Where one fails, the next one does not wait for its time; both are told of."""
    client, _ = racing(fails(), says("second"))
    outcomes = client.race([contender(0), contender(1, LONG_S)]).result(10)
    assert told(outcomes) == [(0, None, "server_error"), (1, "second", None)]


def test_an_empty_answer_wins_nothing(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """An answer without a text is a failure and is told as one: the next one is asked at once, and wins."""
    client, _ = racing(says(""), says("second"))
    outcomes = client.race([contender(0), contender(1, LONG_S)]).result(10)
    assert told(outcomes) == [(0, None, "empty"), (1, "second", None)]


def test_where_all_fail_the_last_decides(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """Where nobody answers, each failure is told of, and the last is the race's."""
    client, _ = racing(fails(), fails("404 Not Found"), fails("429 Too Many Requests"))
    outcomes = client.race([contender(place, LONG_S) for place in range(3)]).result(10)
    assert told(outcomes) == [(0, None, "server_error"), (1, None, "not_found"), (2, None, "rate_limited")]


def test_a_race_that_is_given_up(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """A race that is cancelled closes all its connections at once."""
    client, servers = racing(silent, silent)
    race = client.race([contender(0), contender(1)])
    assert all(server.wait_until(lambda each: each.in_flight == 1) for server in servers)
    client.cancel(race)
    assert all(server.wait_until(lambda each: each.in_flight == 0) for server in servers)


def test_a_route_s_own_limit(racing: Callable[..., tuple[Racing, list[FaultServer]]]) -> None:
    """A call ends at its provider's limit or at the deadline, whichever comes first, also in a race."""
    client, _ = racing(silent, silent, limits_s=[0.2, LONG_S])
    assert told([(0, client.call(contender(0).request, LONG_S))]) == [(0, None, "timeout_total")]
    assert told([(1, client.call(contender(1).request, 0.2))]) == [(1, None, "timeout_total")]
    outcomes = client.race([contender(0), contender(0, LONG_S)]).result(10)
    assert told(outcomes) == [(0, None, "timeout_total"), (1, None, "timeout_total")]


def test_one_endpoint_has_nothing_around_it() -> None:
    """With one endpoint that has no limit of its own the client is the plain one, as in a measurement."""
    settings = ClientSettings(client="scripted", transport="none", slots=1, timeouts=Timeouts())
    endpoint = Endpoint(provider="p", base_url="none", model="m")
    limited = Endpoint(provider="p", base_url="none", model="m", timeout_s=1.0)
    assert not isinstance(sync_client_for(settings, [endpoint]), RoutedSyncClient)
    assert isinstance(sync_client_for(settings, [limited]), RoutedSyncClient)
    assert isinstance(sync_client_for(settings, [endpoint, endpoint]), RoutedSyncClient)
    assert not isinstance(async_client_for(settings, [endpoint]), RoutedAsyncClient)
    assert isinstance(async_client_for(settings, [limited]), RoutedAsyncClient)
