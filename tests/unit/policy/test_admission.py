"""Who is admitted, who goes next, and when to come back: in virtual time."""

from __future__ import annotations

import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.admission import Admission, AgeingQueue

AGEING_S = 30.0

#: (instant in tenths of a second, class) of each arrival.
arrivals = st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 9)), min_size=1, max_size=40).map(sorted)


def make(slots: int = 3, queue_size: int = 20, longest_s: float = 120.0) -> Admission:
    """Return an empty pool."""
    return Admission(slots=slots, queue_size=queue_size, ageing_s=AGEING_S, longest_s=longest_s)


@given(arrivals)
def test_within_a_class_the_first_comes_first(coming: list[tuple[int, int]]) -> None:
    """Whatever else waits, nobody is overtaken by a later one of the same or a lower rank."""
    queue = AgeingQueue(AGEING_S)
    for number, (tenths, priority) in enumerate(coming):
        queue.add(str(number), priority=priority, now_s=tenths / 10)
    order = [int(item) for item in iter(queue.pop, None)]
    assert sorted(order) == list(range(len(coming)))
    for place, earlier in enumerate(order):
        for later in order[place + 1 :]:
            if later < earlier:
                assert coming[later][1] > coming[earlier][1]


@given(arrivals, st.integers(1, 9))
def test_f41_nobody_starves(coming: list[tuple[int, int]], priority: int) -> None:
    """One of a low class is overtaken by those alone that come within its class times the ageing time after it."""
    queue = AgeingQueue(AGEING_S)
    queue.add("low", priority=priority, now_s=0.0)
    for number, (tenths, other) in enumerate(coming):
        queue.add(str(number), priority=other, now_s=tenths / 10)
    before: list[str] = []
    while (item := queue.pop()) not in {"low", None}:
        before.append(str(item))
    assert all(coming[int(each)][0] / 10 <= priority * AGEING_S for each in before)
    # And those of the highest class who come within it do go first.
    early = [number for number, (tenths, other) in enumerate(coming) if not other and tenths / 10 < priority * AGEING_S]
    assert {str(number) for number in early} <= set(before)


@given(st.lists(st.sampled_from(["come", "begin", "end", "leave"]), max_size=200), st.integers(1, 4), st.integers(0, 5))
def test_f41_slots_and_queue_are_filled_and_never_overfilled(steps: list[str], slots: int, queue_size: int) -> None:
    """However tasks come, begin, end and leave: never more than the slots are busy, never more than the queue wait,
    and whoever is refused found every place taken.
    """
    pool = make(slots, queue_size)
    waiting: list[str] = []
    for number, step in enumerate(steps):
        if step == "come":
            assert pool.has_room == (pool.busy + len(waiting) < slots + queue_size)
            if pool.has_room:
                pool.admit(str(number), priority=0, now_s=float(number))
                waiting.append(str(number))
        elif step == "begin":
            free = pool.busy < slots
            begun = pool.begin()
            assert begun == (waiting.pop(0) if free and waiting else None)
        elif step == "end" and pool.busy:
            pool.end()
        elif step == "leave" and waiting:
            assert pool.withdraw(waiting.pop())
        assert 0 <= pool.busy <= slots
        assert pool.waiting == max(0, len(waiting) - (slots - pool.busy)) <= queue_size
        assert [pool.position(item) for item in waiting] == [
            max(0, place + 1 - (slots - pool.busy)) for place in range(len(waiting))
        ]
    assert not pool.withdraw("nobody")
    assert pool.position("nobody") is None


def test_two_hundred_at_once_are_23() -> None:
    """Three slots and twenty places admit 23 of 200, and count the others."""
    pool = make()
    for number in range(200):
        if pool.has_room:
            pool.admit(str(number), priority=1, now_s=0.0)
        else:
            pool.refuse(0.0)
    assert pool.rejected == 177
    assert [pool.begin() for _ in range(4)] == ["0", "1", "2", None]
    assert pool.waiting == 20


def test_a_time_to_come_back_is_known_before_anybody_was_served() -> None:
    """Before the first task has ended it is taken to last a second; never is anybody told less than a second, nor
    more than the longest time, however many are refused.
    """
    pool = make(longest_s=10.0)
    told = [pool.refuse(0.0) for _ in range(1000)]
    assert told[:6] == [1, 1, 1, 2, 2, 2]
    assert set(told[100:]) == {10}
    assert pool.mean_service_s is None
    # The line is as long as it is now, not as it was.
    assert pool.refuse(1000.0) == 1


class Served:
    """A pool whose tasks all take the same time, in virtual time."""

    def __init__(self, pool: Admission, service_s: float) -> None:
        self._pool = pool
        self._service_s = service_s
        self._ends: list[float] = []

    def begin(self, now_s: float) -> None:
        """Let those begin who may."""
        while self._pool.begin() is not None:
            heapq.heappush(self._ends, now_s + self._service_s)

    def advance(self, now_s: float) -> None:
        """Let those end whose time has come, and others begin in their stead."""
        while self._ends and self._ends[0] <= now_s:
            end_s = heapq.heappop(self._ends)
            self._pool.end()
            self._pool.served(self._service_s)
            self.begin(end_s)


@pytest.mark.parametrize("service_s", [0.3, 2.0, 7.5])
def test_who_comes_back_in_time_is_admitted(service_s: float) -> None:
    """Of 177 who are refused and come back when they are told to, at least nine in ten find a place at once."""
    pool = make(longest_s=10_000.0)
    pool.served(service_s)
    served = Served(pool, service_s)
    for number in range(23):
        pool.admit(str(number), priority=0, now_s=0.0)
    served.begin(0.0)
    admitted = 0
    for number, back_s in enumerate(sorted(pool.refuse(0.0) for _ in range(177))):
        served.advance(back_s)
        if pool.has_room:
            admitted += 1
            pool.admit(f"back {number}", priority=0, now_s=back_s)
            served.begin(back_s)
        else:
            pool.refuse(back_s)
    assert admitted >= math.ceil(0.9 * 177)
