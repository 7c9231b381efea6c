"""Mode `multiprocessing`: N worker processes of one call each, fed and watched by the parent."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import selectors
import signal
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from bench.clock import NS_PER_S
from bench.engines import process_worker as child
from bench.environment import start_method
from bench.errors import CallError, WorkerError
from bench.logcontext import replay
from bench.records import WorkerId
from bench.worker.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from bench.engines._base import Job
    from bench.worker import Assignment

_log = logging.getLogger("bench.engines")

#: What the fork server imports once, so that N workers do not pay for N imports.
_PRELOAD: Final = ["bench.engines.process_worker", "bench.clients.openai_sdk"]

_ROOT: Final = Path(__file__).resolve().parents[2]

#: A slot whose workers die this often before they stand ready is beyond help.
_START_TRIES: Final = 3

#: How long a worker may take to hand in its task after the run was cancelled.
_CANCEL_GRACE_S: Final = 3.0

#: How long a worker may take to end once it has nothing left to do.
_END_GRACE_S: Final = 5.0

#: How often overdue workers are looked for; everything else wakes the selector.
_POLL_S: Final = 0.5


class ProcessesEngine:
    """N slots, each a process started from a preloaded fork server (spawned where there is none)."""

    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`. A worker that dies costs its task one attempt and is replaced."""
        with _Pool(job) as pool:
            pool.serve()


@dataclass(eq=False)
class _Slot:
    """A slot, and the process that fills it at present."""

    number: int
    process: BaseProcess
    connection: Connection
    failed_starts: int = 0
    ready: bool = False
    assignment: Assignment | None = None
    #: When it has to be done, if it was told to hurry or to end.
    due_ns: int | None = None


