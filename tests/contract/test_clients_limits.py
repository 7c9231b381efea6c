"""How every client keeps time, counts connections and is cut short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

from bench.clients._base import Timeouts
from bench.clock import NS_PER_S
from tests.clientdriver import ask, is_sync
from tests.wire import (
    DONE,
    HELLO,
    PARTIAL,
    ROLE,
    STOP,
    answer,
    chunk,
    chunked,
    completion,
    event,
    head,
    sending,
    streamed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from bench.clients._base import Reply
    from tests.clientdriver import Driver
    from tests.faultserver import Exchange, FaultServer, Script

    Serve = Callable[..., FaultServer]
    Connect = Callable[..., Driver]

CHUNKED = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")

#: How much later than its limit a call may end: more than a busy machine needs, less than a limit that does not hold.
GRACE_S = 1.0


def dripping(start: bytes, drop: bytes) -> Script:
    """Return a script that sends `start`, then one more `drop` every 50 ms until the client has had enough."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(start)
        gone = asyncio.ensure_future(exchange.gone())
        while not gone.done():
            await exchange.send(drop)
            await asyncio.wait([gone], timeout=0.05)

    return script


def took_s(reply: Reply) -> float:
    """Return how long a call took."""
    return (reply.end_ns - reply.sent_ns) / NS_PER_S


def failure(reply: Reply) -> str | None:
    """Return the type of a reply's error, if it has one."""
    return None if reply.error is None else reply.error.error_type


BRIEF = Timeouts(ttft_s=0.5, idle_s=0.5, connect_s=0.5)


@pytest.mark.parametrize(
    ("error_type", "content", "script"),
    [
        pytest.param("timeout_ttft", None, dripping(b"", b""), id="silence"),
        pytest.param("timeout_ttft", None, dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), id="endless head"),
        pytest.param("timeout_ttft", None, dripping(CHUNKED, b""), id="head only"),
        pytest.param("timeout_ttft", None, dripping(head(), ROLE), id="chunks without a token"),
        pytest.param("timeout_ttft", None, dripping(head(), b": ping\n\n"), id="comments only"),
        pytest.param("timeout_ttft", None, dripping(head(), b"d"), id="endless line"),
        pytest.param("timeout_ttft", None, dripping(head("500 No", "text/plain"), b"x"), id="endless refusal"),
        pytest.param("timeout_ttft", None, dripping(head("200 OK", "text/html"), b"x"), id="endless page"),
        pytest.param("timeout_idle", "half", dripping(head() + PARTIAL, b""), id="silence after a token"),
        pytest.param("timeout_idle", "half", dripping(head() + PARTIAL, b": ping\n\n"), id="comments after a token"),
        pytest.param("timeout_idle", "half", dripping(head() + PARTIAL, b"d"), id="endless line after a token"),
    ],
)
def test_limits_of_a_stream(
    serve: Serve, connect: Connect, error_type: str, content: str | None, script: Script
) -> None:
    """A stream is given up when its first token, or the next one, is late, whatever else trickles in meanwhile."""
    reply = connect(serve(script).base_url, timeouts=BRIEF).call(ask())
    assert (failure(reply), reply.content) == (error_type, content)
    assert 0.5 <= took_s(reply) < 0.5 + 0.2 + GRACE_S


@pytest.mark.parametrize("sent", [head() + PARTIAL, CHUNKED + chunked(ROLE, PARTIAL, end=False)])
def test_silence_is_noticed_long_before_a_first_token_is_due(serve: Serve, connect: Connect, sent: bytes) -> None:
    """The limit for silence holds from the first token on, also where that one had far more time to come."""
    reply = connect(serve(dripping(sent, b"")).base_url, timeouts=Timeouts(ttft_s=8.0, idle_s=0.5)).call(ask())
    assert (failure(reply), reply.content) == ("timeout_idle", "half")
    assert 0.5 <= took_s(reply) < 0.5 + 0.2 + GRACE_S


