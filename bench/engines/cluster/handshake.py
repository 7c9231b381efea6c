"""How a node comes to take part in a run: what it is, how its clock stands, and whether it has the keys."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bench.engines.cluster.link import Link
from bench.engines.cluster.member import Member
from bench.engines.cluster.orders import Facts, Orders, difference, facts, without_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

    from bench.clock import Clock
    from bench.engines.cluster.link import Present
    from bench.worker import WorkerSpec

_log = logging.getLogger("bench.engines")

#: How long a node may take: it imports this program first, which on a slow disk takes its time.
_GREET_S: Final = 30.0

#: A node that can be reached directly answers within this; else it is called by way of the scheduler.
_DIRECT_S: Final = 3.0

#: How often a node is asked for its time: the shortest way tells the most.
_CLOCK_READINGS: Final = 7


class NodeRefusedError(Exception):
    """A node cannot take part, and will not be asked again."""


class NodeAbsentError(Exception):
    """A node did not answer; it may be asked again."""


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """What every node is told.

    Attributes:
        spec: What the workers share.
        clock: The run's clock.
        log_level: Least severity of what nodes log.
        name_prefix: What the names of nodes begin with.
    """

    spec: WorkerSpec
    clock: Clock
    log_level: int
    name_prefix: str


async def greet(
    client: Client, node: Present, welcome: Welcome, named: Callable[[str], str], *, canary: bool
) -> Member:
    """Make a node take part.

    Args:
        client: The connection to the scheduler.
        node: The node.
        welcome: What every node is told.
        named: Returns the name under which it takes part, for the one that it has.
        canary: Whether it sends the run's canaries.

    Raises:
        NodeRefusedError: It differs from this process in what matters, lacks a key, or has not this program.
        NodeAbsentError: It did not answer.
    """
    link = Link(client, node.address)
    try:
        async with asyncio.timeout(_GREET_S):
            return await _greeted(link, node, welcome, named, canary=canary)
    except ImportError as error:
        link.close()
        told = (
            f"{_called(node)} cannot import {error.name or error}: start it with this project's folder on PYTHONPATH "
            "and its packages installed"
        )
        raise NodeRefusedError(told) from error
    except (NodeRefusedError, asyncio.CancelledError):
        link.close()
        raise
    except Exception as error:
        # Whatever is wrong with a node, the others go on.
        link.close()
        told = f"{_called(node)} does not answer as it should: {str(error) or type(error).__name__}"
        raise NodeAbsentError(told) from error


async def _greeted(link: Link, node: Present, welcome: Welcome, named: Callable[[str], str], *, canary: bool) -> Member:
    await link.open()
    try:
        async with asyncio.timeout(_DIRECT_S):
            await link.call("now_ns")
    except OSError:
        link.go_through_scheduler()
    theirs: Facts = await link.call("facts")
    name = named(theirs.host if node.name is None else welcome.name_prefix + node.name)
    member = Member(name, theirs, node, link, welcome.clock.now_ns())
    differing = difference(theirs, facts())
    if differing is not None:
        told = f"{member}: {differing}"
        raise NodeRefusedError(told)
    ahead_ns = await _ahead_ns(link, welcome.clock)
    missing: list[str] = await link.call("begin", _orders(name, ahead_ns, welcome, canary=canary))
    if missing:
        told = f"{member}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set in its environment"
        raise NodeRefusedError(told)
    member.joined_ns = welcome.clock.now_ns()
    _log.info(
        "%s joined at %s, process %d, %s in flight at most, called %s; its clock is %+.6f s from this one",
        member,
        member.address,
        member.pid,
        "any number" if member.cap is None else member.cap,
        "directly" if link.is_direct else "through the scheduler",
        ahead_ns / 1e9,
    )
    return member


async def _ahead_ns(link: Link, clock: Clock) -> int:
    """Return how far a node's clock is ahead of this one; wrong by half of the shortest way there and back at most."""
    readings: list[tuple[int, int]] = []
    for _ in range(_CLOCK_READINGS):
        before_ns = clock.now_ns()
        theirs_ns: int = await link.call("now_ns")
        after_ns = clock.now_ns()
        readings.append((after_ns - before_ns, theirs_ns - (before_ns + after_ns) // 2))
    return min(readings)[1]


def _orders(name: str, ahead_ns: int, welcome: Welcome, *, canary: bool) -> Orders:
    """Return what a node is told: the zero of the run is given on its own clock, and so it needs no other."""
    spec = welcome.spec
    endpoints, variables = without_keys(spec.endpoints)
    own = msgspec.structs.replace(
        spec, endpoints=endpoints, origin_ns=spec.origin_ns + ahead_ns, canary=spec.canary if canary else None
    )
    return Orders(spec=own, variables=variables, node=name, log_level=welcome.log_level)


def _called(node: Present) -> str:
    return f"node {node.name or node.address}"
