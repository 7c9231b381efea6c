"""A raw server on 127.0.0.1 whose answers a test gives byte by byte, faults included; it counts what clients do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import weakref
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    Script = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request that arrived, and the means to answer it.

    Attributes:
        number: How many requests the server had seen before this one.
        connection: How many connections the server had accepted before this request's.
        headers: The request's headers, by lower-case name.
        body: The request's body, as it came.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, connection: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        line, *fields = head.decode("latin-1").rstrip().split("\r\n")
        self.target = line.split(" ")[1]
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
        self.connection = connection
        self.number = 0
        self.body = b""

    @property
    def json(self) -> dict[str, object]:
        """The request's body, decoded."""
        decoded: dict[str, object] = json.loads(self.body)
        return decoded

    @property
    def closing(self) -> bool:
        """Whether the connection is about to end, or has."""
        return self._writer.is_closing()

    async def send(self, *pieces: bytes) -> None:
        """Send each piece in a segment of its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.02)  # or the kernel may join it to the next one

    def close(self) -> None:
        """End the connection in order."""
        self._writer.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass


class FaultServer:
    """Serves in a thread of its own, from `with` to its end.

    Attributes:
        exchanges: The requests that came, in order.
        connections: How many connections were accepted.
        most_connections: How many were open at once, at most.
        most_in_flight: How many requests were being answered at once, at most.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="faultserver", daemon=True)
        self._ready = threading.Event()
        self._writers: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
        self._transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()
        self._port = 0
        self.exchanges: list[Exchange] = []
        self.connections = self.open_connections = self.most_connections = 0
        self.in_flight = self.most_in_flight = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def base_url(self) -> str:
        """The address to give a client."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._port}/v1"

    def wait_until(self, condition: Callable[[FaultServer], bool], within_s: float = 5.0) -> bool:
        """Wait until the server's counts fulfil `condition`; return whether they do."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), within_s)

    def hang_up_idle(self) -> None:
        """Close every connection, as a server does with those that were idle for too long; return when clients know."""

        async def close() -> None:
            conversations = dict(self._writers)
            await self._end_conversations()
            await asyncio.gather(*(writer.wait_closed() for writer in conversations.values()), return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0, backlog=1024, ssl=self._tls)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for transport in list(self._transports):
            transport.abort()  # what a client has not read will never be read
        await self._end_conversations()

    async def _end_conversations(self) -> None:
        tasks = [task for task in self._writers if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._writers[task] = writer
        self._transports.add(writer.transport)
        connection = self.connections
        self._count("connections", 1)
        self._count("open_connections", 1)
        try:
            while await self._one(reader, writer, connection) and not writer.is_closing():
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has had enough, or the test has
        finally:
            writer.close()
            self._count("open_connections", -1)
            del self._writers[task]

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        """Take one request and let the script answer it; return False at the connection's end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        exchange = Exchange(reader, writer, head, connection)
        exchange.body = await reader.readexactly(int(exchange.headers.get("content-length", "0")))
        exchange.number = len(self.exchanges)
        self.exchanges.append(exchange)
        self._count("in_flight", 1)
        try:
            await self._script(exchange)
        finally:
            self._count("in_flight", -1)
        return True

    def _count(self, name: str, step: int) -> None:
        with self._changed:
            setattr(self, name, getattr(self, name) + step)
            self.most_connections = max(self.most_connections, self.open_connections)
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self._changed.notify_all()
