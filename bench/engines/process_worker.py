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

from bench.clients.routed import async_client_for, sync_client_for
from bench.clock import MonotonicClock
from bench.engines import pipe
from bench.engines._garbage import few_collections
from bench.engines.canary import canary_in_thread, canary_on_loop
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
    loop = asyncio.get_running_loop()
    slots_of_loop = _LoopSlots(spec, slots)
    await loop.create_unix_connection(lambda: slots_of_loop, sock=connection)

    def send_log(record: bytes) -> None:
        # From any thread; after the end there is nobody left to send to.
        if not loop.is_closed():
            loop.call_soon_threadsafe(slots_of_loop.send, pipe.LOG, record)

    with logging_to_parent(send_log, level=log_level, secrets=spec.secrets):
        await slots_of_loop.run()
    await slots_of_loop.close()


class _LoopSlots(asyncio.Protocol):
    """The slots of a process that has an event loop, and its end of the pipe. Everything happens on the loop."""

    def __init__(self, spec: WorkerSpec, slots: range) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = async_client_for(spec.client, spec.endpoints)
        self._spec = spec
        self._stop = StopSignal()
        self._worker = TaskWorker(spec, MonotonicClock(), self._stop)
        self._who = {
            slot: WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=slot) for slot in slots
        }
        self._encoder = msgspec.json.Encoder()
        self._unframer = pipe.Unframer()
        self._begun: set[asyncio.Task[None]] = set()
        self._done: list[tuple[int, bytes]] = []
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Say that all slots are ready, and return when the parent has nothing left to do."""
        self.send(pipe.READY)
        async with canary_on_loop(
            self._spec, MonotonicClock(), lambda added_s: self.send(pipe.CANARY, repr(added_s).encode())
        ):
            await self._ended
        await self._client.aclose()

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
                        self._loop.create_task(self._do(slot, assignment)).add_done_callback(self._on_done)
                case pipe.DRAIN:
                    self._stop.drain()
                case pipe.CANCEL:
                    self._stop.cancel()
                    for task in self._begun:
                        task.cancel()
                case _:
                    self._ended.set_result(None)

    async def _do(self, slot: int, assignment: Assignment) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._begun.add(task)
        if self._stop.cancelled:
            # The cancellation fell between the message and this first step; thrown in before, it would lose the task.
            task.cancel()
        line = self._encoder.encode(await self._worker.arun(assignment, self._client, self._who[slot]))
        # What else is done in this turn of the loop goes by the same message.
        if not self._done:
            self._loop.call_soon(self._send_done)
        self._done.append((slot, line))

    def _send_done(self) -> None:
        done, self._done = self._done, []
        self.send(pipe.RESULT, pipe.pack_done(done))

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._begun.discard(task)
        bug = None if task.cancelled() else task.exception()
        if bug is not None and not self._ended.done():
            # The parent waits for a result that will not come: the process ends, and that it sees.
            self._ended.set_exception(bug)
