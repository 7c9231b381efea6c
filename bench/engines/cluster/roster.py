"""Which nodes take part: found at the scheduler, greeted, and seen off when it no longer knows them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S
from bench.engines.cluster.handshake import NodeAbsentError, NodeRefusedError, greet
from bench.engines.cluster.link import present_nodes
from bench.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

    from bench.engines.cluster.handshake import Welcome
    from bench.engines.cluster.link import Present
    from bench.engines.cluster.member import Member

_log = logging.getLogger("bench.engines")

#: How often the scheduler is asked who is there.
_LOOK_EVERY_S: Final = 0.5

#: A scheduler that cannot be connected to for so long is gone.
_UNCONNECTED_S: Final = 4.0

#: A scheduler that stands still for so long is gone; the nodes go on meanwhile.
_STILL_S: Final = 15.0

#: How long a node that did not answer is left alone.
_ABSENT_S: Final = 5.0

#: How long a run without any node waits for one.
WITHOUT_NODES_S: Final = 30.0


class Roster:
    """The nodes that take part. The loop's thread alone uses it.

    Args:
        client: The connection to the scheduler.
        address: The scheduler's.
        welcome: What every node is told.
        joined: Called with each node that takes part from now on.
        left: Called with each that does no more, and why.
        resume: The options that go on with the run, for messages.

    Attributes:
        members: Who takes part, by address.
        refused: Why nodes may not.
    """

    def __init__(
        self,
        client: Client,
        address: str,
        welcome: Welcome,
        joined: Callable[[Member], None],
        left: Callable[[Member, str], None],
        resume: str,
    ) -> None:
        self._client = client
        self._address = address
        self._welcome = welcome
        self._joined = joined
        self._left = left
        self._resume = resume
        self._clock = welcome.clock
        self._not_before_ns: dict[str, int] = {}
        self._greetings: dict[str, asyncio.Task[None]] = {}
        self._look = asyncio.Event()
        self._names: dict[str, str] = {}
        self._canary_at: str | None = None
        self.members: dict[str, Member] = {}
        self.refused: dict[str, str] = {}

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Roster {len(self.members)} nodes, {len(self._greetings)} greeted, {len(self.refused)} refused>"

    @property
    def is_settled(self) -> bool:
        """Whether everybody who is known takes part or may not."""
        return not self._greetings

    def look(self) -> None:
        """Ask the scheduler now who is there: somebody seems not to be."""
        self._look.set()

    def lose(self, member: Member, how: str) -> None:
        """Take a node for lost; it may come again later."""
        if self.members.get(member.address) is not member:
            return
        del self.members[member.address]
        if self._canary_at == member.address:
            self._canary_at = None
        self._not_before_ns[member.address] = self._clock.now_ns() + int(_ABSENT_S * NS_PER_S)
        member.link.close()
        self._names.pop(member.address, None)
        self._left(member, how)
        if not self.members:
            _log.warning("no node is left; another one is waited for, up to %g s", WITHOUT_NODES_S)

    async def watch(self) -> None:
        """Follow who is there, until cancelled.

        Raises:
            RunError: The scheduler is gone, or there has been no node for `WITHOUT_NODES_S`.
        """
        answered_ns = last_node_ns = self._clock.now_ns()
        while True:
            self._look.clear()
            present = await self._present(answered_ns)
            answered_ns = self._clock.now_ns() if present is not None else answered_ns
            if present is not None:
                self._compare(present)
            if self.members or self._greetings:
                last_node_ns = self._clock.now_ns()
            self._check_waiting(last_node_ns)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._look.wait()

    async def aclose(self) -> None:
        """Give up greetings that are under way."""
        for greeting in self._greetings.values():
            greeting.cancel()
        await asyncio.gather(*self._greetings.values(), return_exceptions=True)

    async def _present(self, answered_ns: int) -> list[Present] | None:
        """Return who is there; None where the scheduler does not answer yet."""
        try:
            async with asyncio.timeout(_STILL_S):
                return await present_nodes(self._client)
        except OSError as error:
            if self._clock.now_ns() - answered_ns < _UNCONNECTED_S * NS_PER_S:
                return None
            msg = f"the scheduler at {self._address} is gone; what had ended is kept; go on with: {self._resume}"
            raise RunError(msg) from error

    def _check_waiting(self, last_node_ns: int) -> None:
        waited_s = (self._clock.now_ns() - last_node_ns) / NS_PER_S
        if waited_s > WITHOUT_NODES_S:
            refused = "".join(f"; refused: {told}" for told in self.refused.values())
            msg = (
                f"there has been no node at {self._address} for {WITHOUT_NODES_S:g} s{refused}; start one with: "
                f"dask worker {self._address}"
            )
            raise RunError(msg)

    def _compare(self, present: list[Present]) -> None:
        """Greet who is new, and see off who is gone."""
        addresses = {node.address for node in present}
        for member in list(self.members.values()):
            if member.address not in addresses:
                self.lose(member, "is gone: its scheduler no longer knows it")
        for address in self.refused.keys() - addresses:
            # Started again, perhaps with what it lacked, it may listen at the same place.
            del self.refused[address]
        for node in present:
            busy = node.address in self.members or node.address in self._greetings or node.address in self.refused
            if not busy and self._clock.now_ns() >= self._not_before_ns.get(node.address, 0):
                self._greetings[node.address] = asyncio.get_running_loop().create_task(self._greet(node))

    async def _greet(self, node: Present) -> None:
        canary = self._canary_at is None
        if canary:
            self._canary_at = node.address
        try:
            member = await greet(
                self._client, node, self._welcome, functools.partial(self._named, node.address), canary=canary
            )
        except NodeRefusedError as refusal:
            self.refused[node.address] = str(refusal)
            _log.warning("%s; it takes no part", refusal)
        except NodeAbsentError as absence:
            self._not_before_ns[node.address] = self._clock.now_ns() + int(_ABSENT_S * NS_PER_S)
            _log.warning("%s", absence)
        else:
            self.members[node.address] = member
            self._joined(member)
        finally:
            self._greetings.pop(node.address, None)
            if node.address not in self.members:
                self._names.pop(node.address, None)
                if canary:
                    self._canary_at = None
            self._look.set()

    def _named(self, address: str, name: str) -> str:
        """Return a name that no other node has now: workers that were given none go by their host's."""
        others = {other for where, other in self._names.items() if where != address}
        candidates = itertools.chain((name,), (f"{name}-{number}" for number in itertools.count(2)))
        self._names[address] = next(each for each in candidates if each not in others)
        return self._names[address]
