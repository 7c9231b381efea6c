"""A node as its run sees it: what it has, what it is sent, and which results are taken."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engines.cluster import messages
from bench.engines.cluster.link import Link, Present
from bench.engines.cluster.member import Held, Member, next_for_task
from bench.engines.cluster.orders import Facts
from bench.worker import Assignment
from tests.clocks import NS_PER_S, PRESENT_NS
from tests.samples import make_task


def make_member(name: str = "n1", cap: int | None = None) -> Member:
    """A node that nobody calls."""
    facts = Facts(host="h", pid=7, versions={})
    present = Present(address=f"tcp://{name}", name=name, cap=cap)
    return Member(name, facts, present, cast("Link", None), PRESENT_NS)


def held(ticket: int, scheduled_ns: int = PRESENT_NS) -> Held:
    """A task under a ticket."""
    return Held(ticket, Assignment(task=make_task(ticket), scheduled_ns=scheduled_ns), PRESENT_NS)


@given(
    caps=st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=1, max_size=5),
    slots=st.integers(1, 20),
    ends=st.lists(st.integers(0, 1_000), max_size=60),
)
def test_slots_are_shared_out_evenly(caps: list[int | None], slots: int, ends: list[int]) -> None:
    """No node has more than its cap; none that could take more has two fewer than another; no slot that one of them
    could take is left free.
    """
    members = [make_member(str(place), cap) for place, cap in enumerate(caps)]
    free, ticket = list(range(slots)), 0
    for end in [None, *ends]:
        under_way = [(member, slot, held.ticket) for member in members for slot, held in member.given.items()]
        if end is not None and under_way:
            member, slot, its = under_way[end % len(under_way)]
            assert member.finish(slot, its)
            free.append(slot)
        while free and (chosen := next_for_task(members)) is not None:
            fewest = min(len(each.given) for each in members if each.has_room)
            assert len(chosen.given) == fewest
            chosen.give(free.pop(), held(ticket))
            ticket += 1
        assert all(each.cap is None or len(each.given) <= each.cap for each in members)
        assert not free or not any(each.has_room for each in members)
    assert sum(len(each.given) for each in members) + len(free) == slots


def test_only_the_result_of_the_task_that_it_has_is_taken() -> None:
    """A result that comes again, or for a task that was taken away, is passed over."""
    member = make_member()
    member.give(0, held(5))
    assert not member.finish(0, 4)
    assert member.finish(0, 5)
    assert not member.finish(0, 5)
    member.give(0, held(6))
    assert [assignment.task.index for _, assignment, _ in member.take_given()] == [6]
    assert not member.finish(0, 6)


def test_what_may_not_have_arrived_is_sent_again() -> None:
    """Tasks whose call broke go with the next parcel, but for those whose results have come all the same."""
    member = make_member()
    member.give(0, held(1))
    member.give(1, held(2))
    _, slots = member.parcel("run", PRESENT_NS)
    assert messages.unpack_parcel(member.parcel("run", PRESENT_NS)[0]).given == []
    member.finish(0, 1)
    member.not_sent(slots)
    again = messages.unpack_parcel(member.parcel("run", PRESENT_NS)[0])
    assert [(given.slot, given.ticket) for given in again.given] == [(1, 2)]


@pytest.mark.parametrize("waited_s", [0, 3, -2])
def test_instants_go_as_ages(waited_s: int) -> None:
    """A node is told how long ago a task's instants were, by the clock that has read both ends; never an instant."""
    member = make_member()
    member.give(0, held(1, PRESENT_NS - waited_s * NS_PER_S))
    (given_task,) = messages.unpack_parcel(member.parcel("run", PRESENT_NS)[0]).given
    assert given_task.assignment.scheduled_ns == waited_s * NS_PER_S
    assert given_task.assignment.started_ns is None
