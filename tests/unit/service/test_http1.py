"""What slow and malformed clients meet, before any request of theirs is worked on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from typing import TYPE_CHECKING, ClassVar

import pytest

from bench.config.service import ServiceConfig
from bench.service.http1 import BoundedProtocol, Http1
from bench.service.security import Gate, Rules
from tests.rude import SLOW, WRONG, cut_off

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

#: Answers so much that a client that takes nothing holds the server up.
MUCH = b"x" * 1_000_000


class Impatient(BoundedProtocol):
    """Waits for a tenth of a second."""

    head_s: ClassVar[float] = 0.1
    stalled_s: ClassVar[float] = 0.1


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `/much` with much, and everything else with how large the body was."""
    body = (await receive())["body"]
    answer = MUCH if scope["path"] == "/much" else str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(20 if scope["path"] == "/much" else 1):
        await send({"type": "http.response.body", "body": answer, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Serve the application behind a gate, and yield the port."""
    rules = Rules(token=None, hosts=None, max_body_bytes=1000, per_minute=0, now_ns=lambda: 0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = Http1(ServiceConfig(), Gate(application, rules), listener, 100, Impatient)
        serving = asyncio.ensure_future(server.serve())
        try:
            yield port
        finally:
            server.stop()
            await serving


async def _answered(sent: bytes) -> bytes:
    async with served() as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await _until_closed(reader)
        writer.close()
        return answer


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    read = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            read += part
    return bytes(read)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo"], ids=["nothing", "half"])
def test_a_slow_head(sent: bytes) -> None:
    """A connection whose head does not come in time is closed without an answer."""
    assert asyncio.run(_answered(sent)) == b""


def test_a_slow_second_head() -> None:
    """A connection that was served once is closed as well where its next head does not come in time."""

    async def ask_twice() -> None:
        async with served() as port, asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.write(b"GET /")
            assert await _until_closed(reader) == b""
            writer.close()

    asyncio.run(ask_twice())


def test_a_head_without_end() -> None:
    """A head that is too large is refused before it is whole, and the connection closed."""
    answer = asyncio.run(_answered(b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answer


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x00" * 100],
)
def test_malformed(sent: bytes) -> None:
    """What is no HTTP is refused with 400, and the connection closed."""
    assert asyncio.run(_answered(sent)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"content-length: 1000", b"b" * 1000, b"200"),
        (b"content-length: 1001", b"b" * 1001, b"413"),
        (b"content-length: 9999999999", b"", b"413"),
        (b"transfer-encoding: chunked", b"3e8\r\n" + b"b" * 1000 + b"\r\n0\r\n\r\n", b"200"),
        (b"transfer-encoding: chunked", b"3e9\r\n" + b"b" * 1001 + b"\r\n", b"413"),
    ],
)
def test_body_sizes(head: bytes, body: bytes, status: bytes) -> None:
    """A body may have the largest size and no byte more, whether its size is told or not."""
    request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + head + b"\r\n\r\n" + body
    assert asyncio.run(_answered(request)).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_takes_nothing() -> None:
    """A client that takes nothing of its answer is cut off, so that it holds neither memory nor a connection."""

    async def stall() -> None:
        async with served() as port, asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(0.5)
            assert len(await _until_closed(reader)) < 20 * len(MUCH)
            writer.close()

    asyncio.run(stall())


def test_a_patient_client_is_served() -> None:
    """A client that takes what is there for it gets all of it."""
    answer = asyncio.run(_answered(b"GET /much HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    assert len(answer) > 20 * len(MUCH)


def test_nothing_is_left_of_those_that_were_cut_off() -> None:
    """Once hostile clients are cut off, the service holds none of their connections, nor what came over them."""
    kinds = WRONG | {name: SLOW[name] for name in ("says nothing", "a head that drips")}

    async def crowd() -> None:
        async with served() as port, asyncio.timeout(20):
            url = f"http://127.0.0.1:{port}"
            await asyncio.gather(*(cut_off(url, name, rude) for name, rude in kinds.items() for _ in range(3)))
            while _connections():  # noqa: ASYNC110 - the server ends them in some turns of the loop, or never
                await asyncio.sleep(0.01)

    asyncio.run(crowd())


def _connections() -> int:
    """Return how many connections there are that a collection does not throw away."""
    gc.collect()
    return sum(isinstance(each, BoundedProtocol) for each in gc.get_objects())
