"""A worker process as its parent sees it: its slots, what they have to do, and what becomes of that when it dies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from bench.engines import pipe
from bench.errors import CallError
from bench.records import WorkerId
from bench.worker.record import Recorder

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

    from bench.engines._base import Job
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


class LostTasks:
    """What becomes of the tasks of a worker that died: another attempt, or a record of the loss."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recorder = Recorder(job.spec)
        self._encoder = msgspec.json.Encoder()

    def give_up(self, worker: WorkerProcess, how: str) -> list[Assignment]:
        """Charge a death with one attempt to each task that had begun; record those that may not be tried again.

        Args:
            worker: Who died.
            how: How it died.

        Returns:
            The tasks that are to be done by another worker.
        """
        now_ns = self._job.clock.now_ns()
        for slot, (assignment, given_ns) in worker.given.items():
            worker.left.append(self._charged(assignment, given_ns, now_ns, how))
            stopped = self._job.stop.draining
            if stopped or len(worker.left[-1].prior) > self._job.spec.retry.retries:
                self._record(worker, slot, worker.left.pop(), None if stopped else how)
        worker.given.clear()
        if self._job.stop.draining:
            self.cancel(worker)
        return worker.left

    def cancel(self, worker: WorkerProcess) -> None:
        """Record what a worker's predecessor left as cancelled: the run takes nothing up any more."""
        while worker.left:
            self._record(worker, worker.slots[0], worker.left.pop(), None)

    def _charged(self, assignment: Assignment, given_ns: int, now_ns: int, how: str) -> Assignment:
        if now_ns < assignment.scheduled_ns:
            # It waited for its time: the death cost it nothing.
            return assignment
        started_ns = assignment.started_ns or max(given_ns, assignment.scheduled_ns)
        begun = msgspec.structs.replace(assignment, started_ns=started_ns)
        attempt = self._recorder.lost_attempt(begun, now_ns, how)
        return msgspec.structs.replace(begun, prior=(*begun.prior, attempt))

    def _record(self, worker: WorkerProcess, slot: int, assignment: Assignment, lost: str | None) -> None:
        """Emit the record of a task that ends here: lost in the way that `lost` tells, or cancelled."""
        error = CallError("cancelled", "the run was stopped") if lost is None else CallError("worker_lost", lost)
        who = WorkerId(pid=worker.process.pid or 0, thread="MainThread", slot=slot)
        result = self._recorder.lost(assignment, self._job.clock.now_ns(), error, who)
        self._job.emit(self._encoder.encode(result))
