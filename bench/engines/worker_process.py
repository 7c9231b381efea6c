"""A worker process as its parent sees it: its slots, and what they have to do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bench.engines import pipe
from bench.records import WorkerId

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

    from bench.worker import Assignment


class WorkerProcess:
    """A worker process and its slots. The parent's main thread alone uses it.

    Attributes:
        place: Its place among the workers, from 0.
        slots: The numbers of its slots.
        process: The process.
        connection: The parent's end of its pipe.
        ready: Whether its slots stand ready.
        failed_starts: How many workers in this place died in a row before they stood ready.
        free: Slots without a task.
        given: Slots with a task, and since when.
        left: Tasks that its predecessor had when it died.
        ending: Whether it was told that there is nothing left to do.
        due_ns: When it has to be done, if it was told to hurry or to end.
    """

    def __init__(self, place: int, slots: range, process: BaseProcess, connection: socket.socket) -> None:
        self.place = place
        self.slots = slots
        self.process = process
        self.connection = connection
        self.ready = False
        self.failed_starts = 0
        self.free = list(reversed(slots))
        self.given: dict[int, tuple[Assignment, int]] = {}
        self.left: list[Assignment] = []
        self.ending = False
        self.due_ns: int | None = None
        self._unsent: list[tuple[int, Assignment]] = []
        self._unframer = pipe.Unframer()

    def __repr__(self) -> str:
        """Show what it is at."""
        state = "ready" if self.ready else "starting"
        return f"<WorkerProcess {self.place} {state} pid={self.process.pid} given={len(self.given)}>"

    def read(self) -> Iterator[tuple[bytes, bytes]] | None:
        """Return the messages that have come, to be exhausted before the next call; None where the process is gone."""
        try:
            data = self.connection.recv(pipe.READ_BYTES)
        except OSError:
            data = b""
        return self._unframer.feed(data) if data else None

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send a message."""
        # A worker that is gone shows as the end of its pipe, after what it still sent was read.
        with contextlib.suppress(OSError):
            self.connection.sendall(pipe.framed(kind, content))

    def give(self, assignment: Assignment, now_ns: int) -> None:
        """Put a task into a free slot; it is on its way with the next `send_given`."""
        slot = self.free.pop()
        self.given[slot] = assignment, now_ns
        self._unsent.append((slot, assignment))

    def send_given(self) -> None:
        """Send the tasks that were given, if any, as one message."""
        if self._unsent:
            self.send(pipe.ASSIGN, pipe.pack_given(self._unsent))
            self._unsent.clear()

    def finished(self, slot: int) -> None:
        """Free a slot whose result is there."""
        del self.given[slot]
        self.free.append(slot)

    def who(self, slot: int) -> WorkerId:
        """Return what records say of one of its slots."""
        return WorkerId(pid=self.process.pid or 0, thread="MainThread", slot=slot)

    def take_given(self) -> list[tuple[int, Assignment, int]]:
        """Return what it was given and has not finished: slots, tasks, and since when; it has none of them any more."""
        given = [(slot, assignment, given_ns) for slot, (assignment, given_ns) in self.given.items()]
        self.given.clear()
        return given
