"""The child of mode `multiprocessing`: one slot in a process of its own, at the end of a pipe.

Messages are bytes whose first byte says what they are. To the child: an assignment, drain, cancel, end.
From the child: ready, a log record, a result, its CPU seconds. A pipe that closes ends the child at once, whatever
it does, so that it never outlives its parent.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clients.make import make_sync_client
from bench.clock import MonotonicClock
from bench.logcontext import logging_to_parent
from bench.records import WorkerId
from bench.stop import StopSignal
from bench.worker import Assignment, TaskWorker

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from bench.clients._base import SyncClient
    from bench.worker import WorkerSpec

ASSIGN: Final = b"a"
DRAIN: Final = b"d"
CANCEL: Final = b"c"
END: Final = b"e"
READY: Final = b"r"
LOG: Final = b"l"
RESULT: Final = b"t"
CPU: Final = b"u"

#: How a child ends whose parent is gone.
EXIT_ORPHANED: Final = 3


class Channel:
    """The child's end of the pipe, shared by its threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a message whole; where the parent is gone, end the process."""
        try:
            with self._lock:
                self._connection.send_bytes(kind + payload)
        except OSError:
            os._exit(EXIT_ORPHANED)

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for a message; where the parent is gone, end the process."""
        try:
            message = self._connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(EXIT_ORPHANED)
        return message[:1], message[1:]


def serve(connection: Connection, spec: WorkerSpec, slot: int, log_level: int) -> None:
    """Do the tasks that come through the pipe, one at a time, until told to end."""
    # Ctrl+C goes to the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    channel = Channel(connection)
    key = spec.endpoint.api_key
    secrets = () if key is None else (key.reveal(),)
    with logging_to_parent(lambda record: channel.send(LOG, record), level=log_level, secrets=secrets):
        _do_tasks(channel, spec, slot)
    channel.send(CPU, repr(time.process_time()).encode())


def _do_tasks(channel: Channel, spec: WorkerSpec, slot: int) -> None:
    client = make_sync_client(spec.client, spec.endpoint)
    stop = StopSignal()
    inbox: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, inbox, stop, client), name="listener", daemon=True).start()
    channel.send(READY)
    worker = TaskWorker(spec, MonotonicClock(), stop)
    who = WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=slot)
    encoder = msgspec.json.Encoder()
    while (assignment := inbox.get()) is not None:
        channel.send(RESULT, encoder.encode(worker.run(assignment, client, who)))
    client.close()


def _listen(
    channel: Channel, inbox: queue.SimpleQueue[Assignment | None], stop: StopSignal, client: SyncClient
) -> None:
    """Pass on what the parent sends, while the slot's thread may be busy with a task."""
    decoder = msgspec.msgpack.Decoder(Assignment)
    while True:
        kind, payload = channel.receive()
        match kind:
            case b"a":
                inbox.put(decoder.decode(payload))
            case b"d":
                stop.drain()
            case b"c":
                stop.cancel()
                client.cancel_all()
            case _:
                inbox.put(None)
                return
