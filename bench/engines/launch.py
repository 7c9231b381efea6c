"""How worker processes are started, and how one ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING, Final

from bench.environment import ROOT, start_method

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

#: The module of each client that is worth loading once for all workers; one that is not there is passed over.
_CLIENT_MODULES: Final = {"openai": "bench.clients.openai_sdk", "lean": "bench.clients.lean"}

#: Names of variables that hold what is not for every process.
_SECRET_NAME: Final = re.compile(r"(?:.*_)?(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)", re.IGNORECASE)


def worker_context(client: str, *more: str) -> ForkServerContext | SpawnContext:
    """Return what makes processes: a fork server that imports once what N workers need, where there is one.

    The fork server is one for the whole life of this process: what it imports is decided by the first call.

    Args:
        client: The client that the workers will use.
        more: Modules that are worth loading, too.
    """
    if start_method() == "forkserver":
        context = multiprocessing.get_context("forkserver")
        modules = ["bench.engines.process_worker", _CLIENT_MODULES.get(client, _CLIENT_MODULES["openai"]), *more]
        context.set_forkserver_preload(modules)
        with environment_of_workers():
            forkserver.ensure_running()
            # Started by the first worker otherwise, with everything in its environment.
            resource_tracker.ensure_running()
        return context
    return multiprocessing.get_context("spawn")


@contextlib.contextmanager
def environment_of_workers() -> Iterator[None]:
    """Let a Python that starts inside the block find this package, and no key but the one that it is given later.

    The fork server does not take over `sys.path`, the current folder need not be the project's, and it passes over a
    preload that it cannot find.
    """
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), before.get("PYTHONPATH"))))
    for name in filter(_SECRET_NAME.fullmatch, before):
        del os.environ[name]
    try:
        yield
    finally:
        for name in before.keys() - os.environ.keys():
            os.environ[name] = before[name]
        if "PYTHONPATH" in before:
            os.environ["PYTHONPATH"] = before["PYTHONPATH"]
        else:
            del os.environ["PYTHONPATH"]


def how_it_ended(process: BaseProcess) -> str:
    """Say how a process ended, by its id and its signal's name or its exit code."""
    code = process.exitcode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"worker process {process.pid} was killed by {signal.Signals(-code).name}"
    return f"worker process {process.pid} ended with exit code {code}"
