"""The service's client against servers that fail in chosen ways: it asks again, and begins nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bench.errors import ConfigError, LostError, RefusedError, ServiceError, TaskFailedError
from bench.policy.retry import RetryPolicy
from bench.service.access import Access
from bench.service.client import AsyncServiceClient, ServiceClient
from tests.clocks import PRESENT_NS, VirtualClock
from tests.faultserver import FaultServer
from tests.service_wire import CHUNKS, COMPLETE, START, STREAM, TASK, TEXT, begun, refusal, sent, whole
from tests.wire import answer, chunked

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.service.results import Result
    from tests.faultserver import Exchange

    Generate = Callable[..., Result]

CERTIFICATE: Final = Path(__file__).parents[1] / "data" / "loopback.pem"
BODY: Final = {"topic": "城市的黎明", "language": "zh-CN"}


#: What a task that ends well is told.
WELL: Final = whole(START, *CHUNKS, COMPLETE)


@pytest.fixture
def clock() -> VirtualClock:
    """Time in which waits are over at once."""
    return VirtualClock()


@pytest.fixture(params=["threads", "event loop"])
def generate(request: pytest.FixtureRequest, clock: VirtualClock) -> Generate:
    """Return what has a task done with either client."""

    def threads(url: str, access: Access | None = None, retries: int = 3, within_s: float = 600.0) -> Result:
        with ServiceClient(url, access, policy=RetryPolicy(retries=retries), clock=clock) as client:
            return client.generate("chat", BODY, within_s=within_s)

    async def loop(url: str, access: Access | None = None, retries: int = 3, within_s: float = 600.0) -> Result:
        async with AsyncServiceClient(url, access, policy=RetryPolicy(retries=retries), clock=clock) as client:
            return await client.generate("chat", BODY, within_s=within_s)

    if request.param == "threads":
        return threads
    return lambda *args, **kwargs: asyncio.run(loop(*args, **kwargs))


def serving(*answers: bytes) -> FaultServer:
    """Return a server that gives each of its answers once, ends the connection after it, and repeats the last."""
    left = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def script(exchange: Exchange) -> None:
        # Announced, or a client's next request may go down with the connection.
        await exchange.send(next(left).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        exchange.close()

    return FaultServer(script)


def address(server: FaultServer) -> str:
    """Return where a server is, without the path that providers have."""
    return server.base_url.removesuffix("/v1")


def test_result(generate: Generate) -> None:
    """A task that ends well gives its text, its id, its tokens and its times, whichever way its bytes were cut."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM)
        events = START + b": keep-alive\n\n" + b"".join(CHUNKS) + COMPLETE.replace(b"\n", b"\r\n")
        for place in range(0, len(events), 7):
            await exchange.send(chunked(events[place : place + 7], end=False))
        await exchange.send(b"0\r\n\r\n")

    with FaultServer(script) as server:
        result = generate(address(server), Access(token="secret"))
    assert (result.text, result.task_id, result.model) == (TEXT, TASK, "m")
    assert (result.usage.completion_tokens, result.timings.ttft_s) == (3, 0.2)
    (asked,) = server.exchanges
    assert (asked.target, asked.json) == ("/chat/stream", BODY)
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.headers["accept-encoding"] == "identity"


def test_a_broken_stream_is_taken_up_where_it_broke(generate: Generate) -> None:
    """A stream that breaks is asked for behind the last event that came: its text is whole, and nothing twice."""
    broken = begun(START, CHUNKS[0], CHUNKS[1][:9])
    with serving(broken, begun(CHUNKS[0]), whole(*CHUNKS, COMPLETE)) as server:
        assert generate(address(server)).text == TEXT
    assert [asked.target for asked in server.exchanges] == ["/chat/stream", *[f"/tasks/{TASK}/stream"] * 2]
    assert [asked.headers.get("last-event-id") for asked in server.exchanges] == [None, "2", "2"]


def test_a_lost_answer_begins_nothing_twice(generate: Generate) -> None:
    """A request whose answer never came is sent again with the same key, so that the service knows it."""
    with serving(b"", b"", WELL) as server:
        assert generate(address(server)).text == TEXT
    keys = {asked.headers["idempotency-key"] for asked in server.exchanges}
    assert (len(server.exchanges), len(keys)) == (3, 1)


def test_retry_after(generate: Generate, clock: VirtualClock) -> None:
    """A full queue is asked again, never before its Retry-After, and with the same key."""
    full = refusal("429 Too Many Requests", "full", "Retry-After: 7")
    with serving(full, full, WELL) as server:
        assert generate(address(server)).text == TEXT
    assert 14 <= (clock.now_ns() - PRESENT_NS) / 1e9 <= 16
    assert len({asked.headers["idempotency-key"] for asked in server.exchanges}) == 1


FULL: Final = refusal("429 Too Many Requests", "full", "Retry-After: 1")
FAILED: Final = whole(START, sent(2, "error", code="timeout_total", message="too late", retryable=False))
ENDLESS: Final = begun(START)


