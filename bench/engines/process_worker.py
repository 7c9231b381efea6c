"""A worker process of modes `multiprocessing` and `hybrid`: some of the run's slots, at the end of a pipe.

With blocking calls it has one slot; on an event loop as many as it is given. `pipe.py` has the messages. A pipe that
closes ends the process at once, whatever it does, so that it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING, Final, cast

import msgspec
import uvloop

from bench.clients.routed import sync_client_for
from bench.clock import MonotonicClock
from bench.engines import pipe
from bench.engines._garbage import few_collections
from bench.engines.canary import canary_in_thread, canary_on_loop
from bench.engines.loop_slots import LoopSlots
from bench.logcontext import logging_to_parent
from bench.records import WorkerId
from bench.stop import StopSignal
from bench.worker import Assignment, TaskWorker

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from bench.clients._base import SyncClient
    from bench.worker import WorkerSpec

#: How a worker ends whose parent is gone.
EXIT_ORPHANED: Final = 3


@few_collections()
def serve_blocking(connection: socket.socket, spec: WorkerSpec, slots: range, log_level: int) -> None:
    """Do the tasks that come through the pipe, one at a time, until told to end; `slots` is one slot."""
    _leave_signals_to_parent()
    channel = _Channel(connection)
    with logging_to_parent(lambda record: channel.send(pipe.LOG, record), level=log_level, secrets=spec.secrets):
        _do_tasks(channel, spec, slots[0])
    channel.send(pipe.CPU, _cpu_s())


@few_collections()
def serve_on_loop(connection: socket.socket, spec: WorkerSpec, slots: range, log_level: int) -> None:
    """Do the tasks that come through the pipe on one event loop, one for each slot at a time, until told to end."""
    _leave_signals_to_parent()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_loop(connection, spec, slots, log_level))


def _leave_signals_to_parent() -> None:
    # Ctrl+C goes to the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _cpu_s() -> bytes:
    return repr(time.process_time()).encode()


class _Channel:
    """The worker's end of the pipe, shared by its threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._unframer = pipe.Unframer()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send a message whole; where the parent is gone, end the process."""
        try:
            with self._lock:
                self._connection.sendall(pipe.framed(kind, content))
        except OSError:
            os._exit(EXIT_ORPHANED)

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Wait for message after message; where the parent is gone, end the process."""
        while True:
            try:
                data = self._connection.recv(pipe.READ_BYTES)
            except OSError:
                data = b""
            if not data:
                os._exit(EXIT_ORPHANED)
            yield from self._unframer.feed(data)


def _do_tasks(channel: _Channel, spec: WorkerSpec, slot: int) -> None:
    client = sync_client_for(spec.client, spec.endpoints)
    stop = StopSignal()
    inbox: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, inbox, stop, client), name="listener", daemon=True).start()
    channel.send(pipe.READY)
    worker = TaskWorker(spec, MonotonicClock(), stop)
    who = WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=slot)
    encoder = msgspec.json.Encoder()
    with canary_in_thread(spec, MonotonicClock(), lambda added_s: channel.send(pipe.CANARY, repr(added_s).encode())):
        while (assignment := inbox.get()) is not None:
            line = encoder.encode(worker.run(assignment, client, who))
            channel.send(pipe.RESULT, pipe.pack_done([(slot, line)]))
    client.close()


def _listen(
    channel: _Channel, inbox: queue.SimpleQueue[Assignment | None], stop: StopSignal, client: SyncClient
) -> None:
    """Pass on what the parent sends, while the slot's thread may be busy with a task."""
    for kind, content in channel.messages():
        match kind:
            case pipe.ASSIGN:
                for _, assignment in pipe.unpack_given(content):
                    inbox.put(assignment)
            case pipe.DRAIN:
                stop.drain()
            case pipe.CANCEL:
                stop.cancel()
                client.cancel_all()
            case _:
                inbox.put(None)
                return


async def _serve_loop(connection: socket.socket, spec: WorkerSpec, slots: range, log_level: int) -> None:
    del slots  # each message names its own
    loop = asyncio.get_running_loop()
    end = _LoopEnd(spec)
    await loop.create_unix_connection(lambda: end, sock=connection)

    def send_log(record: bytes) -> None:
        # From any thread; after the end there is nobody left to send to.
        if not loop.is_closed():
            loop.call_soon_threadsafe(end.send, pipe.LOG, record)

    with logging_to_parent(send_log, level=log_level, secrets=spec.secrets):
        await end.run()
    await end.close()


class _LoopEnd(asyncio.Protocol):
    """The end of the pipe in a process that has an event loop. Everything happens on the loop."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._slots = LoopSlots(spec, self._send_done, self._on_bug)
        self._unframer = pipe.Unframer()
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()

    async def run(self) -> None:
        """Say that all slots are ready, and return when the parent has nothing left to do."""
        self.send(pipe.READY)
        async with canary_on_loop(
            self._spec, MonotonicClock(), lambda added_s: self.send(pipe.CANARY, repr(added_s).encode())
        ):
            await self._ended
        await self._slots.aclose()

    async def close(self) -> None:
        """Hand in the CPU time and close the pipe once everything is sent."""
        self.send(pipe.CPU, _cpu_s())
        self._transport.close()
        await self._closed

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send a message without waiting for the parent to read it."""
        self._transport.write(pipe.framed(kind, content))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End; where that was not agreed upon, end the process, because the parent is gone."""
        del error
        if not self._ended.done():
            os._exit(EXIT_ORPHANED)
        self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Do what the parent says."""
        for kind, content in self._unframer.feed(data):
            match kind:
                case pipe.ASSIGN:
                    for slot, assignment in pipe.unpack_given(content):
                        self._slots.begin(slot, assignment)
                case pipe.DRAIN:
                    self._slots.drain()
                case pipe.CANCEL:
                    self._slots.cancel()
                case _:
                    self._ended.set_result(None)

    def _send_done(self, done: list[tuple[int, bytes]]) -> None:
        self.send(pipe.RESULT, pipe.pack_done(done))

    def _on_bug(self, bug: BaseException) -> None:
        if not self._ended.done():
            # The parent waits for a result that will not come: the process ends, and that it sees.
            self._ended.set_exception(bug)
