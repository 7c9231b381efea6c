"""The bounded map: how many at once, in which order, how far ahead, and what becomes of the rest when one fails."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import tracemalloc
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.concurrency import Bounds, Slots, bounded_map
from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bench.concurrency import Done


class Gauge:
    """Work that counts how much of it is under way."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0
        self.begun: list[int] = []

    async def work(self, item: int) -> int:
        """Return the item, some turns of the event loop later."""
        self.begun.append(item)
        self.now += 1
        self.peak = max(self.peak, self.now)
        for _ in range(item % 5 + 1):
            await asyncio.sleep(0)
        self.now -= 1
        return item


async def numbers(ended: AsyncGenerator[Done[int], None]) -> list[int]:
    """The numbers of all items, as they are yielded; each holds its own result."""
    found = []
    async with aclosing(ended):
        async for done in ended:
            assert done.task.result() == done.number
            found.append(done.number)
    return found


async def failing_at(item: int, wrong: int) -> int:
    """Fail for one item; the others never end by themselves."""
    if item == wrong:
        raise LookupError(item)
    await asyncio.Event().wait()
    return item


@given(count=st.integers(0, 60), at_once=st.integers(1, 12), ahead=st.integers(1, 5), ordered=st.booleans())
def test_bounds_are_reached_and_never_passed(count: int, at_once: int, ahead: int, ordered: bool) -> None:  # noqa: FBT001 - hypothesis
    """Every item is done once; never more than N at once, and N where there are so many; in order where asked for."""
    gauge = Gauge()
    bounds = Bounds(at_once=at_once, ahead=ahead)
    found = asyncio.run(numbers(bounded_map(gauge.work, range(count), bounds, ordered=ordered, fail_fast=True)))
    assert (found if ordered else sorted(found)) == list(range(count))
    assert gauge.peak == min(at_once, count)
    assert gauge.begun == list(range(count))


def test_as_they_end() -> None:
    """Without an order a slow item holds up none that ended before it."""

    async def work(item: int) -> int:
        for _ in range(50 if item == 0 else 1):
            await asyncio.sleep(0)
        return item

    bounds = Bounds(at_once=2)
    assert asyncio.run(numbers(bounded_map(work, range(6), bounds, ordered=False, fail_fast=True)))[-1] == 0


def test_a_slow_item_idles_nobody() -> None:
    """While one item is under way all others are done through the remaining slots: there is no barrier."""
    done: list[int] = []

    async def main() -> list[int]:
        all_others = asyncio.Event()

        async def work(item: int) -> int:
            if item == 0:
                await all_others.wait()
            done.append(item)
            if len(done) == 499:
                all_others.set()
            return item

        return await numbers(bounded_map(work, range(500), Bounds(at_once=2), fail_fast=True))

    assert asyncio.run(main()) == list(range(500))
    assert done == [*range(1, 500), 0]


def test_reading_ahead_is_bounded() -> None:
    """Behind an item that does not end, or in front of a reader who does not read, only so many are begun."""

    async def main() -> None:
        gauge = Gauge()
        first_may_end = asyncio.Event()

        async def work(item: int) -> int:
            if item == 0:
                await first_may_end.wait()
            return await gauge.work(item)

        bounds = Bounds(at_once=4, ahead=10)
        async with aclosing(bounded_map(work, itertools.count(), bounds, fail_fast=True)) as ended:
            first = asyncio.ensure_future(anext(ended))
            for _ in range(300):
                await asyncio.sleep(0)
            assert len(gauge.begun) == 4 + 10 - 1
            first_may_end.set()
            assert (await first).number == 0
            for _ in range(300):
                await asyncio.sleep(0)
            assert len(gauge.begun) == 4 + 10 + 1

    asyncio.run(main())


def test_memory_does_not_grow_with_the_input() -> None:
    """Twenty times the items take no more memory at once."""

    async def work(item: int) -> bytes:
        await asyncio.sleep(0)
        return bytes(10_000 + item % 7)

    async def peak_bytes(count: int) -> int:
        tracemalloc.start()
        try:
            async with aclosing(bounded_map(work, iter(range(count)), Bounds(at_once=8), fail_fast=True)) as ended:
                async for done in ended:
                    assert len(done.task.result()) >= 10_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = asyncio.run(peak_bytes(500)), asyncio.run(peak_bytes(10_000))
    assert large < small + 200_000, "500 results of 10 kB would be 5 MB, 10,000 of them 100 MB"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_failure_ends_the_rest_first(ordered: bool) -> None:  # noqa: FBT001 - a parameter
    """The first failure is raised when all others were cancelled and have ended, and nothing is begun after it."""
    ends: list[int] = []

    async def work(item: int) -> int:
        try:
            return await failing_at(item, wrong=5)
        finally:
            await asyncio.sleep(0)
            ends.append(item)

    async def main() -> int:
        with pytest.raises(LookupError, match="5"):
            await numbers(bounded_map(work, itertools.count(), Bounds(at_once=8), ordered=ordered, fail_fast=True))
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert sorted(ends) == list(range(8))


