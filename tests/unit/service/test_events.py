"""A task's events: numbered, bounded, and the same for every reader that keeps up."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from bench.service.events import Reading, Ring
from bench.service.refusals import EventsGone
from tests.desks import run, until


def make(*, most_events: int = 4, most_characters: int = 100) -> tuple[Ring, list[Reading]]:
    """Return a ring and what it says of its readers."""
    said: list[Reading] = []
    return Ring(said.append, most_events=most_events, most_characters=most_characters), said


def test_events_are_kept_within_their_bounds() -> None:
    """Of many events the last are kept, and of long texts as many as have room; what is gone is said to be."""

    async def work() -> None:
        ring, _ = make()
        for text in ("a", "b", "c", "d", "e"):
            ring.add("chunk", {"text": text})
        ring.close()
        with pytest.raises(EventsGone):
            ring.check(0)
        ring.check(1)
        assert [each.data["text"] async for each in ring.follow(1)] == ["b", "c", "d", "e"]
        ring, _ = make()
        for _ in range(3):
            ring.add("chunk", {"text": "x" * 60})
        with pytest.raises(EventsGone):
            ring.check(1)
        ring.check(2)
        ring.clear()
        with pytest.raises(EventsGone):
            ring.check(2)
        ring.check(3)

    run(work)


def test_every_reader_has_every_event_in_order() -> None:
    """Readers that come before, between and after the events, and one that is cut off meanwhile, each have those after
    the number that they name.
    """

    async def work() -> None:
        ring, said = make(most_events=100)

        async def follow(after: int) -> list[int]:
            async with aclosing(ring.follow(after)) as events:
                return [each.number async for each in events]

        early, cut_off = asyncio.create_task(follow(0)), asyncio.create_task(follow(0))
        for number in range(5):
            ring.add("chunk", {"text": str(number)})
            await asyncio.sleep(0)
        cut_off.cancel()
        late = asyncio.create_task(follow(3))
        for number in range(5, 10):
            ring.add("chunk", {"text": str(number)})
            await asyncio.sleep(0)
        await until(lambda: ring.readers == 2)
        ring.close()
        assert await early == list(range(1, 11))
        assert await late == list(range(4, 11))
        assert await follow(10) == []
        assert await follow(99) == []
        assert cut_off.cancelled()
        assert said.count("came") == 5
        assert said[-1] == "left"
        assert ring.readers == 0

    run(work)


def test_only_when_all_readers_have_fallen_behind_is_it_said() -> None:
    """While one reader keeps up, others may lag; the laggard ends with an error that has the number of its last event,
    so that it is told the same when it comes back.
    """

    async def work() -> None:
        ring, said = make()
        async with aclosing(ring.follow(0)) as slow, aclosing(ring.follow(0)) as quick:
            ring.add("start", {})
            assert (await anext(slow)).number == (await anext(quick)).number == 1
            for number in range(2, 8):
                ring.add("chunk", {"text": "x"})
                assert (await anext(quick)).number == number
            assert "lapsed" not in said
            lagging = [each async for each in slow]
            assert [(each.number, each.data["code"]) for each in lagging] == [(1, "slow_reader")]
            for _ in range(5):
                ring.add("chunk", {"text": "x"})
            assert "lapsed" in said

    run(work)
