"""The machine's clock, and the virtual one that tests use in its place."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import uvloop

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


LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@LOOPS
@pytest.mark.parametrize("stage", ["drain", "cancel"])
def test_a_stage_wakes_waiting_coroutines(stage: str, run: Callable[..., list[bool]]) -> None:
    """Either stage, raised in another thread, ends the waits of all coroutines at once, and later waits too."""
    clock, stop = MonotonicClock(), StopSignal()

    async def wait() -> list[bool]:
        due_ns = clock.now_ns() + 10**15
        waits = [asyncio.create_task(clock.asleep_until(due_ns + number, stop)) for number in range(3)]
        await asyncio.sleep(0)
        threading.Thread(target=getattr(stop, stage)).start()
        return [*await asyncio.gather(*waits), await clock.asleep_until(due_ns, stop)]

    assert run(wait()) == [False] * 4


@LOOPS
def test_a_cancelled_wait_leaves_nothing_behind(run: Callable[..., None]) -> None:
    """Cancelling a coroutine that waits raises CancelledError in it; no callback and no descriptor are left."""
    clock, stop = MonotonicClock(), StopSignal()

    async def give_up_waiting() -> None:
        before = psutil.Process().num_fds()
        waiting = asyncio.create_task(clock.asleep_until(clock.now_ns() + 10**15, stop))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert psutil.Process().num_fds() == before

    run(give_up_waiting())
    # A callback that was left would meet a closed loop here and raise.
    stop.cancel()


@LOOPS
def test_many_waits_end_in_order_and_never_early(run: Callable[..., list[tuple[int, int]]]) -> None:
    """Waits for instants less than a tick of the loop apart end in the order of the instants, and none before its own.

    One that begins later for an earlier instant is not held up by the others.
    """
    clock, stop = MonotonicClock(), StopSignal()

    async def wait() -> list[tuple[int, int]]:
        ended: list[tuple[int, int]] = []
        start_ns = clock.now_ns() + 20_000_000

        async def until(number: int) -> None:
            due_ns = start_ns + number * 300_000
            assert await clock.asleep_until(due_ns, stop)
            ended.append((number, clock.now_ns() - due_ns))

        await asyncio.gather(*(until(number) for number in (7, 3, 9, 0, 5, 1, 8, 2, 6, 4)))
        return ended

    ended = run(wait())
    assert [number for number, _ in ended] == list(range(10))
    assert all(late_ns >= 0 for _, late_ns in ended)


def test_without_a_kernel_timer_no_wait_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no timers of that kind the event loop's own serve, and no wait ends early either."""
    monkeypatch.setattr("bench.clock._open_timer", lambda: None)
    clock = MonotonicClock()

    async def late_ns() -> list[int]:
        late = []
        for wait_ns in (100_000, 1_400_000, 1_600_000, 2_999_999):
            due_ns = clock.now_ns() + wait_ns
            assert await clock.asleep_until(due_ns, StopSignal())
            late.append(clock.now_ns() - due_ns)
        return late

    assert min(uvloop.run(late_ns())) >= 0
