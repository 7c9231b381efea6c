"""The transport below the SDK's client for threads, and bodies that end before they fill the memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpcore2
import httpx2

from bench.clients._limits import KEEP_ALIVE_S, check_encoding, check_size
from bench.clients._network import Network
from bench.errors import CallError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from bench.clients._calls import Call, Calls
    from bench.clients._collect import Collector


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
        size_bytes = 0
        for part in self._parts:
            size_bytes += len(part)
            check_size(size_bytes)
            yield part
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
            self._answer.close()


class AsyncBody(httpx2.AsyncByteStream):
    """The body of an answer, on an event loop."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._size_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._size_bytes += len(part)
            check_size(self._size_bytes)
            yield part

    async def aclose(self) -> None:
        """Release the connection."""
        await self._stream.aclose()


def take_head(response: httpx2.Response, collector: Collector) -> None:
    """Note the answer's head.

    Raises:
        CallError: It announces a compressed body although none was asked for; unpacked it may have any size.
    """
    now_ns = time.perf_counter_ns()
    headers = response.headers
    collector.on_head(now_ns, response.status_code, headers.get("content-type", ""))
    check_encoding(headers.get("content-encoding", "identity"))
