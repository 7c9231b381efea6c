"""HTTP/1.1, with or without TLS: what is slow, endless or malformed is cut off before it costs anything."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bench.service.problems import Problem
from bench.service.security import MAX_HEAD_BYTES

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from bench.config.service import ServiceConfig

#: How long the head of a request may take, in seconds.
HEAD_S: Final = 10.0


#: How long connections may go on once the service is to end, in seconds: every task has ended by then.
CLOSE_S: Final = 4


class BoundedProtocol(HttpToolsProtocol):
    """The server's own protocol with a bound on what a client may send and how long it may take.

    Attributes:
        head_s: How long a head may take from the connection's beginning or its own first byte, in seconds.
        stalled_s: How long a client may take nothing of what is there for it; a reader on a bad line takes something
            now and then.
    """

    head_s: ClassVar[float] = HEAD_S
    stalled_s: ClassVar[float] = 30.0
    _head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._head = self.loop.call_later(self.head_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._end_head()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came, unless it makes a head that is too large."""
        if self._head is None and not self._is_answering:
            self._head = self.loop.call_later(self.head_s, self.transport.abort)
        super().data_received(data)
        if self._head is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        """End the wait for a head."""
        self._end_head()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Cut off the client if it goes on to take nothing."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes what is there for it."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    @property
    def _is_answering(self) -> bool:
        """Whether a request is being worked on."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _end_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
        self._head_bytes = 0

    def _refuse_head(self) -> None:
        self._end_head()
        problem = Problem(431, f"address and headers may have {MAX_HEAD_BYTES} bytes").response(close=True)
        lines = [b"%s: %s" % header for header in problem.raw_headers]
        head = b"\r\n".join([b"HTTP/1.1 431 Request Header Fields Too Large", *lines, b"", b""])
        self.transport.write(head + bytes(problem.body))
        self.transport.close()


class Http1(uvicorn.Server):
    """Answers connections of HTTP/1.1.

    Args:
        config: The service's settings.
        app: What answers requests.
        listener: The socket at which clients connect; closed at the end.
        most: Connections at the same time; requests on further ones are refused.
        protocol: What bounds each of them.
    """

    def __init__(
        self,
        config: ServiceConfig,
        app: ASGIApp,
        listener: socket.socket,
        most: int,
        protocol: type[BoundedProtocol] = BoundedProtocol,
    ) -> None:
        self._listener = listener
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                # Whoever asks could name any address as its own.
                proxy_headers=False,
                server_header=False,
                limit_concurrency=most,
                timeout_graceful_shutdown=CLOSE_S,
                ssl_certfile=config.tls_cert,
                ssl_keyfile=config.tls_key,
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer connections until `stop`."""
        await super().serve(sockets or [self._listener])

    async def opened(self) -> None:
        """Return at once: the listener takes connections already."""

    def stop(self) -> None:
        """Accept no connection any more."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command."""
        yield
