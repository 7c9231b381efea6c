"""One JSON line for each request that ended, for comparing with what a client wrote down."""

import os
from typing import Self

import msgspec

from bench.simulator.exchange import Exchange
from bench.simulator.stats import Outcome


class LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the log says of one request; the fields are those of `Exchange`."""

    seq: int
    connection: int
    digest: str | None
    stream: bool
    outcome: Outcome
    http_status: int
    retry_after_s: float | None
    received_ns: int
    first_sent_ns: int | None
    finished_ns: int | None


class RequestLog:
    """A file that gets one line per request, each by one write: what was written survives any end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._encoder = msgspec.json.Encoder()

    @classmethod
    def opened(cls, path: str) -> Self:
        """Open a file to append to.

        Raises:
            OSError: The file cannot be opened.
        """
        return cls(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))

    def write(self, exchange: Exchange) -> None:
        """Append one line."""
        line = msgspec.convert(exchange, LogLine, from_attributes=True)
        os.write(self._fd, self._encoder.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
