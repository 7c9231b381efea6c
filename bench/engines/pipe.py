"""What a worker process and its parent say to each other, and how messages are told apart on a pair of sockets.

A message is four bytes with the length of the rest, one byte that says what it is, and its content. Several tasks or
results that are there at once go in one message, and one read may bring many messages.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

from bench.worker import Assignment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: To the worker: tasks, each with the slot that is to do it.
ASSIGN: Final = b"a"
DRAIN: Final = b"d"
CANCEL: Final = b"c"
#: To the worker: there is nothing left to do.
END: Final = b"e"
#: From the worker: its slots stand ready.
READY: Final = b"r"
LOG: Final = b"l"
#: From the worker: results as JSON, each with its slot.
RESULT: Final = b"t"
#: From the worker: what its client added to a canary, in seconds.
CANARY: Final = b"k"
#: From the worker, as its last: its CPU seconds.
CPU: Final = b"u"

#: What one read takes at most. A buffer above 128 KiB would be asked of the system and given back for each read.
READ_BYTES: Final = 1 << 16

_LENGTH: Final = struct.Struct("<I")

Given = list[tuple[int, Assignment]]
Done = list[tuple[int, bytes]]

_packer: Final = msgspec.msgpack.Encoder()
_given: Final = msgspec.msgpack.Decoder(Given)
_done: Final = msgspec.msgpack.Decoder(Done)


def framed(kind: bytes, content: bytes = b"") -> bytes:
    """Return a message as it goes over the pipe."""
    return b"".join((_LENGTH.pack(len(kind) + len(content)), kind, content))


def pack_given(given: Sequence[tuple[int, Assignment]]) -> bytes:
    """Return the content of an ASSIGN message: slots and their tasks."""
    return _packer.encode(given)


def unpack_given(content: bytes) -> Given:
    """Return what `pack_given` packed."""
    return _given.decode(content)


def pack_done(done: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the content of a RESULT message: slots and their encoded results."""
    return _packer.encode(done)


def unpack_done(content: bytes) -> Done:
    """Return what `pack_done` packed."""
    return _done.decode(content)


class Unframer:
    """Puts what reads bring together to whole messages; one for each pipe and direction."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._wanted_bytes = _LENGTH.size

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield kind and content of each message that `data` completes; to be exhausted before the next call."""
        self._parts.append(data)
        self._held_bytes += len(data)
        if self._held_bytes < self._wanted_bytes:
            return
        held = data if len(self._parts) == 1 else b"".join(self._parts)
        at = 0
        while True:
            self._wanted_bytes = _LENGTH.size
            if len(held) - at >= _LENGTH.size:
                self._wanted_bytes += _LENGTH.unpack_from(held, at)[0]
            if len(held) - at < self._wanted_bytes:
                break
            begin, at = at + _LENGTH.size, at + self._wanted_bytes
            yield held[begin : begin + 1], held[begin + 1 : at]
        self._parts = [held[at:]]
        self._held_bytes = len(held) - at
