"""Clients with nothing around them, to compare a harness with: a protocol of a few lines, aiohttp, and ours; on uvloop.

The first two send the same request, note when each read came, decode every event and keep one record a task in memory.
They know no failure: what is not a whole answer raises.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

import aiohttp
import httptools
import msgspec

from bench.clients._base import ClientSettings, Request, Timeouts
from bench.clients.make import make_async_client
from bench.clock import NS_PER_S
from bench.providers import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.records import JsonObject


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice]
    usage: _Usage | None = None


class Record(NamedTuple):
    """What is kept of an answer."""

    sent_ns: int
    content_ns: tuple[int, ...]
    content: str
    finish_reason: str
    completion_tokens: int


DECODE: Final = msgspec.json.Decoder(_Chunk).decode
ENCODE: Final = msgspec.json.Encoder().encode


def body(number: int) -> bytes:
    """Return the body of a request."""
    return ENCODE(
        {
            "model": "m",
            "messages": [{"role": "user", "content": f"分析主题 {number} 🙂"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 64,
        }
    )


def parsed(sent_ns: int, reads: list[tuple[int, bytes]]) -> Record:
    """Decode an answer's events."""
    content_ns: list[int] = []
    texts: list[str] = []
    finish_reason = ""
    tokens = 0
    rest = b""
    for now_ns, data in reads:
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            if event == b"data: [DONE]":
                return Record(sent_ns, tuple(content_ns), "".join(texts), finish_reason, tokens)
            chunk = DECODE(event[6:])
            if chunk.choices:
                choice = chunk.choices[0]
                if choice.delta.content:
                    content_ns.append(now_ns)
                    texts.append(choice.delta.content)
                finish_reason = choice.finish_reason or finish_reason
            if chunk.usage is not None:
                tokens = chunk.usage.completion_tokens
    raise ValueError(f"the stream has no end mark: {reads!r}")


class _Connection(asyncio.Protocol):
    """A connection that carries one request after the other."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._parser = httptools.HttpResponseParser(self)
        self._reads: list[tuple[int, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[list[tuple[int, bytes]]]:
        self._reads = []
        self._over: asyncio.Future[list[tuple[int, bytes]]] = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._over

    def data_received(self, data: bytes) -> None:
        now_ns = time.perf_counter_ns()
        self._parser.feed_data(data)
        self._reads.append((now_ns, b"".join(self._parts)))
        self._parts.clear()
        if self._complete:
            self._complete = False
            self._over.set_result(self._reads)

    _complete = False

    def on_message_complete(self) -> None:
        self._complete = True


async def by_protocol(base_url: str, tasks: int, slots: int) -> list[Record]:
    """Do tasks over `asyncio.Protocol` and httptools."""
    url = urlsplit(base_url)
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: application/json\r\n"
        "Content-Type: application/json\r\nAuthorization: Bearer none\r\nContent-Length: "
    ).encode()
    records: list[Record] = []
    numbers = iter(range(tasks))

    async def slot() -> None:
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, url.hostname or "", url.port or 80
        )
        for number in numbers:
            data = body(number)
            sent_ns = time.perf_counter_ns()
            reads = await connection.ask(b"%b%d\r\n\r\n%b" % (head, len(data), data))
            records.append(parsed(sent_ns, reads))

    await asyncio.gather(*(slot() for _ in range(slots)))
    return records


async def by_lean(base_url: str, tasks: int, slots: int) -> list[Record]:
    """Do tasks with the lean client alone."""
    settings = ClientSettings(client="lean", transport="protocol", slots=slots, timeouts=Timeouts())
    client = make_async_client(settings, Endpoint(provider="test", base_url=base_url, model="m"))
    records: list[Record] = []
    numbers = iter(range(tasks))

    async def slot() -> None:
        for number in numbers:
            messages: tuple[JsonObject, ...] = ({"role": "user", "content": f"分析主题 {number} 🙂"},)
            request = Request(model="m", messages=messages, params={"max_tokens": 64}, stream=True)
            reply = await client.call(request, time.perf_counter_ns() + 300 * NS_PER_S)
            if reply.error is not None:
                raise reply.error
            content, tokens = reply.content or "", reply.completion_tokens or 0
            records.append(Record(reply.sent_ns, reply.content_ns, content, reply.finish_reason or "", tokens))

    try:
        await asyncio.gather(*(slot() for _ in range(slots)))
    finally:
        await client.aclose()
    return records


async def by_aiohttp(base_url: str, tasks: int, slots: int) -> list[Record]:
    """Do tasks over aiohttp."""
    records: list[Record] = []
    numbers = iter(range(tasks))
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}

    async def slot(session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for number in numbers:
            sent_ns = time.perf_counter_ns()
            reads: list[tuple[int, bytes]] = []
            options: dict[str, Any] = {"data": body(number), "headers": headers}
            async with session.post(f"{base_url}/chat/completions", **options) as answer:
                async for data in answer.content.iter_any():
                    reads.append((time.perf_counter_ns(), data))  # noqa: PERF401 - each is stamped as it comes
            records.append(parsed(sent_ns, reads))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        await asyncio.gather(*(slot(session, numbers) for _ in range(slots)))
    return records
