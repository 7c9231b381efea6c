"""Mode `threading`: N threads that share one synchronous client."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from bench.clients.routed import sync_client_for
from bench.engines._base import Pause
from bench.engines._garbage import few_collections
from bench.engines.canary import canary_in_thread
from bench.errors import WorkerError
from bench.records import WorkerId
from bench.worker import TaskWorker

if TYPE_CHECKING:
    from bench.clients._base import SyncClient
    from bench.engines._base import Job
    from bench.stop import StopSignal


class ThreadsEngine:
    """N slots, each a thread of this process."""

    @few_collections()
    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`."""
        client = sync_client_for(job.spec.client, job.spec.endpoints)
        worker = TaskWorker(job.spec, job.clock, job.stop)
        start = threading.Event()

        def slot(number: int) -> None:
            who = WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=number)
            start.wait()
            work(job, worker, client, who)

        threads = [threading.Thread(target=slot, args=(n,), name=f"slot-{n}", daemon=True) for n in range(job.slots)]
        started: list[threading.Thread] = []
        try:
            with (
                job.stop.watched(lambda: client.cancel_all() if job.stop.cancelled else None),
                canary_in_thread(job.spec, job.clock, job.canary),
            ):
                try:
                    _start_all(threads, started, job.stop)
                    job.ready()
                finally:
                    # Also where not all could be started: those that were find the run cancelled and end.
                    start.set()
                    for thread in started:
                        thread.join()
        finally:
            client.close()


def _start_all(threads: list[threading.Thread], started: list[threading.Thread], stop: StopSignal) -> None:
    """Start threads, noting each; where the machine refuses one, stop the run.

    Raises:
        WorkerError: The machine's limit is below their number.
    """
    for thread in threads:
        try:
            thread.start()
        except RuntimeError as error:
            stop.cancel()
            msg = f"this machine gave {len(started)} threads where {len(threads)} were asked for: {error}"
            raise WorkerError(msg) from error
        started.append(thread)


def work(job: Job, worker: TaskWorker, client: SyncClient, who: WorkerId) -> None:
    """Do tasks in this thread until there are none."""
    while (drawn := job.draw()) is not None:
        if isinstance(drawn, Pause):
            job.bell.wait(drawn.until_ns)
        else:
            job.emit(worker.run(drawn, client, who))
