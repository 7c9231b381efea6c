"""Text that is shown as it arrives: the same promise of every client for an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import uvloop

from bench.clients._base import ClientSettings, Reply, Timeouts
from bench.clients.make import make_async_client
from bench.clients.routed import async_client_for
from bench.clients.scripted import Answer, ScriptedAsyncClient
from bench.clock import NS_PER_S
from bench.errors import CallError
from bench.providers import Endpoint
from tests.clientdriver import KINDS, ask, is_sync
from tests.wire import DONE, HELLO, STOP, answer, chunk, chunked, completion, event, head, sending, streamed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clients._base import AsyncClient, Request, Sink
    from tests.faultserver import Exchange, FaultServer

    Serve = Callable[..., FaultServer]

WITHIN_S = 10.0

HEAD = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")

WHOLE = streamed(*HELLO)

#: A character in two halves, as a server sends it that cuts text by its UTF-16 units.
HALVES = (
    event('{"choices":[{"delta":{"content":"\\ud83d"}}]}'),
    event('{"choices":[{"delta":{"content":"\\ude00!"}}]}'),
)


@pytest.fixture(params=[kind for kind in KINDS if not is_sync(kind)])
def kind(request: pytest.FixtureRequest) -> str:
    """Name one kind of client for an event loop after the other."""
    return str(request.param)


def called(kind: str, base_url: str, request: Request, sink: Sink) -> Reply:
    """Make one call with a client of its own."""
    client_name, transport = KINDS[kind]
    settings = ClientSettings(client=client_name, transport=transport, slots=1, timeouts=Timeouts())
    endpoint = Endpoint(provider="test", base_url=base_url, model="m")

    async def call() -> Reply:
        client = make_async_client(settings, endpoint)
        try:
            return await client.call(request, _deadline_ns(), sink)
        finally:
            await client.aclose()

    return uvloop.run(call())


def _deadline_ns() -> int:
    return time.perf_counter_ns() + int(WITHIN_S * NS_PER_S)


def test_text_is_shown_while_the_answer_goes_on(serve: Serve, kind: str) -> None:
    """A server that sends each piece only when the one before was shown comes to its end."""
    shown: list[str] = []
    seen = threading.Semaphore(0)

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD)
        for text in ("one ", "two ", "three"):
            await exchange.send(chunked(event(chunk(text)), end=False))
            while not seen.acquire(blocking=False):  # noqa: ASYNC110 - the client is in another thread
                await asyncio.sleep(0.002)
        await exchange.send(chunked(STOP, DONE))

    def sink(text: str) -> None:
        shown.append(text)
        seen.release()

    reply = called(kind, serve(script).base_url, ask(), sink)
    assert (reply.error, shown, reply.content) == (None, ["one ", "two ", "three"], "one two three")


@pytest.mark.parametrize(
    ("pieces", "stream"),
    [
        pytest.param([streamed(*HELLO)], True, id="at once"),
        pytest.param([streamed(*HALVES, STOP, DONE)], True, id="half characters"),
        pytest.param([streamed(HALVES[0], STOP, DONE)], True, id="half a character"),
        pytest.param([HEAD, *(chunked(each, end=False) for each in HALVES), chunked(STOP, DONE)], True, id="apart"),
        pytest.param([WHOLE[:200], WHOLE[200:231], WHOLE[231:400], WHOLE[400:]], True, id="anywhere"),
        pytest.param([streamed(*HELLO[:3])[:-5]], True, id="broken off"),
        pytest.param([streamed(*HELLO[:3], event({"error": {"message": "boom"}}))], True, id="error"),
        pytest.param([answer(completion("你好 👋"))], False, id="whole"),
        pytest.param([answer({"error": {"message": "no"}}, "500 Broken")], True, id="refused"),
    ],
)
def test_what_was_shown_is_the_text_of_the_reply(serve: Serve, kind: str, pieces: list[bytes], stream: bool) -> None:  # noqa: FBT001 - a case
    """However an answer is cut and however it ends, what was shown is the text that the reply has, whole characters
    each; what is not streamed is shown in one piece.
    """

    async def script(exchange: Exchange) -> None:
        await exchange.send(*pieces)
        exchange.close()

    shown: list[str] = []
    reply = called(kind, serve(script).base_url, ask(stream=stream), shown.append)
    assert ("".join(shown) or None) == reply.content
    assert all(each.encode() for each in shown)
    if not stream:
        assert len(shown) == 1


def test_the_scripted_client_shows_its_chunks_in_time() -> None:
    """Of a scripted answer each chunk is shown when it is due, and the reply is the same as without anybody looking."""
    script = Answer(chunks=("one ", "two ", "three"), ttft_s=0.01, gap_s=0.05)

    async def work() -> None:
        client = ScriptedAsyncClient(lambda _request: script)
        at_ns: list[int] = []
        reply = await client.call(ask(), _deadline_ns(), lambda _text: at_ns.append(time.perf_counter_ns()))
        unseen = await client.call(ask(), _deadline_ns())
        assert (reply.content, reply.error) == (unseen.content, unseen.error) == ("one two three", None)
        assert len(at_ns) == len(reply.content_ns) == 3
        # A timer of the loop may be a tick early.
        assert all(shown >= due - 2_000_000 for shown, due in zip(at_ns, reply.content_ns, strict=True))
        assert at_ns[0] < reply.content_ns[-1]
        shown: list[str] = []
        broken = ScriptedAsyncClient(lambda _request: Answer(error=CallError("stream_reset", "gone")))
        failed = await broken.call(ask(), _deadline_ns(), shown.append)
        assert "".join(shown) == failed.content
        late = await client.call(ask(), time.perf_counter_ns() + 30_000_000, shown.append)
        assert late.error is not None

    uvloop.run(work())


def test_a_client_of_several_routes_shows_what_the_asked_one_sends(serve: Serve) -> None:
    """The text of the route that a request names is shown."""
    settings = ClientSettings(client="lean", transport="protocol", slots=1, timeouts=Timeouts())
    urls = [serve(sending(streamed(event(chunk(text)), STOP, DONE))).base_url for text in ("first", "second")]
    endpoints = [Endpoint(provider=str(place), base_url=url, model="m") for place, url in enumerate(urls)]

    async def work() -> None:
        client: AsyncClient = async_client_for(settings, endpoints)
        shown: list[str] = []
        for route in (1, 0):
            await client.call(msgspec.structs.replace(ask(), route=route), _deadline_ns(), shown.append)
        assert shown == ["second", "first"]
        await client.aclose()

    uvloop.run(work())
