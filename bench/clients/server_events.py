"""Server-sent events, from bytes as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class ServerEvents:
    """Collects the fields of events whose lines end with LF or CRLF and whose data is one line."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[bytes, bytes] = {}

    def take(self, data: bytes) -> Iterator[dict[bytes, bytes]]:
        """Yield the fields of each event that is whole; a comment is a sign of life and nothing else."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            name, _, value = line.removesuffix(b"\r").partition(b":")
            if name:
                self._fields[name] = value.removeprefix(b" ")
            elif b"data" in self._fields and not value:
                yield self._fields
                self._fields = {}
