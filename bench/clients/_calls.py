"""The calls under way in threads: how much time each has left, and how another thread cuts them all short."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from bench.clock import NS_PER_S
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._collect import Collector

#: How long the end of a stream may take after its last event; then its connection is dropped instead of reused.
_DRAIN_NS: Final = NS_PER_S // 4

#: What a name resolves to, as `socket.getaddrinfo` has it; or why it does not; or None when the call was cut short.
Lookup = list[tuple[Any, ...]] | OSError | None


class Call:
    """One call under way in a thread.

    `cancel` may be called from any thread, the rest only from the call's own.

    Args:
        collector: Knows the call's time limits.
        connect_s: Longest time to connect, in seconds.
    """

    __slots__ = (
        "_connect_due_ns",
        "_connect_s",
        "_connect_started_ns",
        "_drain_due_ns",
        "_lookup",
        "_sock",
        "cancelled",
        "collector",
        "connect_ns",
    )

    def __init__(self, collector: Collector, connect_s: float) -> None:
        self.collector = collector
        self.cancelled = False
        self.connect_ns: int | None = None
        self._connect_s = connect_s
        self._connect_started_ns = 0
        self._connect_due_ns: int | None = None
        self._drain_due_ns: int | None = None
        self._lookup: queue.SimpleQueue[Lookup] | None = None
        self._sock: socket.socket | None = None

    def cancel(self) -> None:
        """Cut the call short: whatever it waits for ends at once."""
        self.cancelled = True
        if (lookup := self._lookup) is not None:
            lookup.put(None)
        if (sock := self._sock) is not None:
            # Not the method of a TLS socket, which would drop its state under the thread that reads from it.
            with contextlib.suppress(OSError):  # closed already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def left_s(self) -> float:
        """Return the time left for the present step, in seconds.

        Raises:
            CallError: None is left, or the call was cut short.
        """
        if self.cancelled:
            raise CallError("cancelled", "given up because the run was cancelled")
        due_ns = self.collector.limit()[0]
        if self._connect_due_ns is not None:
            due_ns = min(due_ns, self._connect_due_ns)
        if self._drain_due_ns is not None:
            due_ns = min(due_ns, self._drain_due_ns)
        left_ns = due_ns - time.perf_counter_ns()
        if left_ns <= 0:
            raise self.timed_out()
        return left_ns / NS_PER_S

    def hold(self, sock: socket.socket, at_most_s: float = float("inf")) -> None:
        """Let `sock` wait no longer than the time left, nor than `at_most_s`, and leave it where `cancel` finds it.

        Raises:
            CallError: No time is left, or the call was cut short.
        """
        # Left before `cancelled` is looked at: of two threads, the one that comes second sees what the first one did.
        self._sock = sock
        sock.settimeout(min(self.left_s(), at_most_s))

    def wait_for(self, lookup: queue.SimpleQueue[Lookup]) -> Lookup:
        """Wait for a name's addresses, no longer than the time left.

        Raises:
            CallError: No time is left, or the call was cut short.
        """
        self._lookup = lookup
        try:
            return lookup.get(timeout=self.left_s())
        except queue.Empty:
            raise self.timed_out() from None
        finally:
            self._lookup = None

    def timed_out(self) -> CallError:
        """Return the error of a call whose present step took too long."""
        due_ns = self._connect_due_ns
        if due_ns is not None and due_ns < self.collector.limit()[0]:
            return CallError("timeout_connect", f"no connection within {self._connect_s:g} s")
        return self.collector.timed_out()

    def connecting(self) -> None:
        """Begin the step that makes a connection, which ends with the first byte sent."""
        self._connect_started_ns = time.perf_counter_ns()
        self._connect_due_ns = self._connect_started_ns + int(self._connect_s * NS_PER_S)

    def connected(self) -> None:
        """Note how long the connection took so far: to TCP's handshake, then to TLS's."""
        self.connect_ns = time.perf_counter_ns() - self._connect_started_ns

    def sending(self) -> None:
        """Begin the step that sends the request and awaits the answer."""
        self._connect_due_ns = None

    def draining(self) -> None:
        """Begin the step that reads what follows a stream's last event; a second call does nothing."""
        if self._drain_due_ns is None:
            self._drain_due_ns = time.perf_counter_ns() + _DRAIN_NS


class Calls:
    """The calls under way, one a thread. All methods may be called from any thread."""

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._lock = threading.Lock()
        self._by_thread: dict[int, Call] = {}
        self._cancelled = False

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Calls {len(self._by_thread)} under way{', cancelled' if self._cancelled else ''}>"

    def begin(self, collector: Collector) -> Call:
        """Open the call of this thread; one that comes after `cancel_all` is cut short from the start."""
        call = Call(collector, self._connect_s)
        with self._lock:
            call.cancelled = self._cancelled
            self._by_thread[threading.get_ident()] = call
        return call

    def end(self) -> None:
        """Close the call of this thread."""
        with self._lock:
            del self._by_thread[threading.get_ident()]

    def current(self) -> Call:
        """Return the call of this thread."""
        return self._by_thread[threading.get_ident()]

    def cancel_all(self) -> None:
        """Cut short all calls under way, and all that come."""
        with self._lock:
            self._cancelled = True
            for call in self._by_thread.values():
                call.cancel()