def test_leaving_early_ends_the_rest() -> None:
    """Who leaves the block early leaves nothing behind, also where an item takes its time over a cancellation."""

    async def work(item: int) -> int:
        if item < 2:
            return item
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
        return item

    async def main() -> tuple[int, int]:
        slots = Slots(4)
        async with aclosing(bounded_map(work, range(9), Bounds(at_once=4, slots=slots), fail_fast=True)) as ended:
            await anext(ended)
        return len(asyncio.all_tasks()), slots.taken

    assert asyncio.run(main()) == (1, 0)


def test_a_second_cancellation_waits_too() -> None:
    """Whoever cancels the caller again, while it waits for the items' end, gets no caller that ends before them."""
    ended: list[str] = []

    async def work(_item: int) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            ended.append("item")
        return 0

    async def main() -> None:
        caller = asyncio.ensure_future(numbers(bounded_map(work, [0], Bounds(at_once=1), fail_fast=True)))
        caller.add_done_callback(lambda _: ended.append("caller"))
        for _ in range(3):
            for _ in range(4):
                await asyncio.sleep(0)
            caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(main())
    assert ended == ["item", "caller"]


def test_an_input_that_fails() -> None:
    """What reading the input raises is raised to the caller, after the items under way were cancelled."""
    cancelled: list[int] = []

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the file is gone")

    async def work(item: int) -> int:
        try:
            if item != 1:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    async def main() -> None:
        with pytest.raises(OSError, match="the file is gone"):
            await numbers(bounded_map(work, items(), Bounds(at_once=3), fail_fast=False))

    asyncio.run(main())
    assert cancelled == [0, 2]


def test_items_are_apart() -> None:
    """A context variable that an item sets is not seen by the next item, and the caller's is seen by all."""
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="unset")

    async def work(item: int) -> int:
        assert mine.get() == "the caller's"
        mine.set(f"item {item}")
        await asyncio.sleep(0)
        return item

    async def main() -> None:
        mine.set("the caller's")
        await numbers(bounded_map(work, range(10), Bounds(at_once=2), fail_fast=True))
        assert mine.get() == "the caller's"

    asyncio.run(main())


def test_shared_slots() -> None:
    """Maps that share slots have N at once between them, both get on, and a map that has failed keeps none waiting."""
    gauge = Gauge()

    async def main() -> list[list[int]]:
        bounds = Bounds(at_once=5, slots=Slots(3))
        maps = [numbers(bounded_map(gauge.work, range(40), bounds, fail_fast=True)) for _ in range(3)]
        with_failure = numbers(bounded_map(lambda item: failing_at(item, 0), range(9), bounds, fail_fast=True))
        first, *rest = await asyncio.wait_for(asyncio.gather(with_failure, *maps, return_exceptions=True), 30)
        assert isinstance(first, LookupError)
        return [each for each in rest if isinstance(each, list)]

    assert asyncio.run(main()) == [list(range(40))] * 3
    assert gauge.peak == 3


def test_a_free_slot_finds_who_wants_it() -> None:
    """Where one who waited does not want a freed slot any more, it goes to the next who waits, at once."""
    slots = Slots(1)
    called: list[str] = []

    def first() -> None:
        called.append("first")

    def second() -> None:
        called.append("second")
        assert slots.take(second)

    assert slots.take(first)
    assert not slots.take(first)
    assert not slots.take(second)
    slots.give()
    assert called == ["first", "second"]
    assert slots.taken == 1


def test_slots_of_one_own_holder() -> None:
    """A batch within an item of a batch on the same slots is refused: with every slot held so, all would wait."""

    async def main() -> None:
        bounds = Bounds(at_once=1, slots=Slots(1))

        async def outer(_item: int) -> list[int]:
            return await numbers(bounded_map(Gauge().work, range(2), bounds, fail_fast=True))

        with pytest.raises(ConfigError, match="from within an item"):
            async with aclosing(bounded_map(outer, [0], bounds, fail_fast=True)) as ended:
                await anext(ended)

    asyncio.run(main())


def test_a_failure_while_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An item that fails while it is cancelled cannot be raised as well; it is not lost, but in the log."""

    async def work(item: int) -> int:
        try:
            return await failing_at(item, wrong=1)
        except asyncio.CancelledError:
            raise RuntimeError("could not clean up") from None

    async def main() -> None:
        with pytest.raises(LookupError):
            await numbers(bounded_map(work, range(2), Bounds(at_once=2), fail_fast=True))

    with caplog.at_level(logging.WARNING, "bench.concurrency"):
        asyncio.run(main())
    assert "could not clean up" in caplog.text


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "4"])
def test_wrong_bounds(wrong: int) -> None:
    """A number of slots that is none is refused with the value."""
    with pytest.raises(ConfigError, match=f"whole number of at least 1, got {wrong!r}"):
        Slots(wrong)
