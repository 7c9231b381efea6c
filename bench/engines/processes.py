"""Modes `multiprocessing` and `hybrid`: worker processes that share the slots, fed and watched by the parent."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec

from bench.clock import NS_PER_S
from bench.engines import pipe
from bench.engines._base import Pause
from bench.engines.launch import how_it_ended, worker_context
from bench.engines.lost import LostTasks
from bench.engines.process_worker import serve_blocking, serve_on_loop
from bench.engines.worker_process import WorkerProcess
from bench.errors import WorkerError
from bench.logcontext import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.engines._base import Job
    from bench.worker import WorkerSpec

_log = logging.getLogger("bench.engines")

#: Slots whose workers die this often before they stand ready are beyond help.
_START_TRIES: Final = 3

#: How long a worker may take to hand in its tasks after the run was cancelled.
_CANCEL_GRACE_S: Final = 3.0

#: How long a worker may take to end once it has nothing left to do.
_END_GRACE_S: Final = 5.0

#: How often overdue workers are looked for; everything else wakes the selector.
_POLL_S: Final = 0.5


class ProcessesEngine:
    """N slots, each a process of its own that makes blocking calls."""

    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`. A worker that dies costs its task one attempt and is replaced."""
        with _Pool(job, serve_blocking, shares(job.slots, job.slots)) as pool:
            pool.serve()


