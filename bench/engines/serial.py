"""Mode `serial`: one task after the other in the calling thread."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from bench.clients.routed import sync_client_for
from bench.engines._garbage import few_collections
from bench.engines.canary import canary_in_thread
from bench.engines.threads import work
from bench.records import WorkerId
from bench.worker import TaskWorker

if TYPE_CHECKING:
    from bench.engines._base import Job


class SerialEngine:
    """One slot, in the calling thread."""

    @few_collections()
    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`."""
        client = sync_client_for(job.spec.client, job.spec.endpoints)
        worker = TaskWorker(job.spec, job.clock, job.stop)
        who = WorkerId(pid=os.getpid(), thread=threading.current_thread().name, slot=0)
        try:
            with (
                job.stop.watched(lambda: client.cancel_all() if job.stop.cancelled else None),
                canary_in_thread(job.spec, job.clock, job.canary),
            ):
                job.ready()
                work(job, worker, client, who)
        finally:
            client.close()