@pytest.mark.parametrize(
    ("stream", "script"),
    [
        pytest.param(True, dripping(head() + PARTIAL, PARTIAL), id="endless stream"),
        pytest.param(True, dripping(b"", b""), id="silence"),
        pytest.param(False, dripping(b"", b""), id="silence, not streamed"),
        pytest.param(False, dripping(head("200 OK", "application/json"), b" "), id="endless body"),
        pytest.param(False, dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"), id="endless head"),
    ],
)
def test_the_deadline_holds(serve: Serve, connect: Connect, script: Script, *, stream: bool) -> None:
    """No server can hold a call beyond its deadline, however it trickles."""
    driver = connect(serve(script).base_url)
    started_ns = time.perf_counter_ns()
    reply = driver.call(ask(stream=stream), within_s=0.6)
    assert failure(reply) == "timeout_total"
    assert 0.6 <= (reply.end_ns - started_ns) / NS_PER_S < 0.6 + GRACE_S


def test_a_deadline_that_has_passed(serve: Serve, connect: Connect) -> None:
    """A call whose deadline has passed is not sent."""
    server = serve(sending(streamed(*HELLO)))
    assert failure(connect(server.base_url).call(ask(), within_s=-1)) == "timeout_total"
    assert server.exchanges == []


def test_no_first_token_is_awaited_where_none_can_be_seen(serve: Serve, connect: Connect) -> None:
    """An answer that is not streamed may take longer than the limits for a first token and for silence."""

    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        await exchange.send(answer(completion("late")))

    timeouts = Timeouts(ttft_s=0.1, idle_s=0.1)
    assert connect(serve(script).base_url, timeouts=timeouts).call(ask(stream=False)).content == "late"


def test_tokens_put_the_limit_off(serve: Serve, connect: Connect) -> None:
    """A stream may last longer than the limit for silence as long as tokens come."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(head())
        for _ in range(12):
            await asyncio.sleep(0.1)
            await exchange.send(event(chunk("x")))
        await exchange.send(STOP, DONE)
        exchange.close()

    timeouts = Timeouts(ttft_s=1.0, idle_s=1.0)
    reply = connect(serve(script).base_url, timeouts=timeouts).call(ask())
    assert (failure(reply), reply.content) == (None, "x" * 12)
    assert took_s(reply) > 1.1


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Name a port whose queue of connections is full, so that a further one is never made."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            queued = stack.enter_context(socket.socket())
            queued.settimeout(0)
            queued.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_connection_that_is_never_made(connect: Connect, deaf_port: int) -> None:
    """A connection that takes too long is `timeout_connect`."""
    reply = connect(f"http://127.0.0.1:{deaf_port}/v1", timeouts=Timeouts(connect_s=0.4)).call(ask())
    assert failure(reply) == "timeout_connect"
    assert 0.35 <= took_s(reply) < 0.4 + GRACE_S


def test_a_handshake_that_is_never_answered(connect: Connect) -> None:
    """The time to connect includes TLS's handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        reply = connect(base_url, timeouts=Timeouts(connect_s=0.4)).call(ask())
    assert failure(reply) == "timeout_connect"
    assert 0.35 <= took_s(reply) < 0.4 + GRACE_S


def in_rounds(size: int, pieces: tuple[bytes, ...]) -> Script:
    """Return a script that answers only when `size` requests of a round are there at once."""
    full: dict[int, asyncio.Event] = {}

    async def script(exchange: Exchange) -> None:
        event_of_round = full.setdefault(exchange.number // size, asyncio.Event())
        if exchange.number % size == size - 1:
            event_of_round.set()
        await event_of_round.wait()
        await exchange.send(b"".join(pieces))

    return script


@pytest.mark.parametrize("stream", [True, False])
def test_as_many_calls_as_slots(serve: Serve, connect: Connect, *, stream: bool) -> None:
    """N calls are in flight at once, over N connections and never more, and each connection is used again."""
    slots = 64
    server = serve(in_rounds(slots, (streamed(*HELLO) if stream else answer(completion("x")),)))
    driver = connect(server.base_url, slots=slots)
    for _ in range(3):
        replies = [call.result(60) for call in [driver.start(ask(stream=stream), within_s=60) for _ in range(slots)]]
        assert {failure(reply) for reply in replies} == {None}
    assert server.most_in_flight == slots
    assert (server.connections, server.most_connections) == (slots, slots)


def test_answers_do_not_mix(serve: Serve, connect: Connect) -> None:
    """Of many calls at once each gets the answer to its own request."""

    async def script(exchange: Exchange) -> None:
        messages = exchange.json["messages"]
        assert isinstance(messages, list)
        said = messages[0]["content"]
        await exchange.send(head(), event(chunk(said[:1])), event(chunk(said[1:])) + STOP)
        exchange.close()

    driver = connect(serve(script).base_url, slots=16)
    texts = [f"question {number}" for number in range(64)]
    calls = [driver.start(ask(text=text)) for text in texts]
    assert [call.result(30).content for call in calls] == texts


def test_the_time_to_connect_is_noted(serve: Serve, connect: Connect, kind: str) -> None:
    """A call says how long it took to connect, where its client sees it, unless it used a connection that was there."""
    driver = connect(serve(sending(streamed(*HELLO))).base_url)
    first, second = driver.call(ask()), driver.call(ask())
    assert second.connect_ns is None
    if kind in {"aiohttp", "httpx2"}:
        assert first.connect_ns is None
    else:
        assert first.connect_ns is not None
        assert first.headers_ns is not None
        assert 0 < first.connect_ns < first.headers_ns - first.sent_ns


def test_a_connection_closed_while_idle(serve: Serve, connect: Connect) -> None:
    """A server that closes an idle connection costs the next call a new one, and nothing else."""
    server = serve(sending(streamed(*HELLO)))
    driver = connect(server.base_url)
    assert driver.call(ask()).error is None
    server.hang_up_idle()
    assert driver.call(ask()).error is None
    assert server.connections == 2


def test_connections_closed_while_idle_and_busy(serve: Serve, connect: Connect) -> None:
    """Idle connections that close while the client does something else, unseen, cost the next calls new ones only."""
    slots = 4
    server = serve(in_rounds(slots, (streamed(*HELLO),)))
    driver = connect(server.base_url, slots=slots)
    calls = [driver.start(ask()) for _ in range(slots)]
    assert [call.result(20).error for call in calls] == [None] * slots
    for round_ in range(2, 6):
        replies = driver.call_behind(server.hang_up_idle, ask(), slots)
        assert [reply.error for reply in replies] == [None] * slots
        assert server.connections == round_ * slots


def test_a_stream_whose_end_comes_late(serve: Serve, connect: Connect) -> None:
    """The few bytes after a stream's last event are awaited for a moment, so that the connection can be used again."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(CHUNKED, chunked(*HELLO, end=False), b"0\r\n\r\n")

    server = serve(script)
    driver = connect(server.base_url)
    assert [driver.call(ask()).error for _ in range(3)] == [None] * 3
    assert server.connections == 1


def test_a_stream_whose_end_never_comes(serve: Serve, connect: Connect) -> None:
    """A stream is whole with its last event, even if the server never ends the body."""
    server = serve(dripping(CHUNKED + chunked(*HELLO, end=False), b""))
    driver = connect(server.base_url)
    replies = [driver.call(ask()) for _ in range(2)]
    assert [reply.content for reply in replies] == ["你好👋"] * 2
    assert max(map(took_s, replies)) < GRACE_S
    assert server.connections == 2


def given_up(call: Future[Reply]) -> Reply | None:
    """Return what a call that was cut short comes to: a reply from a thread, nothing from an event loop."""
    try:
        return call.result(GRACE_S)
    except CancelledError:
        return None


@pytest.mark.parametrize(
    ("stream", "sent", "content"),
    [
        (True, b"", None),
        (True, CHUNKED, None),
        (True, CHUNKED + chunked(PARTIAL, end=False), "half"),
        (False, b"", None),
    ],
    ids=["before the answer", "after the head", "mid-stream", "not streamed"],
)
def test_calls_are_cut_short(
    serve: Serve, connect: Connect, kind: str, sent: bytes, content: str | None, *, stream: bool
) -> None:
    """Calls under way end at once when they are given up from another thread, and the server sees them hang up."""
    gone = threading.Semaphore(0)

    async def script(exchange: Exchange) -> None:
        await exchange.send(sent)
        await exchange.gone()
        gone.release()

    server = serve(script)
    driver = connect(server.base_url)
    calls = [driver.start(ask(stream=stream)) for _ in range(4)]
    assert server.wait_until(lambda server: server.in_flight == 4)
    driver.cancel(calls)
    replies = [given_up(call) for call in calls]
    assert all(gone.acquire(timeout=GRACE_S) for _ in calls)
    if is_sync(kind):
        assert all(reply is not None and reply.cancelled and failure(reply) == "cancelled" for reply in replies)
        assert {reply.content for reply in replies if reply is not None} <= {content, None}
    else:
        assert replies == [None] * 4


def test_a_connection_being_made_is_cut_short(connect: Connect, deaf_port: int) -> None:
    """A call that still waits for its connection ends at once too."""
    driver = connect(f"http://127.0.0.1:{deaf_port}/v1", timeouts=Timeouts(connect_s=8.0))
    call = driver.start(ask())
    with pytest.raises(TimeoutError):
        call.result(0.3)  # it waits
    driver.cancel([call])
    reply = given_up(call)
    assert reply is None or reply.cancelled


def test_calls_after_the_end(serve: Serve, connect: Connect, kind: str) -> None:
    """Once a client for threads was told to give up, later calls are not sent."""
    server = serve(sending(streamed(*HELLO)))
    driver = connect(server.base_url)
    driver.cancel([])
    reply = driver.call(ask())
    assert reply.cancelled == is_sync(kind)
    assert len(server.exchanges) == (0 if is_sync(kind) else 1)


def test_the_unforeseen_is_a_failure_too(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody foresaw is `internal`, its type in the message and its trace in the debug log."""
    caplog.set_level(logging.DEBUG, "bench.client")
    server = serve(sending(streamed(*HELLO)))
    reply = connect(server.base_url, key="sk-secret").call(ask(odd=object()))
    assert failure(reply) == "internal"
    assert "TypeError" in str(reply.error)
    assert "Traceback" in caplog.text
    assert "sk-secret" not in caplog.text
    assert server.exchanges == []
