"""One connection of the lean client in threads: a blocking socket whose every wait ends with the call's limit."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Final

from bench.clients._dial import dial, secure
from bench.clients._lean_http import Reader
from bench.errors import CallError

if TYPE_CHECKING:
    import socket
    import ssl

    from bench.clients._calls import Call
    from bench.clients._lean_exchange import Exchange

#: Most bytes taken at once: a whole short answer, or what has gathered meanwhile of a long one.
_READ_BYTES: Final = 64 * 1024


class SocketConnection:
    """A connection; each of its calls uses it from one thread.

    Attributes:
        idle_since_ns: When its last call ended.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = Reader()
        # Not a selector: it would keep a file of its own open for each connection.
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.idle_since_ns = 0

    @classmethod
    def made(cls, host: str, port: int, ssl_context: ssl.SSLContext | None, call: Call) -> SocketConnection:
        """Connect.

        Raises:
            CallError: No connection could be made in time, or the call was cut short.
        """
        sock = dial(host, port, call)
        return cls(sock if ssl_context is None else secure(sock, ssl_context, host, call))

    @property
    def stale(self) -> bool:
        """Whether the server has closed the idle connection, or sent what nobody asked for."""
        return bool(self._poll.poll(0))

    def converse(self, data: bytes, call: Call, exchange: Exchange) -> None:
        """Send a request and feed its answer to the exchange, to the end of either.

        Raises:
            CallError: A limit was reached, or the call was cut short.
        """
        exchange.begin(self._reader)
        call.sending()
        broken = self._send(data, call)
        while not exchange.ended:
            try:
                part = self._receive(call, exchange)
            except OSError as error:
                exchange.lost(broken or error)
                return
            if part is None:
                return
            if part:
                if exchange.take(time.perf_counter_ns(), part):
                    exchange.catch_up()
            else:
                exchange.lost(broken)
        if exchange.reusable and broken is not None:
            self._reader.keep_alive = False

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _send(self, data: bytes, call: Call) -> OSError | None:
        """Send a request; return what broke: a server may have refused it before it had read all of it."""
        view = memoryview(data)
        try:
            while view:
                call.hold(self._sock)
                view = view[self._sock.send(view) :]
        except TimeoutError:
            raise call.timed_out() from None
        except OSError as error:
            return error
        return None

    def _receive(self, call: Call, exchange: Exchange) -> bytes | None:
        """Return what has arrived, nothing at the connection's end, None when the end of the body is late.

        Raises:
            CallError: A limit was reached, or the call was cut short.
            OSError: The connection broke.
        """
        while True:
            draining = exchange.done
            if draining:
                call.draining()
            try:
                call.hold(self._sock, exchange.collector.blind_s)
                return self._sock.recv(_READ_BYTES)
            except TimeoutError:
                # `hold` says which limit it was, if it is one once all that has come was looked at.
                exchange.catch_up()
                if exchange.ended:
                    return None
            except CallError:
                if not draining and (call.cancelled or exchange.expired(time.perf_counter_ns())):
                    raise
                # Else what waited to be parsed held a token that puts the limit off, or the stream's last event.
                if draining or exchange.ended:
                    return None
