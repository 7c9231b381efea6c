"""The machine's clock, and the virtual one that tests use in its place."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bench.clock import NS_PER_S, MonotonicClock
from bench.stop import StopSignal
from tests.clocks import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clock import Clock


def in_thread(clock: Clock, due_ns: int, stop: StopSignal) -> bool:
    """Wait as a thread does."""
    return clock.sleep_until(due_ns, stop)


def on_loop(clock: Clock, due_ns: int, stop: StopSignal) -> bool:
    """Wait as a coroutine does."""
    return asyncio.run(clock.asleep_until(due_ns, stop))


BOTH = pytest.mark.parametrize("sleep", [in_thread, on_loop])
CLOCKS = pytest.mark.parametrize("make_clock", [MonotonicClock, VirtualClock])


def test_it_is_the_performance_counter() -> None:
    """The clock is `perf_counter_ns`, which clients stamp with too, so that their instants can be subtracted."""
    before = time.perf_counter_ns()
    now = MonotonicClock().now_ns()
    assert before <= now <= time.perf_counter_ns()


@BOTH
@CLOCKS
def test_a_wait_is_never_short(make_clock: Callable[[], Clock], sleep: Callable[..., bool]) -> None:
    """A wait that nothing cuts short is whole, and ends at or after the instant that was asked for."""
    clock = make_clock()
    for wait_ns in (5_000_000, 1, 0, -NS_PER_S):
        due_ns = clock.now_ns() + wait_ns
        assert sleep(clock, due_ns, StopSignal())
        assert clock.now_ns() >= due_ns


@BOTH
@CLOCKS
def test_a_drain_cuts_a_wait_short(make_clock: Callable[[], Clock], sleep: Callable[..., bool]) -> None:
    """In a run that drains no wait begins, however long and however short it would be."""
    clock, stop = make_clock(), StopSignal()
    stop.drain()
    assert [sleep(clock, clock.now_ns() + wait_ns, stop) for wait_ns in (10**15, 1)] == [False, False]


@BOTH
def test_virtual_time_stands_still_where_the_plan_interrupts(sleep: Callable[..., bool]) -> None:
    """What is planned on a virtual clock happens at its own instant, in order, and a drain leaves the time there."""
    clock, stop = VirtualClock(), StopSignal()
    begun_ns = clock.now_ns()
    seen: list[float] = []
    for after_s in (3.0, 1.0, 2.0):
        clock.plan(after_s, lambda: seen.append((clock.now_ns() - begun_ns) / NS_PER_S))
    clock.plan(3.0, stop.drain)
    assert not sleep(clock, begun_ns + 10 * NS_PER_S, stop)
    assert seen == [1.0, 2.0, 3.0]
    assert clock.now_ns() == begun_ns + 3 * NS_PER_S
