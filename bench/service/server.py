"""The service from its first connection to its last: listen, serve, and stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final, Protocol

import uvloop

from bench.engines._garbage import few_collections
from bench.errors import ConfigError, EndpointError
from bench.service.app import make_app
from bench.service.http1 import CLOSE_S, Http1
from bench.service.http2 import Http2
from bench.service.metrics import Counted, Metrics
from bench.service.security import Gate, rules_for
from bench.service.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from bench.config.service import ServiceConfig
    from bench.providers import Secret
    from bench.service.desk import Desk
    from bench.stop import StopSignal

#: Connections that wait to be accepted.
_BACKLOG: Final = 2048

#: Connections besides those of tasks: readers that come back, status pages, monitoring.
_MORE_CONNECTIONS: Final = 1000


class _Server(Protocol):
    """What answers connections."""

    async def serve(self) -> None:
        """Answer connections until `stop` is called and the last one is closed."""

    async def opened(self) -> None:
        """Return once connections can be made; to be cancelled where `serve` has ended."""

    def stop(self) -> None:
        """Accept no connection any more."""


@few_collections()
def serve(
    config: ServiceConfig,
    desk: Desk,
    *,
    token: Secret | None,
    stop: StopSignal,
    ready: Callable[[str], None],
) -> None:
    """Serve until a stop drains, and return when every task has ended.

    Args:
        config: The service's settings.
        desk: What does the work; it is opened here, and closed at the end.
        token: What clients have to know, if anything.
        stop: Drained, the service takes no new task and waits for those that it has; cancelled, it gives them up.
        ready: Called with the service's address once it answers there.

    Raises:
        ConfigError: The certificate cannot be used, or the records cannot be written.
        EndpointError: The address is in use or not this machine's.
    """
    _check_certificate(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, _listening(config) as listener:
        runner.run(_serve(config, desk, listener, token=token, stop=stop, ready=ready))


async def _serve(
    config: ServiceConfig,
    desk: Desk,
    listener: socket.socket,
    *,
    token: Secret | None,
    stop: StopSignal,
    ready: Callable[[str], None],
) -> None:
    async with desk:
        metrics = Metrics(desk)
        app = make_app(desk, metrics, needs_token=token is not None)
        app.add_middleware(Gate, rules=rules_for(config, token, time.perf_counter_ns))
        address = _address(config, listener)
        server = _server(config, Turns(Counted(app, metrics)), listener)
        serving = asyncio.ensure_future(server.serve())
        stopped = asyncio.ensure_future(_stopped(desk, stop, config.drain_grace))
        opened = asyncio.ensure_future(server.opened())
        try:
            await asyncio.wait((serving, stopped, opened), return_when=asyncio.FIRST_COMPLETED)
            if opened.done():
                ready(address)
                await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.stop()
            stopped.cancel()
            opened.cancel()
            await asyncio.wait((serving, stopped), timeout=CLOSE_S + 1)
            serving.cancel()
        for each in (serving, stopped):
            if each.done() and not each.cancelled():
                each.result()


async def _stopped(desk: Desk, stop: StopSignal, grace_s: float) -> None:
    """Return when a stop has drained and the tasks have ended, by themselves or cancelled."""
    loop = asyncio.get_running_loop()
    draining, cancelled = asyncio.Event(), asyncio.Event()

    def look() -> None:
        if stop.draining:
            loop.call_soon_threadsafe(draining.set)
        if stop.cancelled:
            loop.call_soon_threadsafe(cancelled.set)

    async def give_up() -> None:
        await cancelled.wait()
        await desk.drain(0)

    with stop.watched(look):
        await draining.wait()
        giving_up = asyncio.ensure_future(give_up())
        try:
            await desk.drain(grace_s)
        finally:
            giving_up.cancel()


def _server(config: ServiceConfig, app: ASGIApp, listener: socket.socket) -> _Server:
    most = config.max_streams + config.agent_slots + config.agent_queue + _MORE_CONNECTIONS
    return Http2(config, app, listener, most) if config.http2 else Http1(config, app, listener, most)


@contextlib.contextmanager
def _listening(config: ServiceConfig) -> Iterator[socket.socket]:
    """Yield a socket that listens where the service is to be reached.

    Raises:
        EndpointError: The address is in use or not this machine's.
    """
    where = f"{config.host} port {config.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise EndpointError(f"cannot listen at {where}: {error.strerror}; choose another --host or --port") from error
    with listener:
        yield listener


def _address(config: ServiceConfig, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{config.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _check_certificate(config: ServiceConfig) -> None:
    """Refuse a certificate that cannot be used, before anything is begun."""
    if config.tls_cert is None or config.tls_key is None:
        return
    try:
        # A key with a password would ask for it on the terminal.
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(config.tls_cert, config.tls_key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"--tls-cert {config.tls_cert} and --tls-key {config.tls_key} cannot be used: {error}",
            "both are PEM files, the key without a password and made for that certificate",
        ) from error
