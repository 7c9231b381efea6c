"""Faults that would hold a task for ever, and those that would fill the memory."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

from tests.faults.answers import BOMB, CHUNKED, HALF
from tests.faults.faults import OK, Fault, fault
from tests.wire import HELLO, PARTIAL, answer, chunk, chunked, event, head

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faultserver import Exchange, Script

#: What a slow server leaves between two bytes, in seconds: less than any limit for silence that one would set.
DRIP_S: Final = 0.4

EMPTY: Final = event(chunk(""))


def silent(sent: bytes) -> Script:
    """Return a script that sends something and then nothing, until the client leaves."""

    async def script(exchange: Exchange) -> None:
        if sent:
            await exchange.send(sent)
        await exchange.gone()

    return script


def dripping(start: bytes, drops: Callable[[int], bytes], every_s: float) -> Script:
    """Return a script that sends `start` and then the n-th of `drops` every so often, until the client leaves."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(start)
        gone = asyncio.create_task(exchange.gone())
        for number in itertools.count():
            done, _ = await asyncio.wait([gone], timeout=every_s)
            if done:
                return
            await exchange.send(drops(number))

    return script


def byte_by_byte(raw: bytes) -> Script:
    """Return a script that sends a byte now and then."""
    return dripping(b"", lambda number: raw[number : number + 1], DRIP_S)


