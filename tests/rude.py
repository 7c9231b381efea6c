"""Clients that keep a server busy with what is no request: too slow, too large, malformed, or never reading."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

#: How long one that drips waits before its next byte.
_DRIP_S: Final = 0.25

#: Answers that are not read are kept by the system up to some megabytes: as many as are more than that.
_ANSWERS: Final = 400

_HEAD: Final = b"POST /chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_GET: Final = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Rude(NamedTuple):
    """One kind of such clients.

    Attributes:
        sends: What is sent at once.
        drips: What is sent after that, again and again, a piece in a while; nothing where it is empty.
        floods: The same without a pause.
        reads: Whether it takes what is answered.
        statuses: What it may be answered; None for a connection that is closed without a word.
        within_s: How long the service may leave it its connection.
    """

    sends: bytes = b""
    drips: bytes = b""
    floods: bytes = b""
    reads: bool = True
    statuses: tuple[int | None, ...] = (400,)
    within_s: float = 0.0


#: They are cut off by a clock: of the head, of the body, or of what is not taken.
SLOW: Final = {
    "says nothing": Rude(statuses=(None,), within_s=10),
    "a head that drips": Rude(b"GET / HTTP/1.1\r\nx: ", drips=b"a", statuses=(None,), within_s=10),
    "a body that drips": Rude(_HEAD + b"Content-Length: 1000\r\n\r\n{", drips=b" ", statuses=(408,), within_s=11),
    "a body that does not come": Rude(_HEAD + b"Content-Length: 9\r\n\r\n", statuses=(408,), within_s=11),
    "takes nothing": Rude(_GET * _ANSWERS, drips=_GET, reads=False, statuses=(None,), within_s=30),
}

#: Who goes on sending may lose the answer: the system throws it away as the connection is reset.
_LARGE_HEAD: Final = (431, None)

#: They are refused as soon as it is seen what they are.
WRONG: Final = {
    "a head without end": Rude(b"GET / HTTP/1.1\r\n", floods=b"x: " + b"a" * 4000 + b"\r\n", statuses=_LARGE_HEAD),
    "an address without end": Rude(b"GET /", floods=b"a" * 4000, statuses=_LARGE_HEAD),
    "a body that is announced as large": Rude(_HEAD + b"Content-Length: 99999999\r\n\r\n", statuses=(413,), within_s=1),
    "chunks without end": Rude(
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n", floods=b"1000\r\n" + b"a" * 4096 + b"\r\n", statuses=(413, None)
    ),
    "chunks of no size": Rude(_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "chunks of a negative size": Rude(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"),
    "chunks of a size beyond all numbers": Rude(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n"),
    "two lengths": Rude(_HEAD + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}"),
    "a length and chunks": Rude(_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "no request line": Rude(b"hello\r\n\r\n"),
    "no version": Rude(b"GET / HTTP/x.y\r\n\r\n"),
    "a header without a name": Rude(b"GET / HTTP/1.1\r\n: x\r\n\r\n"),
    "NULs": Rude(b"\x00" * 1000),
    "a NUL in a header": Rude(b"GET / HTTP/1.1\r\nx: \x00\r\n\r\n"),
    "HTTP/2": Rude(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    "TLS": Rude(bytes.fromhex("16030100c8010000c40303") + b"\x00" * 189),
}


class Cut(NamedTuple):
    """How the connection of such a client ended.

    Attributes:
        name: Of its kind.
        status: What was answered; None where nothing was.
        after_s: How long it had its connection.
    """

    name: str
    status: int | None
    after_s: float


async def cut_off(url: str, name: str, rude: Rude) -> Cut:
    """Be such a client until the server has had enough."""
    sock = socket.socket()
    if not rude.reads:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)  # noqa: FBT003 - the library's own
    parts = urlsplit(url)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    begun_ns = time.perf_counter_ns()
    # The smallest limit: one that does not read leaves all to the system.
    reader, writer = await asyncio.open_connection(sock=sock, limit=65_536 if rude.reads else 1)
    sending = asyncio.ensure_future(_send(writer, rude))
    try:
        answer = await _read(reader) if rude.reads else b""
        if not rude.reads:
            await sending
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        writer.transport.abort()
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None
    return Cut(name, status, (time.perf_counter_ns() - begun_ns) / 1e9)


async def _send(writer: asyncio.StreamWriter, rude: Rude) -> None:
    """Send what there is to send, until that fails."""
    pieces: Iterable[bytes] = itertools.repeat(rude.drips or rude.floods) if rude.drips or rude.floods else ()
    with contextlib.suppress(ConnectionError):
        for piece in itertools.chain((rude.sends,), pieces):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(_DRIP_S if rude.drips else 0)


async def _read(reader: asyncio.StreamReader) -> bytes:
    read = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            read += part
    return bytes(read)
