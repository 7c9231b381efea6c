"""The simulator as a server: it listens, and ends with the task that runs it."""

import asyncio
import gc
import itertools
import resource
import socket
from collections.abc import Callable
from typing import Final

from bench.simulator.protocol import Connection
from bench.simulator.request_log import RequestLog
from bench.simulator.service import Service
from bench.simulator.settings import SimulatorSettings
from bench.simulator.timeline import Timeline

#: Connections that may wait to be accepted; the system's own bound (net.core.somaxconn) applies as well. With a short
#: queue the connects of many clients time out and retry, which looks like a slow client.
BACKLOG: Final = 8_192
#: A garbage collection for each so many objects that stay, not for each 700: 5 % of the time of an instant answer.
_ALLOCATIONS_PER_COLLECTION: Final = 100_000
#: Open files where the system sets no bound: more than there are local ports.
_MOST_FILES: Final = 100_000


async def serve(settings: SimulatorSettings, *, on_ready: Callable[[int], None]) -> None:
    """Serve until cancelled, in a process that does nothing else: its garbage collection and file limit are adapted.

    Args:
        settings: What to do.
        on_ready: Called once with the port when connections are accepted.

    Raises:
        OSError: The address cannot be listened on, or the request log cannot be opened.
    """
    _allow_many_connections()
    loop = asyncio.get_running_loop()
    log = None if settings.request_log is None else RequestLog.opened(settings.request_log)
    service = Service(settings, timeline=Timeline(loop), log=log)
    numbers = itertools.count(1)
    connections: set[Connection] = set()
    try:
        server = await loop.create_server(
            lambda: Connection(service, number=next(numbers), among=connections),
            settings.host,
            settings.port,
            # The name may stand for two addresses, and a free port of one need not be free on the other.
            family=socket.AF_INET if settings.host == "localhost" else socket.AF_UNSPEC,
            backlog=BACKLOG,
        )
        # A request's objects are freed by counting: collections would only look at what is alive.
        gc.freeze()
        gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)
        on_ready(_port(server.sockets))
        try:
            await loop.create_future()
        finally:
            server.close()
            for connection in list(connections):
                connection.close()
            # Each is still told that it is lost, and writes that to the log.
            while connections:  # noqa: ASYNC110 - one or two turns of the loop, once
                await asyncio.sleep(0)
    finally:
        if log is not None:
            log.close()


def _allow_many_connections() -> None:
    """Raise the number of open files to what the system allows this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _port(sockets: tuple[socket.socket, ...]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port
