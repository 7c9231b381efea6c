"""The transport below the SDK's client for threads, and bodies that end before they fill the memory."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

import httpcore2
import httpx2

from bench.clients._gauge import Gauge
from bench.clients._limits import KEEP_ALIVE_S, check_encoding
from bench.clients._network import Network
from bench.clients._rate_limits import rate_limits_in
from bench.errors import CallError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Iterator

    from bench.clients._calls import Call, Calls
    from bench.clients._collect import Collector


#: From a body inwards: to the connection that it comes over, and to what is read there and not used yet.
_INSIDE: Final = ("_httpcore_stream", "_stream", "_connection", "_h11_state")

#: A call lets others have the event loop after so many bytes: a few hundred chunks, some 50 ms of the SDK's work.
_UNYIELDING_BYTES: Final = 64 * 1024


class Transport(httpx2.BaseTransport):
    """Sends the requests of calls in threads over sockets that hold to the calls' limits.

    Args:
        calls: The calls under way.
        connections: How many there may be at once.
        ssl_context: What to trust.
    """

    def __init__(self, calls: Calls, *, connections: int, ssl_context: ssl.SSLContext) -> None:
        self._calls = calls
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=Network(calls),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer as soon as the head is there.

        Raises:
            CallError: A limit was reached, the call was cut short, or no connection could be made.
            httpcore2.NetworkError: The connection broke.
            httpcore2.ProtocolError: What came is not HTTP, or it broke off.
        """
        call = self._calls.current()
        url = request.url
        answer = self._pool.handle_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            status_code=answer.status, headers=answer.headers, stream=_Body(answer, call), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    """The body of an answer, from the thread of its call."""

    def __init__(self, answer: httpcore2.Response, call: Call) -> None:
        self._answer = answer
        self._parts = answer.iter_stream()
        self._call = call
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        gauge = Gauge(self._call.collector)
        for part in self._parts:
            yield gauge.stripped(part)
            if not gauge.wants_more(part):
                return
        self._ended = True

    def close(self) -> None:
        """Release the connection.

        The SDK stops reading at the stream's last event. The few bytes that end the body would then be left on the
        connection, and it could not be used again: each streamed call would make a new one.
        """
        try:
            if not self._ended and self._call.collector.finish_reason is not None:
                self._call.draining()
                for _ in self._parts:
                    pass
        except (CallError, httpcore2.NetworkError, httpcore2.ProtocolError):
            pass  # what there was to say has been said
        finally:
            if _surplus(self._answer.stream):
                self._answer.extensions["network_stream"].close()
            self._answer.close()


class AsyncBody(httpx2.AsyncByteStream):
    """The body of an answer, on an event loop; it takes the place of the answer's own."""

    def __init__(self, response: httpx2.Response, collector: Collector) -> None:
        self._stream = cast("httpx2.AsyncByteStream", response.stream)
        # The adapter for aiohttp, which needs no help with what follows an answer, has none.
        self._network_stream: httpcore2.AsyncNetworkStream | None = response.extensions.get("network_stream")
        self._gauge = Gauge(collector)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unyielding_bytes = 0
        async for part in self._stream:
            for piece in _pieces(part):
                yield self._gauge.stripped(piece)
                if not self._gauge.wants_more(piece):
                    return
                # What is there already is handed over without a wait: a server that sends faster than the SDK reads
                # would keep the loop from every other call, and from their deadlines.
                unyielding_bytes += len(piece)
                if unyielding_bytes >= _UNYIELDING_BYTES:
                    unyielding_bytes = 0
                    await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Release the connection."""
        if self._network_stream is not None and _surplus(self._stream):
            await self._network_stream.aclose()
        await self._stream.aclose()


def _surplus(stream: object) -> bool:
    """Return whether bytes follow an answer that has ended: httpcore2 would take them for the next one's beginning.

    It says so nowhere, which is why this looks inside it.
    """
    inside: Any = stream
    while inside is not None and not hasattr(inside, "trailing_data"):
        inside = next((getattr(inside, name) for name in _INSIDE if hasattr(inside, name)), None)
    return inside is not None and bool(inside.trailing_data[0])


def _pieces(part: bytes) -> Iterable[bytes]:
    """Return a part of a body in pieces of which none keeps the event loop for long."""
    if len(part) <= _UNYIELDING_BYTES:
        return (part,)
    return (part[place : place + _UNYIELDING_BYTES] for place in range(0, len(part), _UNYIELDING_BYTES))


def take_head(response: httpx2.Response, collector: Collector) -> None:
    """Note the answer's head.

    Raises:
        CallError: It announces a compressed body although none was asked for; unpacked it may have any size.
    """
    now_ns = time.perf_counter_ns()
    headers = response.headers
    collector.on_head(now_ns, response.status_code, headers.get("content-type", ""))
    if collector.reads_limits:
        collector.rate_limits = rate_limits_in(headers)
    check_encoding(headers.get("content-encoding", "identity"))
