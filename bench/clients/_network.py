"""Sockets for calls in threads: no wait is longer than the call may take, and each ends when the call is cut short.

The SDK's timeouts are per read, so a server that sends a byte now and then outlives them. Here each connect, handshake,
write and read asks the call of its thread how much time is left, and leaves its socket where `cancel_all` finds it.
"""

from __future__ import annotations

import select
import ssl
from typing import TYPE_CHECKING, Any

import httpcore2

from bench.clients._dial import dial, secure

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from bench.clients._calls import Calls


class Connection(httpcore2.NetworkStream):
    """A socket that waits only as long as the call that uses it may. What the base class calls `timeout` is ignored."""

    def __init__(self, sock: socket.socket, calls: Calls) -> None:
        self._sock = sock
        self._calls = calls

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see the class
        """Return what has arrived, at most `max_bytes`; nothing at the connection's end."""
        call = self._calls.current()
        call.hold(self._sock)
        try:
            return self._sock.recv(max_bytes)
        except TimeoutError:
            raise call.timed_out() from None
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see the class
        """Send all of `buffer`."""
        call = self._calls.current()
        call.sending()
        view = memoryview(buffer)
        try:
            while view:
                call.hold(self._sock)
                view = view[self._sock.send(view) :]
        except TimeoutError:
            raise call.timed_out() from None
        except OSError as error:
            # httpcore2 reads on after this one, because a server may refuse a request before it has read all of it.
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the connection, from any thread."""
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - see the class
    ) -> httpcore2.NetworkStream:
        """Shake hands, within what is left of the time to connect."""
        self._sock = secure(self._sock, ssl_context, server_hostname, self._calls.current())
        return self

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the base class's signature
        """Answer what the pool asks: whether a server has closed an idle connection, and TLS's state."""
        if info == "is_readable":
            if self._sock.fileno() < 0:
                return True
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return bool(poll.poll(0))
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        return None


class Network(httpcore2.NetworkBackend):
    """Makes the connections of calls in threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the call's own limit rules
        local_address: str | None = None,  # noqa: ARG002 - never asked for
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - never asked for
    ) -> httpcore2.NetworkStream:
        """Resolve `host` and connect to the first of its addresses that takes it.

        Raises:
            CallError: It cannot be resolved (`dns`), no address takes it (`connect`), it takes too long, or the call
                was cut short.
        """
        return Connection(dial(host, port, self._calls.current()), self._calls)