@pytest.mark.parametrize(
    ("answers", "error", "code", "requests"),
    [
        ((FULL,), RefusedError, "full", 4),
        ((refusal("503 Service Unavailable", "closing", "Retry-After: 1"),), RefusedError, "closing", 4),
        ((refusal("422 Unprocessable Content", "validation"),), RefusedError, "validation", 1),
        ((refusal("401 Unauthorized", "unauthorized"),), RefusedError, "unauthorized", 1),
        ((answer(b"<h1>moved</h1>", "302 Found", "text/html", "Location: /login"),), RefusedError, "bad_request", 1),
        ((FAILED,), TaskFailedError, "timeout_total", 1),
        ((answer(b"<h1>log in</h1>", "200 OK", "text/html"),), LostError, "bad_content_type", 1),
        ((b"",), LostError, "stream_reset", 4),
        ((ENDLESS, refusal("404 Not Found", "not_found")), LostError, "not_found", 2),
        ((whole(START, b"id: 2\nevent: chunk\ndata: {\n\n"),), LostError, "bad_sse", 4),
    ],
    ids=lambda value: None if isinstance(value, tuple | int | type) else value,
)
def test_without_a_result_there_is_an_error(
    generate: Generate, answers: tuple[bytes, ...], error: type[ServiceError], code: str, requests: int
) -> None:
    """Whatever goes wrong ends with an error that says what it was; only what may pass is asked again, with an end."""
    with serving(*answers) as server, pytest.raises(error) as caught:
        generate(address(server))
    assert (type(caught.value), caught.value.code, len(server.exchanges)) == (error, code, requests)
    assert caught.value.task_id == (
        None if server.exchanges[-1].target == "/chat/stream" and error is not TaskFailedError else TASK
    )


def test_events_renew_the_patience(generate: Generate) -> None:
    """A stream that breaks again and again is followed for as long as each connection brings something new."""
    pieces = [START, *(sent(number, "chunk", text="字") for number in range(2, 12)), sent(12, "complete")]
    with serving(*(begun(piece) for piece in pieces)) as server:
        assert generate(address(server), retries=1).text == "字" * 10
    assert len(server.exchanges) == 12


def test_the_time_for_it_all(generate: Generate) -> None:
    """A client waits no longer than it was told to, neither for a place nor for a stream that goes on."""
    with serving(refusal("429 Too Many Requests", "full", "Retry-After: 30")) as server:
        with pytest.raises(RefusedError, match="30 s"):
            generate(address(server), within_s=20.0)
        assert len(server.exchanges) == 1
    with serving(WELL) as server, pytest.raises(LostError, match="timeout_total"):
        generate(address(server), within_s=0.0)


def test_trust(generate: Generate) -> None:
    """A certificate of one's own is trusted by its file alone; without it there is no connection, and no other try."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    async def script(exchange: Exchange) -> None:
        await exchange.send(WELL)

    with FaultServer(script, tls=context) as server:
        assert generate(address(server), Access(ca_file=CERTIFICATE)).text == TEXT
        with pytest.raises(LostError, match=r"^tls: "):
            generate(address(server))
    assert len(server.exchanges) == 1


def _from_threads(url: str) -> None:
    with ServiceClient(url) as client, contextlib.closing(client.stream("chat", BODY)) as events:
        assert next(events).name == "start"


def _from_a_loop(url: str) -> None:
    async def leave() -> None:
        async with AsyncServiceClient(url) as client, contextlib.aclosing(client.stream("chat", BODY)) as events:
            assert (await anext(events)).name == "start"

    asyncio.run(leave())


def _cancelled(url: str) -> None:
    async def read(client: AsyncServiceClient, started: asyncio.Event) -> None:
        async for _ in client.stream("chat", BODY):
            started.set()

    async def cancel() -> None:
        async with AsyncServiceClient(url) as client:
            started = asyncio.Event()
            reading = asyncio.create_task(read(client, started))
            await started.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    asyncio.run(cancel())


@pytest.mark.parametrize("leave", [_from_threads, _from_a_loop, _cancelled])
@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_a_reader_that_leaves_has_its_task_cancelled(leave: Callable[[str], None], *, is_told: bool) -> None:
    """A stream that is closed half-read ends its connection and cancels its task, or ends without an error all the same
    where the service does not answer.
    """

    async def script(exchange: Exchange) -> None:
        if exchange.target == "/chat/stream":
            await exchange.send(begun(START))
            await exchange.gone()
        elif is_told:
            await exchange.send(answer({}))
        else:
            exchange.reset()

    with FaultServer(script) as server:
        leave(address(server))
        assert server.wait_until(lambda seen: seen.open_connections == 0)
        assert [asked.target for asked in server.exchanges] == ["/chat/stream", f"/tasks/{TASK}"]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://me:secret@127.0.0.1:8000"])
def test_addresses(url: str) -> None:
    """What is no address of a service is refused before anything is sent."""
    with pytest.raises(ConfigError, match="address"):
        ServiceClient(url)
