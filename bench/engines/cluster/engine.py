"""Mode `distributed`: nodes that share the slots, each a Dask worker with an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
from typing import TYPE_CHECKING, Final

import uvloop

from bench.engines._garbage import few_collections
from bench.engines.cluster.local import local_cluster
from bench.errors import ConfigError
from bench.logcontext import logged_as_library

if TYPE_CHECKING:
    from bench.engines._base import Job

#: The loggers that Dask gives handlers of their own, which write to the terminal.
_DASK_LOGGERS: Final = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")

#: What the names of nodes of this machine begin with.
_LOCAL: Final = "local-"


class DistributedEngine:
    """N slots over the nodes of a Dask cluster: the one whose scheduler is named, else one on this machine."""

    @few_collections()
    def run(self, job: Job) -> None:
        """Do the tasks; see `Engine.run`. A node that is lost costs each of its tasks one attempt.

        Raises:
            ConfigError: No node may take part.
            RunError: The cluster does not start, cannot be reached, or is gone.
        """
        if job.stop.draining:
            return
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if job.scheduler is None:
                runner.run(_on_nodes(job))
            else:
                anew = f"{job.resume} --scheduler {job.scheduler}"
                runner.run(_on_cluster(dataclasses.replace(job, resume=anew), job.scheduler))


def check_installed() -> None:
    """Check that this mode can be used.

    Raises:
        ConfigError: Dask's `distributed` is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ConfigError(
            "--mode distributed needs a package that is not installed: distributed",
            "./run_concurrent.sh --setup-distributed installs it; or: pip install -r requirements-distributed.lock",
        )


async def _on_nodes(job: Job) -> None:
    """Do a job on nodes of this machine."""
    keys = {key.variable: key.reveal() for each in job.spec.endpoints if (key := each.api_key) is not None}
    async with local_cluster(job.processes, job.spec.client.client, keys, job.worker_cpu) as cluster:
        _import_dask()
        # All processes of the cluster are told of together, at its end.
        alone = dataclasses.replace(job, worker_cpu=lambda _: None)
        await _on_cluster(alone, await cluster.address(), nodes=job.processes, name_prefix=_LOCAL)


async def _on_cluster(job: Job, address: str, *, nodes: int = 1, name_prefix: str = "") -> None:
    """Do a job on the nodes of a scheduler, once so many of them are there."""
    # Here, because what these import is not part of every installation.
    from bench.engines.cluster.conduct import Conductor  # noqa: PLC0415
    from bench.engines.cluster.link import connected  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(logged_as_library(*_DASK_LOGGERS))
        client = await stack.enter_async_context(connected(address, connect_s=job.spec.client.timeouts.connect_s))
        await Conductor(job, client, address, expected=nodes, name_prefix=name_prefix).run()


def _import_dask() -> None:
    """Import what the run itself needs while its nodes start, and import the same."""
    importlib.import_module("bench.engines.cluster.conduct")
