"""The way to the nodes: what the scheduler knows of them, and calls of the actor that stands on one.

Dask's own `Actor` repeats a call by itself where its connection broke, and goes either directly or through the
scheduler for all nodes alike. Here both are decided for each node, so its remote call is made as `Actor` makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from distributed import Client
from distributed.actor import ProxyRPC
from distributed.protocol import pickle as carried
from distributed.protocol.serialize import to_serialize
from distributed.security import Security

from bench.engines.cluster.node import Node
from bench.errors import ConfigError, RunError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from distributed import Future

#: The abstract resource of a Dask worker that bounds what it has in flight.
_SLOTS: Final = "slots"

#: A scheduler that is there answers in milliseconds; the rest is for a network that drops the first packets.
_LEAST_CONNECT_S: Final = 1.0

#: How long the way back is waited for when a connection is closed.
_CLOSE_S: Final = 2.0


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """A Dask worker that the scheduler knows.

    Attributes:
        address: Where it listens.
        name: Its own name; None where it was given none.
        cap: How much it may have in flight; None where that is not limited.
    """

    address: str
    name: str | None
    cap: int | None


class _Rpc(Protocol):
    """What calls a Dask worker."""

    async def actor_execute(self, **message: object) -> dict[str, Any]:
        """Call a method of an actor."""


@contextlib.asynccontextmanager
async def connected(address: str, *, connect_s: float) -> AsyncIterator[Client]:
    """Be a client of a scheduler inside the block.

    Args:
        address: Where it listens.
        connect_s: How long to wait for it.

    Raises:
        ConfigError: Its address asks for TLS, and Dask knows no certificates.
        RunError: It cannot be reached.
    """
    _check_certificates(address)
    timeout_s = max(connect_s, _LEAST_CONNECT_S)
    client = Client(address, asynchronous=True, set_as_default=False, timeout=timeout_s)
    try:
        await _start(client, address, timeout_s)
        yield client
    finally:
        with contextlib.suppress(OSError):
            await client.close(timeout=_CLOSE_S)


async def _start(client: Client, address: str, timeout_s: float) -> None:
    try:
        # Longer than its own, which says more of what was wrong.
        async with asyncio.timeout(2 * timeout_s):
            await client
    except (OSError, ValueError) as error:
        msg = f"the scheduler at {address} cannot be reached within {timeout_s:g} s: {error}"
        raise RunError(msg) from error


def _check_certificates(address: str) -> None:
    """Refuse an address with TLS where Dask's settings name no certificates that can be read."""
    if not address.startswith("tls://"):
        return
    try:
        is_known = Security().get_connection_args("client").get("ssl_context") is not None
        told = "Dask knows no certificates"
    except OSError as error:
        is_known, told = False, f"Dask's certificates cannot be read: {error}"
    if not is_known:
        raise ConfigError(
            f"--scheduler {address} is with TLS, and {told}",
            "name them in Dask's settings: DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
        )


async def present_nodes(client: Client) -> list[Present]:
    """Return the Dask workers that the scheduler knows now.

    Raises:
        OSError: It does not answer.
    """
    scheduler: Any = client.scheduler
    known = await scheduler.identity(n_workers=-1)
    return [_present(address, worker) for address, worker in known["workers"].items()]


def _present(address: str, worker: dict[str, Any]) -> Present:
    name, cap = worker["name"], worker["resources"].get(_SLOTS)
    # A worker without a name of its own goes by its address.
    return Present(
        address=address, name=None if name in {None, address} else str(name), cap=None if cap is None else int(cap)
    )


class Link:
    """An actor on a node, and the way to it.

    Args:
        client: The connection to the scheduler.
        address: The node's Dask worker.
    """

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._actor: Future[object] | None = None
        self._rpc: _Rpc = client.rpc(address)
        self.is_direct = True

    def __repr__(self) -> str:
        """Show where it leads."""
        return f"<Link to {self._address}, {'direct' if self.is_direct else 'through the scheduler'}>"

    async def open(self) -> None:
        """Put an actor on the node.

        Nothing else of ours is ever a task of Dask, and this one is done there or nowhere, once. It goes packed, so
        that the scheduler need not have this program.

        Raises:
            Exception: What kept the node from having one.
        """
        self._actor = self._client.submit(
            carried.loads,
            carried.dumps(Node()),
            actor=True,
            pure=False,
            retries=0,
            workers=[self._address],
            allow_other_workers=False,
        )
        error = await self._actor.exception()
        if error is not None:
            raise error

    def go_through_scheduler(self) -> None:
        """Make the calls by way of the scheduler from now on."""
        self._rpc = ProxyRPC(self._client.scheduler, self._address)
        self.is_direct = False

    async def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - what the method returns
        """Call a method of the actor.

        Raises:
            OSError: The way broke; whether it was called is not known.
            Exception: What the method raised.
        """
        if self._actor is None:
            msg = f"there is no actor on {self._address} yet"
            raise RuntimeError(msg)
        answer = await self._rpc.actor_execute(
            actor=self._actor.key,
            function=method,
            args=[to_serialize(argument) for argument in arguments],
            kwargs={},
        )
        if answer["status"] != "OK":
            raise answer["exception"]
        return answer["result"]

    def close(self) -> None:
        """Let go of the actor."""
        if self._actor is not None:
            self._actor.release()