class _Pool:
    """The parent's side: one selector over all pipes and a wake-up for stops."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recorder = Recorder(job.spec)
        self._context = _context()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._slots: list[_Slot] = []
        self._open: set[_Slot] = set()
        self._running = False
        self._next_check_ns = 0
        self._encoder = msgspec.json.Encoder()
        self._packer = msgspec.msgpack.Encoder()

    def __enter__(self) -> Self:
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        return self

    def __exit__(self, *_: object) -> None:
        for slot in list(self._open):
            slot.process.terminate()
        for slot in list(self._open):
            self._end(slot)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def serve(self) -> None:
        """Start the workers, feed them until there is nothing left, and see each of them off."""
        with self._job.stop.watched(self._wake):
            for number in range(self._job.slots):
                if self._job.stop.draining:
                    break
                self._slots.append(self._start(number))
            while self._open:
                for key, _ in self._selector.select(_POLL_S):
                    if key.data is None:
                        os.read(self._wake_read, 4096)
                        self._on_stop()
                    elif key.data in self._open:
                        self._on_readable(key.data)
                self._kill_overdue()

    def _wake(self) -> None:
        # A full pipe wakes as well as a new byte; a closed one has nobody left to wake.
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")

    def _start(self, number: int) -> _Slot:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=child.serve,
            args=(theirs, self._job.spec, number, _log.getEffectiveLevel()),
            name=f"worker-{number}",
            daemon=True,
        )
        try:
            process.start()
        except OSError as error:
            ours.close()
            msg = f"cannot start worker process {number + 1} of {self._job.slots}: {error.strerror}"
            raise WorkerError(msg) from error
        finally:
            theirs.close()
        slot = _Slot(number, process, ours)
        self._open.add(slot)
        self._selector.register(ours, selectors.EVENT_READ, slot)
        return slot

    def _on_readable(self, slot: _Slot) -> None:
        try:
            message = slot.connection.recv_bytes()
        except (EOFError, OSError):
            self._on_death(slot)
            return
        payload = message[1:]
        match message[:1]:
            case child.RESULT:
                slot.assignment = None
                self._job.emit(payload)
                self._feed(slot)
            case child.LOG:
                replay(payload)
            case child.READY:
                self._on_ready(slot)
            case _:
                self._job.worker_cpu(float(payload))
                self._end(slot)

    def _on_ready(self, slot: _Slot) -> None:
        slot.ready = True
        slot.failed_starts = 0
        if self._running:
            self._feed(slot)
        elif all(other.ready for other in self._slots):
            self._running = True
            self._job.ready()
            for other in self._slots:
                self._feed(other)

    def _feed(self, slot: _Slot) -> None:
        """Give a free worker its next task: the one that its predecessor left, else a new one; or send it home."""
        slot.assignment = slot.assignment or self._job.draw()
        if slot.assignment is None:
            slot.due_ns = self._job.clock.now_ns() + int(_END_GRACE_S * NS_PER_S)
            self._send(slot, child.END)
        else:
            self._send(slot, child.ASSIGN, self._packer.encode(slot.assignment))

    def _send(self, slot: _Slot, kind: bytes, payload: bytes = b"") -> None:
        # A worker that is gone shows as the end of its pipe, after what it still sent was read.
        with contextlib.suppress(OSError):
            slot.connection.send_bytes(kind + payload)

    def _on_death(self, slot: _Slot) -> None:
        """Charge the death to the task that the worker had, if any, and fill the slot again."""
        ready, ending = slot.ready, slot.due_ns is not None and slot.assignment is None
        self._end(slot)
        how = _how_it_ended(slot.process)
        if ending or self._job.stop.draining:
            self._give_up(slot, how)
            return
        _log.warning("%s in slot %d", how, slot.number)
        failed_starts = 0 if ready else slot.failed_starts + 1
        if failed_starts >= _START_TRIES:
            msg = f"workers of slot {slot.number} do not start, {failed_starts} in a row; the last: {how}"
            raise WorkerError(msg)
        self._give_up(slot, how)
        fresh = self._start(slot.number)
        fresh.failed_starts = failed_starts
        fresh.assignment = slot.assignment
        self._slots[self._slots.index(slot)] = fresh

    def _give_up(self, slot: _Slot, how: str) -> None:
        """Note the lost attempt of the slot's task; record the task as lost unless it may be tried again."""
        if slot.assignment is None:
            return
        now_ns = self._job.clock.now_ns()
        attempt = self._recorder.lost_attempt(slot.assignment, now_ns, how)
        slot.assignment = lost = msgspec.structs.replace(
            slot.assignment,
            prior=(*slot.assignment.prior, attempt),
            started_ns=slot.assignment.started_ns or slot.assignment.scheduled_ns,
        )
        stopped = self._job.stop.draining
        if stopped or len(lost.prior) > self._job.spec.retry.retries:
            error = CallError("cancelled", "the run was stopped") if stopped else CallError("worker_lost", how)
            who = WorkerId(pid=slot.process.pid or 0, thread="MainThread", slot=slot.number)
            result = self._recorder.lost(lost, now_ns, error, who)
            self._job.emit(self._encoder.encode(result))
            slot.assignment = None

    def _on_stop(self) -> None:
        """Pass a stop on; workers that have not begun are not waited for."""
        cancelled = self._job.stop.cancelled
        for slot in list(self._open):
            if not self._running:
                self._end(slot)
            else:
                self._send(slot, child.CANCEL if cancelled else child.DRAIN)
                if cancelled:
                    slot.due_ns = self._job.clock.now_ns() + int(_CANCEL_GRACE_S * NS_PER_S)

    def _kill_overdue(self) -> None:
        now_ns = self._job.clock.now_ns()
        if now_ns < self._next_check_ns:
            return
        self._next_check_ns = now_ns + int(_POLL_S * NS_PER_S)
        for slot in self._open:
            if slot.due_ns is not None and slot.due_ns < now_ns:
                # Its end shows as the end of its pipe.
                slot.process.kill()

    def _end(self, slot: _Slot) -> None:
        """See a worker off: its pipe closed, its process ended and waited for."""
        if slot not in self._open:
            return
        self._open.discard(slot)
        self._selector.unregister(slot.connection)
        slot.connection.close()
        slot.process.join(_END_GRACE_S)
        if slot.process.is_alive():
            slot.process.kill()
            slot.process.join(_END_GRACE_S)


def _context() -> ForkServerContext | SpawnContext:
    if start_method() == "forkserver":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        with _root_importable():
            forkserver.ensure_running()
        return context
    return multiprocessing.get_context("spawn")


@contextlib.contextmanager
def _root_importable() -> Iterator[None]:
    """Let a Python that starts inside the block find this package; it passes over a preload that it cannot find.

    The fork server does not take over `sys.path`, and the current folder need not be the project's.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(_ROOT) if before is None else os.pathsep.join((str(_ROOT), before))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _how_it_ended(process: BaseProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"worker process {process.pid} was killed by {signal.Signals(-code).name}"
    return f"worker process {process.pid} ended with exit code {code}"
