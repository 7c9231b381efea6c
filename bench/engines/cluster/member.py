"""A node as its run sees it: what it has to do, and what of that it does not know yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bench.engines.cluster import messages
from bench.manifest import NodeFacts
from bench.records import WorkerId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.engines.cluster.link import Link, Present
    from bench.engines.cluster.messages import Stage
    from bench.engines.cluster.orders import Facts
    from bench.worker import Assignment
    from bench.worker.record import Recorder


class Held(NamedTuple):
    """A task that a node has: under which ticket, and since when."""

    ticket: int
    assignment: Assignment
    given_ns: int


class Member:
    """A node that takes part. The loop's thread alone uses it.

    Attributes:
        name: Its name in records.
        host: Its machine's name.
        pid: The process of its Dask worker.
        address: Where that listens.
        cap: How much it may have in flight; None where that is not limited.
        link: The way to it.
        inbox: What of its messages has come.
        given: The tasks that it has, by slot.
        is_listened_to: Whether a call is open in which it can tell something.
        to_send: Set where something is to be sent.
        joined_ns: When it joined.
        left_ns: When it was lost; None while it is there.
        lost: How many tasks it had then.
        cpu_s: CPU seconds that it used; None until it told.
    """

    def __init__(self, name: str, theirs: Facts, present: Present, link: Link, joined_ns: int) -> None:
        self.name = name
        self.host = theirs.host
        self.pid = theirs.pid
        self.address = present.address
        self.cap = present.cap
        self.link = link
        self.inbox = messages.Inbox()
        self.given: dict[int, Held] = {}
        self.is_listened_to = False
        self.to_send = asyncio.Event()
        self.joined_ns = joined_ns
        self.left_ns: int | None = None
        self.lost = 0
        self.cpu_s: float | None = None
        self._unsent: list[int] = []

    def __repr__(self) -> str:
        """Show how much it has."""
        return f"<Member {self.name} {self.address} given={len(self.given)} unsent={len(self._unsent)}>"

    def __str__(self) -> str:
        """Return what it is called in messages."""
        return f"node {self.name} ({self.host})"

    @property
    def has_room(self) -> bool:
        """Whether it may have another task."""
        return self.cap is None or len(self.given) < self.cap

    def give(self, slot: int, held: Held) -> None:
        """Give it a task for a slot; it is on its way with the next parcel."""
        self.given[slot] = held
        self._unsent.append(slot)
        self.to_send.set()

    def parcel(self, stage: Stage, now_ns: int) -> tuple[bytes, list[int]]:
        """Return what it does not know yet, and the slots whose tasks are in that; their instants go as ages."""
        # One whose call broke may have been sent, and done, all the same.
        slots, self._unsent = [slot for slot in dict.fromkeys(self._unsent) if slot in self.given], []
        given = [_aged(slot, self.given[slot], now_ns) for slot in slots]
        return messages.pack(messages.Parcel(given, self.inbox.heard, stage)), slots

    def not_sent(self, slots: Sequence[int]) -> None:
        """Send these tasks once more: whether they arrived is not known."""
        self._unsent += [slot for slot in slots if slot in self.given]

    def finish(self, slot: int, ticket: int) -> bool:
        """Take a result for the slot's task; return False where it is of a task that it no longer has."""
        held = self.given.get(slot)
        if held is None or held.ticket != ticket:
            return False
        del self.given[slot]
        return True

    def facts(self, run_clock: Recorder) -> NodeFacts:
        """Return what the run's manifest says of it."""
        return NodeFacts(
            name=self.name,
            host=self.host,
            address=self.address,
            pid=self.pid,
            slots=self.cap,
            joined_s=run_clock.since_origin_s(self.joined_ns),
            left_s=None if self.left_ns is None else run_clock.since_origin_s(self.left_ns),
            lost=self.lost,
            cpu_s=self.cpu_s,
        )

    def take_given(self) -> list[tuple[int, Assignment, int]]:
        """Return what it had been given and has not finished: slots, tasks, and since when; it has none any more."""
        given = [(slot, held.assignment, held.given_ns) for slot, held in self.given.items()]
        self.given.clear()
        self._unsent.clear()
        return given

    def who(self, slot: int) -> WorkerId:
        """Return what records say of one of its slots."""
        return WorkerId(pid=self.pid, thread="MainThread", slot=slot, node=self.name)


def next_for_task(members: Iterable[Member]) -> Member | None:
    """Return which node gets the next task: of those that have room the one with fewest; None where none has."""
    return min((each for each in members if each.has_room), key=lambda each: len(each.given), default=None)


def _aged(slot: int, held: Held, now_ns: int) -> messages.Given:
    assignment = held.assignment
    started_ns = assignment.started_ns
    aged = msgspec.structs.replace(
        assignment,
        scheduled_ns=now_ns - assignment.scheduled_ns,
        started_ns=None if started_ns is None else now_ns - started_ns,
    )
    return messages.Given(slot, held.ticket, aged)
