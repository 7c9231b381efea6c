"""Sockets of calls in threads: name, connection and handshake, each within the time that the call has left."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._calls import Call, Lookup


def dial(host: str, port: int, call: Call) -> socket.socket:
    """Resolve `host` and connect to the first of its addresses that takes it.

    Raises:
        CallError: It cannot be resolved (`dns`), no address takes it (`connect`), it takes too long, or the call was
            cut short.
    """
    call.connecting()
    sock = _connected(_resolved(host, port, call), f"{host}:{port}", call)
    call.connected()
    return sock


def secure(sock: socket.socket, ssl_context: ssl.SSLContext, host: str | None, call: Call) -> ssl.SSLSocket:
    """Shake hands over a new connection, within what is left of the time to connect; closes it where that fails.

    Raises:
        CallError: The server is not who it should be (`tls`), the connection broke (`connect`), it takes too long, or
            the call was cut short.
    """
    try:
        wrapped = ssl_context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        sock = wrapped
        call.hold(wrapped)
        wrapped.do_handshake()
    except TimeoutError:
        sock.close()
        raise call.timed_out() from None
    except ssl.SSLError as error:
        sock.close()
        raise CallError("tls", f"no secure connection: {error}") from error
    except OSError as error:
        sock.close()
        raise CallError("connect", f"the connection broke while it was being secured: {error}") from error
    except CallError:
        sock.close()
        raise
    call.connected()
    return wrapped


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


def _connected(addresses: list[tuple[Any, ...]], place: str, call: Call) -> socket.socket:
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
