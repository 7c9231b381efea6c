"""HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from bench.service.http1 import HEAD_S
from bench.service.security import MAX_HEAD_BYTES

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from bench.config.service import ServiceConfig

_BACKLOG: Final = 2048

#: What of a request of HTTP/1.1 is read ahead; no less than twice a head.
_HTTP1_BUFFER_BYTES: Final = 65_536

#: How long until it is tried again whether a connection can be made.
_TRY_AGAIN_S: Final = 0.01

#: How often a silent client is asked whether it is there, and how long it may take to say so.
_PING_MS: Final = 15_000
_PONG_S: Final = 20


class Http2:
    """Answers connections of HTTP/2, and of HTTP/1.1 where a client knows no other.

    Args:
        config: The service's settings, with a certificate.
        app: What answers requests.
        listener: The socket whose address it takes over.
        most: Requests at the same time; further ones wait.
    """

    def __init__(self, config: ServiceConfig, app: ASGIApp, listener: socket.socket, most: int) -> None:
        self._host, self._port = listener.getsockname()[:2]
        # It opens a socket of its own at the address that was found to be free.
        listener.close()
        self._server = Server(
            app,
            address=self._host,
            port=self._port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.auto,
            websockets=False,
            backlog=_BACKLOG,
            backpressure=most,
            http1_settings=HTTP1Settings(header_read_timeout=int(HEAD_S * 1000), max_buffer_size=_HTTP1_BUFFER_BYTES),
            http2_settings=HTTP2Settings(
                keep_alive_interval=_PING_MS, keep_alive_timeout=_PONG_S, max_headers_size=MAX_HEAD_BYTES
            ),
            log_enabled=False,
            ssl_cert=config.tls_cert,
            ssl_key=config.tls_key,
            ssl_protocol_min=SSLProtocols.tls12,
        )

    async def serve(self) -> None:
        """Answer connections until `stop`."""
        await self._server.serve()

    async def opened(self) -> None:
        """Return once connections can be made; to be cancelled where `serve` has ended."""
        while True:
            try:
                _, writer = await asyncio.open_connection(self._host, self._port)
            except OSError:
                await asyncio.sleep(_TRY_AGAIN_S)
            else:
                writer.close()
                return

    def stop(self) -> None:
        """Accept no connection any more."""
        self._server.stop()  # type: ignore[no-untyped-call] # granian has no types there
