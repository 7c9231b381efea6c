"""Sockets for calls in threads: no wait is longer than the call may take, and each ends when the call is cut short.

The SDK's timeouts are per read, so a server that sends a byte now and then outlives them. Here each connect, handshake,
write and read asks the call of its thread how much time is left, and leaves its socket where `cancel_all` finds it.
"""

from __future__ import annotations

import queue
import select
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import httpcore2

from bench.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.clients._calls import Call, Calls, Lookup


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
        call = self._calls.current()
        try:
            sock = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname, do_handshake_on_connect=False)
            self._sock = sock
            call.hold(sock)
            sock.do_handshake()
        except TimeoutError:
            self._sock.close()
            raise call.timed_out() from None
        except ssl.SSLError as error:
            self._sock.close()
            raise CallError("tls", f"no secure connection: {error}") from error
        except OSError as error:
            self._sock.close()
            raise CallError("connect", f"the connection broke while it was being secured: {error}") from error
        call.connected()
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
        call = self._calls.current()
        call.connecting()
        sock = _dial(_resolved(host, port, call), f"{host}:{port}", call)
        call.connected()
        return Connection(sock, self._calls)


def _resolved(host: str, port: int, call: Call) -> list[tuple[Any, ...]]:
    """Return the addresses of `host`, looked up in a thread of their own: a lookup can be left, but not interrupted."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        lookup: queue.SimpleQueue[Lookup] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(host, port, lookup), name="lookup", daemon=True).start()
    found = call.wait_for(lookup)
    if isinstance(found, list):
        return found
    call.left_s()  # raises if the call was cut short
    raise CallError("dns", f"{host} cannot be resolved: {found}") from found


def _look_up(host: str, port: int, lookup: queue.SimpleQueue[Lookup]) -> None:
    """Put the addresses of `host`, or why there are none, into `lookup`."""
    try:
        lookup.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        lookup.put(error if isinstance(error, OSError) else OSError(str(error)))


def _dial(addresses: list[tuple[Any, ...]], place: str, call: Call) -> socket.socket:
    """Connect to the first address that takes it; those that remain share the time that remains."""
    failure: OSError | None = None
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, protocol)
            call.hold(sock)
            sock.settimeout(call.left_s() / (len(addresses) - tried))
            sock.connect(address)
            call.left_s()  # a socket that `cancel` shut down while it was connecting looks connected
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            failure = error
            _close(sock)
        except BaseException:
            _close(sock)
            raise
        else:
            return sock
    if isinstance(failure, TimeoutError):
        raise call.timed_out() from None
    raise CallError("connect", f"no connection to {place}: {failure}") from failure


def _close(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()
