"""What only the lean client decides itself, because the others leave it to their libraries: connections and reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.clients._base import Timeouts
from bench.clock import NS_PER_S
from tests.clientdriver import ask
from tests.wire import DONE, HELLO, PARTIAL, ROLE, STOP, chunk, chunked, event, head, sending, streamed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clients._base import Reply
    from tests.clientdriver import Driver
    from tests.faultserver import Exchange, FaultServer, Script

    Serve = Callable[..., FaultServer]
    Connect = Callable[..., Driver]

CHUNKED = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture(params=["lean-sync", "lean"])
def kind(request: pytest.FixtureRequest) -> str:
    """Name one kind of lean client after the other."""
    return str(request.param)


def failure(reply: Reply) -> str | None:
    """Return the type of a reply's error, if it has one."""
    return None if reply.error is None else reply.error.error_type


def second(fault: Script) -> Script:
    """Return a script that answers the first request in order, the second with a fault, and all others in order."""

    async def script(exchange: Exchange) -> None:
        if exchange.number == 1:
            await fault(exchange)
        else:
            await exchange.send(streamed(*HELLO))

    return script


async def hang_up(exchange: Exchange) -> None:
    """Close the connection without an answer."""
    exchange.close()


async def reset(exchange: Exchange) -> None:
    """Reset the connection without an answer."""
    exchange.reset()


async def begin_and_hang_up(exchange: Exchange) -> None:
    """Close the connection after the first bytes of an answer."""
    await exchange.send(b"HTTP/1.1 ")
    exchange.close()


@pytest.mark.parametrize("fault", [hang_up, reset])
def test_a_kept_connection_that_closes_unanswered(serve: Serve, connect: Connect, fault: Script) -> None:
    """A request that a kept connection did not answer with a single byte is sent again, once, over a new one."""
    server = serve(second(fault))
    driver = connect(server.base_url)
    replies = [driver.call(ask()) for _ in range(2)]
    assert [failure(reply) for reply in replies] == [None, None]
    assert replies[1].connect_ns is not None
    assert (server.connections, len(server.exchanges)) == (2, 3)


def test_a_kept_connection_that_closes_within_the_answer(serve: Serve, connect: Connect) -> None:
    """Once a byte of the answer has come, the request is not sent again."""
    server = serve(second(begin_and_hang_up))
    driver = connect(server.base_url)
    assert [failure(driver.call(ask())) for _ in range(2)] == [None, "stream_reset"]
    assert len(server.exchanges) == 2


def test_a_new_connection_that_closes_unanswered(serve: Serve, connect: Connect) -> None:
    """A request over a new connection is sent once only, also when it takes the place of a kept one that was closed."""

    async def script(exchange: Exchange) -> None:
        if exchange.number == 0:
            await exchange.send(streamed(*HELLO))
        else:
            exchange.close()

    server = serve(script)
    driver = connect(server.base_url)
    assert [failure(driver.call(ask())) for _ in range(2)] == [None, "stream_reset"]
    assert len(server.exchanges) == 3


def test_the_last_connection_used_is_the_next_one_used(serve: Serve, connect: Connect) -> None:
    """One call after the other uses one connection, however many there are, so that the others can go idle."""
    release = []

    async def script(exchange: Exchange) -> None:
        release.append(exchange)
        if len(release) == 4:
            for waiting in release:
                await waiting.send(streamed(*HELLO))
        elif len(release) > 4:
            await exchange.send(streamed(*HELLO))

    server = serve(script)
    driver = connect(server.base_url)
    for call in [driver.start(ask()) for _ in range(4)]:
        assert failure(call.result(10)) is None
    for _ in range(3):
        assert failure(driver.call(ask())) is None
    assert len({exchange.connection for exchange in server.exchanges[4:]}) == 1
    assert server.connections == 4


@pytest.mark.parametrize(
    "surplus", [b"x", streamed(event(chunk("not yours")), STOP, DONE)], ids=["a byte", "another answer"]
)
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_the_answer(serve: Serve, connect: Connect, surplus: bytes, *, together: bool) -> None:
    """Bytes after an answer are no part of it, nor of the next one: the connection is not used again."""

    async def script(exchange: Exchange) -> None:
        whole = streamed(event(chunk(f"answer {exchange.number}")), STOP, DONE)
        await exchange.send(*([whole + surplus] if together else [whole, surplus]))

    server = serve(script)
    driver = connect(server.base_url)
    first = driver.call(ask())
    assert server.wait_until(lambda server: server.in_flight == 0)
    assert [first.content, driver.call(ask()).content] == ["answer 0", "answer 1"]
    assert server.connections == 2


def test_answers_that_only_announce_another(serve: Serve, connect: Connect) -> None:
    """Answers below 200 are passed over, and their fields belong to nobody."""
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n"
    server = serve(sending(b"HTTP/1.1 100 Continue\r\n\r\n", early, streamed(*HELLO)))
    driver = connect(server.base_url)
    assert [driver.call(ask()).content for _ in range(2)] == ["你好👋"] * 2
    assert server.connections == 1


def test_a_server_that_wants_the_connection_closed(serve: Serve, connect: Connect) -> None:
    """A connection whose answer says that it closes is not used again."""
    closing = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked", "Connection: close")
    server = serve(sending(closing + chunked(*HELLO)))
    driver = connect(server.base_url)
    assert [driver.call(ask()).content for _ in range(2)] == ["你好👋"] * 2
    assert server.connections == 2


def test_each_read_has_its_instant(serve: Serve, connect: Connect) -> None:
    """Chunks of one read share its instant, those of the next have another, though all are parsed at the end."""
    one, two = (event(chunk(text)) for text in "ab")
    pieces = (CHUNKED, chunked(one, two, end=False), chunked(one, STOP, DONE))
    reply = connect(serve(sending(*pieces)).base_url).call(ask())
    first, also_first, later = reply.content_ns
    assert first == also_first
    assert (later - first) / NS_PER_S > 0.01
    assert reply.parse_ns


@pytest.mark.parametrize("place", range(1, len(DONE)))
def test_an_end_mark_in_two_reads(serve: Serve, connect: Connect, place: int) -> None:
    """A stream is whole with its last event, even if that comes in two halves and the body is never ended."""

    async def script(exchange: Exchange) -> None:
        halves = DONE[:place], DONE[place:]
        first = chunked(ROLE, PARTIAL, STOP, halves[0], end=False)
        await exchange.send(CHUNKED + first, chunked(halves[1], end=False))
        await exchange.gone()

    reply = connect(serve(script).base_url, timeouts=Timeouts(ttft_s=5, idle_s=5)).call(ask())
    assert (failure(reply), reply.content) == (None, "half")
    assert (reply.end_ns - reply.sent_ns) / NS_PER_S < 2


def test_an_error_that_is_parsed_before_the_end(serve: Serve, connect: Connect) -> None:
    """A stream that goes on for long is looked at meanwhile: one that went wrong is given up, not read to its end."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(CHUNKED + chunked(PARTIAL, event("{not json"), end=False))
        gone = False
        for _ in range(100_000):
            await exchange.send(chunked(PARTIAL * 20, end=False))
            gone = exchange.closing
            if gone:
                break
        assert gone

    reply = connect(serve(script).base_url).call(ask())
    assert (failure(reply), reply.content) == ("bad_sse", "half")


def test_a_line_has_its_limit(serve: Serve, connect: Connect) -> None:
    """A line of more than 1 MiB is given up long before the limit for a whole answer."""
    server = serve(sending(head() + b"data: " + b"x" * 2_000_000))
    assert failure(connect(server.base_url).call(ask())) == "too_large"
