"""One connection of the lean client on an event loop, and how it is made."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from bench.clients._lean_http import Reader
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._lean_exchange import Exchange

#: How long the end of a body may take after the stream's last event; then the connection is not used again.
_DRAIN_S: Final = 0.1


class ProtocolConnection(asyncio.Protocol):
    """A connection; it carries one request at a time.

    Args:
        among: The open connections: it is one of them until it is lost.

    Attributes:
        lost: Whether it is gone.
        idle_since_ns: When the last bytes came.
    """

    def __init__(self, among: set[ProtocolConnection]) -> None:
        self._among = among
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._exchange: Exchange | None = None
        self._over: asyncio.Future[None] | None = None
        self._drain: asyncio.TimerHandle | None = None
        self._drained = False
        self._gone: asyncio.Future[None] | None = None
        self.lost = False
        self.idle_since_ns = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if self.lost:
            self._transport.abort()  # given up before it was made
        else:
            self._among.add(self)

    def data_received(self, data: bytes) -> None:
        """Note when it came, then read it."""
        now_ns = time.perf_counter_ns()
        exchange = self._exchange
        if exchange is None:
            self._transport.abort()  # nobody asked for anything
            return
        self.idle_since_ns = now_ns
        if exchange.take(now_ns, data):
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self.lost = True
        self._among.discard(self)
        exchange = self._exchange
        if exchange is not None and not exchange.ended:
            exchange.lost(error)
            self._wake()
        if self._gone is not None:
            self._gone.set_result(None)

    # What the client calls.

    def ask(self, data: bytes, exchange: Exchange) -> asyncio.Future[None]:
        """Send a request; once the future is done, `over` tells whether the answer has ended."""
        exchange.begin(self._reader)
        self._exchange = exchange
        self._over = over = self._loop.create_future()
        self._transport.write(data)
        return over

    def over(self, exchange: Exchange) -> bool:
        """Return whether the answer has ended, however that came about."""
        exchange.catch_up()
        if exchange.ended or self._drained:
            return True
        if exchange.done and self._drain is None:
            # The end of the body gets a moment, or the connection could not be used again.
            self._drain = self._loop.call_later(_DRAIN_S, self._end_drain)
        return False

    def again(self) -> asyncio.Future[None]:
        """Wait on; as `ask`."""
        self._over = over = self._loop.create_future()
        return over

    def rest(self) -> bool:
        """End a call; return whether the connection can be used again, and close it if not."""
        exchange, self._exchange, self._over = self._exchange, None, None
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
            self._drained = False
        if exchange is not None and exchange.reusable and not self._transport.get_write_buffer_size():
            return not self.lost
        self._transport.abort()
        return False

    def look(self, now_ns: int) -> None:
        """End the call if its limit has passed."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.expired(now_ns) or exchange.ended or exchange.done:
            self._wake()

    def close(self) -> None:
        """Close the connection at once, whatever is under way."""
        self._transport.abort()

    def give_up(self) -> None:
        """Close a connection whose maker was cut short: uvloop may have made it, and does not tell its end then."""
        self.lost = True
        if self in self._among:
            self._among.discard(self)
            self._transport.abort()

    async def closed(self) -> None:
        """Close the connection and wait until it is."""
        self._transport.abort()
        if not self.lost:
            self._gone = self._loop.create_future()
            await self._gone

    def _end_drain(self) -> None:
        """Wait no longer for the end of the body."""
        self._drained = True
        self._wake()

    def _wake(self) -> None:
        """Tell the call that its answer has ended."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)


async def connected(
    host: str, port: int, ssl_context: ssl.SSLContext | None, among: set[ProtocolConnection]
) -> ProtocolConnection:
    """Resolve `host` and connect to the first of its addresses that takes it; the caller limits the time.

    Raises:
        CallError: It cannot be resolved (`dns`), no address takes it (`connect`), or it is not who it should be
            (`tls`).
    """
    loop = asyncio.get_running_loop()
    failure: Exception | None = None
    for address in await _addresses(loop, host, port):
        connection = ProtocolConnection(among)
        try:
            await loop.create_connection(
                partial(_itself, connection),
                address,
                port,
                ssl=ssl_context,
                server_hostname=None if ssl_context is None else host,
            )
        except ssl.SSLError as error:
            raise CallError("tls", f"no secure connection: {error}") from error
        except OSError as error:
            failure = error
        except asyncio.CancelledError:
            connection.give_up()
            raise
        else:
            return connection
    raise CallError("connect", f"no connection to {host}:{port}: {failure}") from failure


def _itself(connection: ProtocolConnection) -> ProtocolConnection:
    return connection


async def _addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[str]:
    """Return the addresses of `host`, without asking anybody where it is one."""
    try:
        found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise CallError("dns", f"{host} cannot be resolved: {error}") from error
    return [address[0] for *_, address in found]
