"""One chat completion request on its way through the simulator, and what became of it so far."""

import time
from typing import Protocol

import msgspec

from bench.simulator.scripts import IDENTITY
from bench.simulator.stats import Outcome


class Wire(Protocol):
    """The connection that an answer goes to, for as long as it is that answer's turn."""

    def send(self, data: bytes) -> None:
        """Hand bytes to the socket; after the connection was lost, do nothing."""

    def complete(self, outcome: Outcome) -> None:
        """End the answer once all its bytes are handed over."""

    def reset(self) -> None:
        """Break the connection off, with what the network calls a reset."""


class Exchange(msgspec.Struct, kw_only=True):
    """A request, its connection, and the notes that statistics and the log are made of.

    Times are `perf_counter_ns`, on Linux the same clock in every process of the machine.

    Attributes:
        wire: Where the answer goes.
        seq: Number of the request in the order of reading, from 0.
        connection: Number of its connection in the order of accepting, from 1.
        keep_alive: Whether the connection stays open after the answer.
        received_ns: When its last byte was read, or when the answer before it on its connection was complete.
        placed_ns: When it got one of the server's places; None before, and where the server's capacity has no bound.
        digest: First 16 hex digits of the SHA-256 of the last user message; None when the request could not be read.
        stream: Whether a stream was asked for.
        in_flight: Whether it counts as in flight now.
        http_status: Status of the answer.
        retry_after_s: Value of the Retry-After header; None without one.
        first_sent_ns: When the answer's first byte was handed to the socket; None when none was.
        finished_ns: When the last byte was, or when the connection was lost; None before.
        outcome: How it ended; before that, how it would end if the connection were lost now.
    """

    wire: Wire
    seq: int
    connection: int
    keep_alive: bool
    received_ns: int
    placed_ns: int | None = None
    digest: str | None = None
    stream: bool = False
    in_flight: bool = False
    http_status: int = 200
    retry_after_s: float | None = None
    first_sent_ns: int | None = None
    finished_ns: int | None = None
    outcome: Outcome = "client_gone"

    @property
    def begun_ns(self) -> int:
        """When work on it began: its waits count from here."""
        return self.received_ns if self.placed_ns is None else self.placed_ns

    def stamp(self) -> bytes:
        """Return what makes the answer's chunks its own; `created` is the time of this call."""
        return IDENTITY % (self.seq, int(time.time()))

    def end(self, outcome: Outcome) -> None:
        """Bring an ending about, after everything that is to be sent was sent."""
        if outcome == "cut":
            self.wire.reset()
        elif outcome == "stalled":
            self.outcome = "stalled"
        else:
            self.wire.complete(outcome)
