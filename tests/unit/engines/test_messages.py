"""What a run and a node say to each other, over calls that break on the way there or back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.engines.cluster import messages
from bench.engines.cluster.messages import Inbox, Outbox, Tickets
from bench.worker import Assignment
from tests.samples import make_task

#: What becomes of a call: its answer comes, is lost, or comes after the call was made again.
FATES = st.lists(st.sampled_from(["arrives", "lost", "late"]), max_size=40)


@given(fates=FATES, said=st.lists(st.integers(0, 3), max_size=40))
def test_each_message_is_heard_once_and_in_order(fates: list[str], said: list[int]) -> None:
    """Whatever answers are lost or come late, each message of a node is heard exactly once, in the order of saying."""
    outbox, inbox = Outbox(), Inbox()
    heard: list[bytes] = []
    told = 0
    late: list[messages.Answer] = []
    for place, fate in enumerate([*fates, "arrives", "arrives"]):
        for _ in range(said[place] if place < len(said) else 0):
            outbox.put(messages.DONE, str(told).encode())
            told += 1
        outbox.heard(inbox.heard)
        answer = messages.unpack_answer(messages.pack(outbox.answer()))
        if fate == "late":
            late.append(answer)
        elif fate == "arrives":
            heard += [content for _, content in inbox.take(answer)]
            for old in late:
                assert [content for _, content in inbox.take(old)] == []
            late.clear()
    assert heard == [str(number).encode() for number in range(told)][: len(heard)]
    assert inbox.heard == len(heard)
    outbox.heard(inbox.heard)
    assert len(outbox.answer().messages) == told - len(heard)


@given(calls=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=40))
def test_a_task_is_begun_once(calls: list[tuple[int, int]]) -> None:
    """However often a parcel comes, and in whatever order with others, each of a slot's tasks is begun once."""
    tickets = Tickets()
    begun: list[tuple[int, int]] = []
    last: dict[int, int] = {}
    for ticket, (slot, times) in enumerate(calls):
        before = last.get(slot)
        for _ in range(times):
            begun += [(slot, ticket)] if tickets.is_new(slot, ticket) else []
            if before is not None:
                # What a broken call brought to this slot before comes after all.
                assert not tickets.is_new(slot, before)
        last[slot] = ticket
        assert tickets.of(slot) == ticket
    assert begun == [(slot, ticket) for ticket, (slot, _) in enumerate(calls)]


def test_a_parcel_comes_as_it_was_packed() -> None:
    """A parcel and its tasks survive the way."""
    assignment = Assignment(task=make_task(3), scheduled_ns=5, started_ns=7)
    parcel = messages.Parcel([messages.Given(2, 9, assignment)], 4, "drain")
    assert messages.unpack_parcel(messages.pack(parcel)) == parcel