def flooding(start: bytes, more: Callable[[int], bytes]) -> Script:
    """Return a script that sends without end and without pause, until the client leaves."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(start)
        await asyncio.sleep(0.05)  # so that the flood is no part of what the client read first
        for number in itertools.count():
            await exchange.send(more(number))

    return script


def headers(number: int) -> bytes:
    """Return a few kilobytes of header fields, each with a name of its own."""
    return b"".join(b"X-%d-%d: %s\r\n" % (number, place, b"y" * 80) for place in range(50))


FOR_EVER: Final = "timeout_total"

#: Every one would last for ever.
HOLDS: Final[tuple[Fault, ...]] = (
    fault("F-28", "accepts and says nothing", silent(b""), FOR_EVER),
    fault("F-28", "silent after the head", silent(CHUNKED), FOR_EVER),
    fault("F-28", "silent within the head", silent(b"HTTP/1.1 200 OK\r\nContent-"), FOR_EVER),
    fault("F-28", "silent in mid-stream", silent(CHUNKED + chunked(PARTIAL, end=False)), FOR_EVER, content=HALF),
    fault(
        "F-28",
        "silent within a chunk",
        silent(CHUNKED + chunked(PARTIAL, end=False) + b"ff\r\nda"),
        FOR_EVER,
        content=HALF,
    ),
    fault(
        "F-28",
        "silent within an error's body",
        silent(head("500 Internal Server Error", "application/json", "Content-Length: 99") + b'{"er'),
        FOR_EVER,
        "server_error",
    ),
    fault("F-30", "a byte of the head now and then", byte_by_byte(CHUNKED * 50), FOR_EVER),
    fault(
        "F-30",
        "a byte of the body now and then",
        dripping(head(), lambda number: b"".join(HELLO)[number : number + 1], DRIP_S),
        FOR_EVER,
    ),
    fault("F-30", "a token now and then, for ever", dripping(head(), lambda _: PARTIAL, DRIP_S), FOR_EVER),
    fault("F-31", "empty deltas for ever", dripping(head(), lambda _: EMPTY, 0.05), FOR_EVER),
    fault("F-31", "comments for ever", dripping(head(), lambda _: b": ping\n\n", 0.05), FOR_EVER),
    fault(
        "F-31",
        "comments for ever after a token",
        dripping(head() + PARTIAL, lambda _: b": ping\n\n", 0.05),
        FOR_EVER,
        content=HALF,
    ),
    fault("F-31", "100 Continue for ever", dripping(b"", lambda _: b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), FOR_EVER),
    fault("F-31", "whole, but the body never ends", silent(head() + b"".join(HELLO)), OK, content="你好👋"),
    fault(
        "F-31",
        "whole, then comments for ever",
        dripping(CHUNKED + chunked(*HELLO, end=False), lambda _: chunked(b": ping\n\n", end=False), 0.05),
        OK,
        content="你好👋",
    ),
)

#: Every one would fill the memory, or the time with work.
FLOODS: Final[tuple[Fault, ...]] = (
    fault(
        "F-31",
        "a line without end",
        flooding(head() + b"data: ", lambda _: b"x" * 65_536),
        "too_large",
        words="of the stream is longer",
    ),
    fault(
        "F-31",
        "an event without end",
        flooding(head(), lambda _: (b"data: " + b"x" * 1000 + b"\n") * 64),
        "too_large",
        words="of the stream is longer",
    ),
    fault(
        "F-31",
        "comments without end",
        flooding(head(), lambda _: (b": ping" + b"." * 100 + b"\n\n") * 500),
        "too_large",
        FOR_EVER,
    ),
    fault("F-31", "empty deltas without end", flooding(head(), lambda _: EMPTY * 500), "too_large", FOR_EVER),
    fault("F-31", "tokens without end", flooding(head(), lambda _: PARTIAL * 500), "too_large", FOR_EVER),
    fault(
        "F-31",
        "chunks without end",
        flooding(CHUNKED, lambda _: chunked(*[EMPTY] * 200, end=False)),
        "too_large",
        FOR_EVER,
    ),
    fault(
        "F-31",
        "a chunk's size without end",
        flooding(CHUNKED + b"5;", lambda _: b"x" * 65_536),
        "too_large",
        "stream_reset",
        "bad_content_type",
        FOR_EVER,
    ),
    fault(
        "F-31",
        "trailers without end",
        flooding(CHUNKED + chunked(PARTIAL, end=False) + b"0\r\n", headers),
        "too_large",
        "stream_reset",
        "bad_content_type",
    ),
    fault(
        "F-33",
        "a gzip bomb among floods",
        flooding(head("200 OK", "text/event-stream", "Content-Encoding: gzip"), lambda _: BOMB),
        "bad_content_type",
    ),
    fault(
        "F-33",
        "an error's body without end",
        flooding(head("500 Internal Server Error", "text/plain"), lambda _: b"x" * 65_536),
        "server_error",
    ),
    fault("F-34", "a head without end", flooding(b"HTTP/1.1 200 OK\r\n", headers), "too_large"),
    fault(
        "F-34", "a header without end", flooding(b"HTTP/1.1 200 OK\r\nX-Long: ", lambda _: b"x" * 65_536), "too_large"
    ),
    fault(
        "F-34",
        "a status line without end",
        flooding(b"HTTP/1.1 200 ", lambda _: b"x" * 65_536),
        "too_large",
        "bad_content_type",
    ),
)

#: The same without a stream asked for.
BODY_FLOODS: Final[tuple[Fault, ...]] = (
    fault(
        "F-28",
        "silent within a body",
        silent(head("200 OK", "application/json", "Content-Length: 99") + b'{"ch'),
        FOR_EVER,
    ),
    fault("F-30", "a byte of a JSON body now and then", byte_by_byte(answer(b" " * 99)), FOR_EVER),
    fault(
        "F-33",
        "a JSON body without end",
        flooding(head("200 OK", "application/json"), lambda _: b" " * 65_536),
        "too_large",
    ),
)

#: With short limits for the first token and for silence.
LIMITS: Final[tuple[Fault, ...]] = (
    fault("F-28", "no first token", silent(CHUNKED), "timeout_ttft"),
    fault("F-28", "no further token", silent(CHUNKED + chunked(PARTIAL, end=False)), "timeout_idle", content=HALF),
    fault("F-30", "a byte of the head now and then instead of a token", byte_by_byte(CHUNKED), "timeout_ttft"),
    fault("F-31", "empty deltas instead of a token", dripping(head(), lambda _: EMPTY, 0.05), "timeout_ttft"),
    fault(
        "F-31",
        "comments instead of a further token",
        dripping(head() + PARTIAL, lambda _: b": ping\n\n", 0.05),
        "timeout_idle",
        content=HALF,
    ),
)
