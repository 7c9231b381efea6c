"""What a node is told at the beginning, and what it tells of itself."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from bench.endpoints.keys import key_in
from bench.environment import source_hash
from bench.errors import ConfigError
from bench.worker import WorkerSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.providers import Endpoint

#: What has to be the same everywhere: with another version of one of them a node would measure something else.
_PACKAGES: Final = ("aiohttp", "httpx2", "msgspec", "openai", "uvloop")

#: A node that has not been called for so long gives up its calls: its run has ended without a word, or counts it as
#: lost. Less than the run's own patience with a node (`SILENCE_S`), so that a task is given up before it is done anew.
LEASE_S: Final = 8.0

#: A node that has not answered for so long is lost to its run.
SILENCE_S: Final = 10.0

#: How long a call waits at a node for something to tell.
LISTEN_S: Final = 1.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is.

    Attributes:
        host: Its machine's name.
        pid: Its id.
        versions: What must not differ: Python, this program's source, and the packages that make requests.
    """

    host: str
    pid: int
    versions: dict[str, str]


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is to do; picklable, and without a secret.

    Attributes:
        spec: What all workers share, on the node's own clock; its endpoints have no keys.
        variables: The environment variable that holds each endpoint's key; None where it needs none.
        node: The node's name, for the records.
        log_level: Least severity of what it logs.
    """

    spec: WorkerSpec
    variables: tuple[str | None, ...]
    node: str
    log_level: int


def facts() -> Facts:
    """Return what this process is."""
    major, minor, _ = platform.python_version_tuple()
    versions = {"Python": f"{major}.{minor}", "this program's source": (source_hash() or "unknown")[:12]}
    return Facts(
        host=socket.gethostname(), pid=os.getpid(), versions=versions | {name: _version(name) for name in _PACKAGES}
    )


def difference(theirs: Facts, ours: Facts) -> str | None:
    """Say what differs between a node and this process, or None if nothing does that matters."""
    names = [*ours.versions, *(name for name in theirs.versions if name not in ours.versions)]
    differing = [
        f"{name} {theirs.versions.get(name, 'none')}, here {ours.versions.get(name, 'none')}"
        for name in names
        if theirs.versions.get(name) != ours.versions.get(name)
    ]
    return "; ".join(differing) or None


def without_keys(endpoints: Sequence[Endpoint]) -> tuple[tuple[Endpoint, ...], tuple[str | None, ...]]:
    """Return endpoints without their keys, and the variables in which each node has these.

    Raises:
        ConfigError: A key came from nowhere that a node could look.
    """
    for endpoint in endpoints:
        if endpoint.api_key is not None and not endpoint.api_key.variable:
            raise ConfigError(
                f"the key of {endpoint.provider} does not come from an environment variable, and so no node has it",
                "set it in the environment, here and on the nodes",
            )
    bare = tuple(msgspec.structs.replace(endpoint, api_key=None) for endpoint in endpoints)
    return bare, tuple(None if each.api_key is None else each.api_key.variable for each in endpoints)


def with_keys(orders: Orders, environ: Mapping[str, str]) -> tuple[WorkerSpec, list[str]]:
    """Return a node's spec with the keys of its own environment, and the variables that are not set there.

    Raises:
        ConfigError: One holds what no key holds; it is not repeated.
    """
    keys = [None if name is None else key_in(environ, name) for name in orders.variables]
    missing = [name for name, key in zip(orders.variables, keys, strict=True) if name is not None and key is None]
    endpoints = tuple(
        msgspec.structs.replace(endpoint, api_key=key)
        for endpoint, key in zip(orders.spec.endpoints, keys, strict=True)
    )
    return msgspec.structs.replace(orders.spec, endpoints=endpoints), list(dict.fromkeys(missing))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