class HybridEngine:
    """N slots over P processes, each with an event loop that has its share of the slots."""

    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`. A worker that dies costs each of its tasks one attempt and is replaced."""
        with _Pool(job, serve_on_loop, shares(job.slots, job.processes)) as pool:
            pool.serve()


def shares(slots: int, processes: int) -> tuple[range, ...]:
    """Return the numbers of each process's slots: as many for each, and of the rest one for each of the first."""
    width, rest = divmod(slots, processes)
    starts = [place * width + min(place, rest) for place in range(processes + 1)]
    return tuple(range(starts[place], starts[place + 1]) for place in range(processes))


class _Serve(Protocol):
    """What a worker process runs."""

    def __call__(self, connection: socket.socket, spec: WorkerSpec, slots: range, log_level: int) -> None:
        """Do tasks until told to end."""


class _Pool:
    """The parent's side: one selector over all pipes and a wake-up for stops."""

    def __init__(self, job: Job, serve: _Serve, slots: Sequence[range]) -> None:
        self._job = job
        self._serve = serve
        self._shares = slots
        self._lost = LostTasks(job)
        self._context = worker_context(job.spec.client.client)
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._workers: list[WorkerProcess] = []
        self._open: set[WorkerProcess] = set()
        self._running = False
        self._next_check_ns = 0
        #: Until when there is no task to begin, though there may be later.
        self._paused_until_ns: int | None = None
        #: What is to be done at the end of this turn.
        self._at_turns_end: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._open):
            worker.process.terminate()
        for worker in list(self._open):
            self._end(worker)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def serve(self) -> None:
        """Start the workers, feed them until there is nothing left, and see each of them off."""
        with self._job.stop.watched(self._wake), self._job.by_turns(self._at_turns_end.append):
            for place in range(len(self._shares)):
                if self._job.stop.draining:
                    break
                self._workers.append(self._start(place))
            while self._open:
                for key, _ in self._selector.select(self._wait_s()):
                    if key.data is None:
                        os.read(self._wake_read, 4096)
                        self._on_stop()
                    elif key.data in self._open:
                        self._on_readable(key.data)
                if self._paused_until_ns is not None and self._running:
                    self._feed(self._workers)
                self._kill_overdue()
                self._end_turn()

    def _end_turn(self) -> None:
        while self._at_turns_end:
            self._at_turns_end.pop()()

    def _wait_s(self) -> float:
        if self._paused_until_ns is None:
            return _POLL_S
        return min(_POLL_S, max(0.0, (self._paused_until_ns - self._job.clock.now_ns()) / NS_PER_S))

    def _wake(self) -> None:
        # A full pipe wakes as well as a new byte; a closed one has nobody left to wake.
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")

    def _start(self, place: int) -> WorkerProcess:
        slots = self._shares[place]
        ours, theirs = socket.socketpair()
        process = self._context.Process(
            target=self._serve,
            args=(theirs, self._spec_of(place), slots, _log.getEffectiveLevel()),
            name=f"worker-{place}",
            daemon=True,
        )
        try:
            process.start()
        except OSError as error:
            ours.close()
            msg = f"cannot start worker process {place + 1} of {len(self._shares)}: {error.strerror}"
            raise WorkerError(msg) from error
        finally:
            theirs.close()
        worker = WorkerProcess(place, slots, process, ours)
        self._open.add(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        return worker

    def _spec_of(self, place: int) -> WorkerSpec:
        """Return what a worker is given; one of them alone has the canary."""
        spec = self._job.spec
        return spec if place == 0 else msgspec.structs.replace(spec, canary=None)

    def _on_readable(self, worker: WorkerProcess) -> None:
        """Take in all that a worker sent, then give it new tasks for all slots that became free."""
        messages = worker.read()
        if messages is None:
            self._on_death(worker)
            return
        for kind, content in messages:
            self._take(worker, kind, content)
        if self._running and worker in self._open:
            # Where others wait for a task, one that may go now is for any of them.
            self._feed([worker] if self._paused_until_ns is None else self._workers)

    def _take(self, worker: WorkerProcess, kind: bytes, content: bytes) -> None:
        """Take in one message."""
        match kind:
            case pipe.RESULT:
                for slot, line in pipe.unpack_done(content):
                    worker.finished(slot)
                    self._job.emit(line)
            case pipe.LOG:
                replay(content)
            case pipe.CANARY:
                self._job.canary(float(content))
            case pipe.READY:
                worker.ready = True
                worker.failed_starts = 0
                self._on_ready()
            case _:
                self._job.worker_cpu(float(content))
                self._end(worker)

    def _on_ready(self) -> None:
        if not self._running and all(worker.ready for worker in self._workers):
            self._running = True
            self._job.ready()
            self._feed(self._workers)

    def _feed(self, workers: Sequence[WorkerProcess]) -> None:
        """Give each free slot a task: one that a lost worker left, else a new one; send home who has none at all.

        Slot by slot in turn: tasks that arrive one after the other go to different workers.
        """
        self._paused_until_ns = None
        workers = [worker for worker in workers if worker.ready and not worker.ending]
        hungry = workers
        while hungry:
            hungry = [worker for worker in hungry if worker.free and self._give_one(worker)]
        # Here, so that tasks are kept before they are sent.
        self._end_turn()
        for worker in workers:
            worker.send_given()
            if not worker.given and self._paused_until_ns is None:
                worker.ending = True
                worker.due_ns = self._job.clock.now_ns() + int(_END_GRACE_S * NS_PER_S)
                worker.send(pipe.END)

    def _give_one(self, worker: WorkerProcess) -> bool:
        if self._paused_until_ns is not None:
            # Whom a pause meets, it meets for all.
            return False
        if self._job.stop.draining:
            self._lost.cancel(worker.left, worker.who(worker.slots[0]))
        drawn = worker.left.pop(0) if worker.left else self._job.draw()
        if isinstance(drawn, Pause):
            self._paused_until_ns = drawn.until_ns
        elif drawn is not None:
            worker.give(drawn, self._job.clock.now_ns())
            return True
        return False

    def _on_death(self, worker: WorkerProcess) -> None:
        """Charge the death to the tasks that the worker had, if any, and start another in its place."""
        self._end(worker)
        how = how_it_ended(worker.process)
        worker.left += self._lost.give_up(worker.take_given(), how, worker.who)
        if self._job.stop.draining:
            self._lost.cancel(worker.left, worker.who(worker.slots[0]))
        if worker.ending or self._job.stop.draining:
            return
        _log.warning("%s, which had %d of %d slots", how, len(worker.slots), self._job.slots)
        failed_starts = 0 if worker.ready else worker.failed_starts + 1
        if failed_starts >= _START_TRIES:
            msg = f"worker {worker.place} does not start, {failed_starts} times in a row; the last: {how}"
            raise WorkerError(msg)
        fresh = self._start(worker.place)
        fresh.failed_starts = failed_starts
        fresh.left = worker.left
        self._workers[worker.place] = fresh

    def _on_stop(self) -> None:
        """Pass a stop on; workers that have not begun are not waited for."""
        cancelled = self._job.stop.cancelled
        for worker in list(self._open):
            if not self._running:
                self._end(worker)
            else:
                worker.send(pipe.CANCEL if cancelled else pipe.DRAIN)
                if cancelled:
                    worker.due_ns = self._job.clock.now_ns() + int(_CANCEL_GRACE_S * NS_PER_S)

    def _kill_overdue(self) -> None:
        now_ns = self._job.clock.now_ns()
        if now_ns < self._next_check_ns:
            return
        self._next_check_ns = now_ns + int(_POLL_S * NS_PER_S)
        for worker in self._open:
            if worker.due_ns is not None and worker.due_ns < now_ns:
                # Its end shows as the end of its pipe.
                worker.process.kill()

    def _end(self, worker: WorkerProcess) -> None:
        """See a worker off: its pipe closed, its process ended and waited for."""
        if worker not in self._open:
            return
        self._open.discard(worker)
        self._selector.unregister(worker.connection)
        worker.connection.close()
        worker.process.join(_END_GRACE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join(_END_GRACE_S)
