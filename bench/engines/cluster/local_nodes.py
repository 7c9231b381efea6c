"""Scheduler and nodes on this machine."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, Final

import dask
import psutil
from distributed import LocalCluster
from distributed.config import get_loop_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What of Dask is not needed here, and what a node's event loop is.
_DASK: Final = {
    "distributed.admin.event-loop": "uvloop",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.worker.profile.enabled": False,
}

#: How long nodes may take to end.
_END_S: Final = 5.0


def serve_nodes(
    nodes: int, keys: Mapping[str, str], ready: Callable[[str], None], wait_for_end: Callable[[], object]
) -> float:
    """Run a scheduler and nodes, and return the CPU seconds of all their processes.

    Args:
        nodes: How many nodes.
        keys: The keys that they need, by variable.
        ready: Told where the scheduler listens, once all of them are there.
        wait_for_end: Returns when they are to end; called in a thread.
    """
    with (
        tempfile.TemporaryDirectory(prefix="nodes-") as directory,
        dask.config.set(_DASK),
        asyncio.Runner(loop_factory=get_loop_factory()) as runner,
    ):
        return runner.run(_serve(nodes, keys, directory, ready, wait_for_end))


async def _serve(
    nodes: int,
    keys: Mapping[str, str],
    directory: str,
    ready: Callable[[str], None],
    wait_for_end: Callable[[], object],
) -> float:
    loop = asyncio.get_running_loop()
    async with LocalCluster(
        n_workers=nodes,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=None,
        local_directory=directory,
        env=dict(keys),
        asynchronous=True,
    ) as cluster:
        ready(cluster.scheduler_address)
        await loop.run_in_executor(None, wait_for_end)
        cpu_s = _cpu_s()
        # Nodes end with the process that started them, whatever keeps these.
        loop.call_later(_END_S, os._exit, 1)
    return cpu_s


def _cpu_s() -> float:
    own = psutil.Process()
    used = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(each.user + each.system for each in used)
