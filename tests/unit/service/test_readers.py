"""Readers of a task that leave, come back, or stop reading."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, get_args

import pytest

from bench.service.refusals import EventsGone
from bench.service.values import Path as TaskPath
from tests.desks import desk, error_code, held, read, run, text_of, until, view, wish
from tests.faultserver import FaultServer
from tests.wire import DONE, STOP, chunk, event, sending, streamed

if TYPE_CHECKING:
    from pathlib import Path


def test_a_task_that_its_client_can_return_to_waits_for_it(tmp_path: Path) -> None:
    """With a key a reader that comes back within the grace finds the rest; after the grace the call is closed."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url, reconnect_grace=0.4) as at:
            kept = at.submit(wish("kept", idempotency_key="kept")).task_id
            await until(lambda: view(at, kept).chunks == 1)
            async with aclosing(at.events(kept)) as events:
                had = [await anext(events) for _ in range(3)]
            assert had[0].data["reconnect_grace_s"] == 0.4
            rest = asyncio.create_task(read(at, kept, had[-1].number))
            # Nobody ever reads it: when it is given up, the grace of the other one is over as well.
            left = at.submit(wish("left", idempotency_key="left")).task_id
            await until(lambda: view(at, left).state == "cancelled")
            assert error_code(await read(at, left)) == "client_gone"
            assert view(at, kept).state == "running"
            provider.let(1)
            assert text_of(had + await rest) == "one two"
            await until(lambda: provider.gone == 1)

    with held() as (provider, server):
        run(work)


@pytest.mark.parametrize("path", get_args(TaskPath))
def test_without_a_key_a_task_ends_with_its_last_reader(path: TaskPath, tmp_path: Path) -> None:
    """A task goes on as long as one of its readers is there; as the last one leaves its call is closed, and one that
    waits is never asked for.
    """

    async def work() -> None:
        async with desk(tmp_path, server.base_url, agent_slots=1, reconnect_grace=1000.0) as at:
            task_id, waiting = at.submit(wish(path=path)).task_id, at.submit(wish("waiting")).task_id
            async with aclosing(at.events(task_id)) as one:
                assert (await anext(one)).data["reconnect_grace_s"] == 0
                async with aclosing(at.events(task_id)) as other:
                    await anext(other)
                assert view(at, task_id).state != "cancelled"
                if path == "pooled":
                    async with aclosing(at.events(waiting)) as events:
                        await anext(events)
                    assert view(at, waiting).state == "cancelled"
                await until(lambda: view(at, task_id).chunks == 1)
            assert view(at, task_id).state == "cancelled"
            await until(lambda: provider.gone == 1)
            assert error_code(await read(at, task_id)) == "client_gone"

    with held() as (provider, server):
        run(work)
    assert "waiting" not in provider.asked or path == "direct"


def test_who_asks_for_the_same_is_not_left_with_a_reader(tmp_path: Path) -> None:
    """Of equal wishes that are asked for once, the one that is asked for can be left: the other has its answer."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url, cache=True) as at:
            leader, follower = (at.submit(wish()).task_id for _ in range(2))
            async with aclosing(at.events(leader)) as events:
                await anext(events)
                await until(lambda: view(at, leader).chunks == 1)
            provider.let()
            assert text_of(await read(at, follower)) == "one two"
            assert view(at, leader).state == "cancelled"

    with held() as (provider, server):
        run(work)
    assert len(provider.asked) == 2


def test_f54_a_reader_that_stops_reading_is_given_up(tmp_path: Path) -> None:
    """A task whose only reader has fallen behind what is kept is given up, and the reader told why."""
    pieces = [event(chunk(f"{number} ")) for number in range(6000)]

    async def work() -> None:
        async with desk(tmp_path, server.base_url) as at:
            task_id = at.submit(wish()).task_id
            async with aclosing(at.events(task_id)) as events:
                assert (await anext(events)).name == "start"
                await until(lambda: view(at, task_id).state == "cancelled")
                rest = [each async for each in events]
            assert [(each.number, each.data["code"]) for each in rest] == [(1, "slow_reader")]
            with pytest.raises(EventsGone):
                at.events(task_id)

    with FaultServer(sending(streamed(*pieces, STOP, DONE))) as server:
        run(work)
