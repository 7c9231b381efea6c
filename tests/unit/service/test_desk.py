"""The desk of the service: answers as they arrive, few at a time, in order, and given up when they should be."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from typing import TYPE_CHECKING, get_args

import pytest

from bench.errors import ConfigError, JournalError
from bench.service.refusals import Closing, Conflict, Full
from bench.service.values import Path as TaskPath
from tests.desks import desk, error_code, held, read, run, text_of, until, view, wish
from tests.faultserver import FaultServer
from tests.wire import DONE, STOP, chunk, event, sending, streamed

if TYPE_CHECKING:
    from pathlib import Path

    from bench.config import ClientName
    from bench.service.desk import Desk
    from bench.service.values import Submitted
    from tests.faultserver import Exchange

CASES = list(itertools.product(("lean", "openai"), get_args(TaskPath)))


@pytest.mark.parametrize(("client", "path"), CASES)
def test_a_piece_is_told_while_the_answer_goes_on(client: ClientName, path: TaskPath, tmp_path: Path) -> None:
    """In both paths a reader has the first piece while the provider holds the rest back; a second reader, who comes
    after the end, is told the same from any event on.
    """

    async def work() -> None:
        async with desk(tmp_path, server.base_url, client=client) as at:
            task_id = at.submit(wish(path=path)).task_id
            async with aclosing(at.events(task_id)) as events:
                told = []
                async for each in events:
                    told.append(each)
                    if each.name == "chunk":
                        assert server.in_flight or len(told) > 3
                        provider.let()
            assert [each.name for each in told] == ["start", "progress", "chunk", "chunk", "complete"]
            assert [each.number for each in told] == [1, 2, 3, 4, 5]
            assert text_of(told) == "one two"
            assert told[0].data["position"] == 0
            assert told[-1].data["finish_reason"] == "stop"
            assert (view(at, task_id).state, view(at, task_id).chunks) == ("succeeded", 2)
            for after in range(7):
                assert await read(at, task_id, after) == told[after:]

    with held() as (provider, server):
        run(work)


def test_f41_exactly_slots_and_queue_are_admitted(tmp_path: Path) -> None:
    """Of 200 tasks at once, three begin, twenty wait in their places, and the others are refused with a time to come
    back; three are asked for at once and never more, and each that was admitted gets its answer.
    """

    async def work() -> None:
        async with desk(tmp_path, server.base_url) as at:
            admitted: list[Submitted] = []
            waits_s = []
            for number in range(200):
                try:
                    admitted.append(at.submit(wish(str(number))))
                except Full as full:
                    waits_s.append(full.retry_after_s)
            assert (len(admitted), len(waits_s)) == (23, 177)
            assert min(waits_s) == 1
            assert waits_s == sorted(waits_s)
            assert [view(at, each.task_id).position for each in admitted] == [0] * 3 + list(range(1, 21))
            await until(lambda: len(provider.asked) == 3)
            pool = at.pools()[0]
            assert (pool.name, pool.busy, pool.queued, pool.rejected) == ("agent", 3, 20, 177)
            provider.let()
            texts = [text_of(await read(at, each.task_id)) for each in admitted]
            assert texts == ["one two"] * 23
            assert at.pools()[0].busy == 0

    with held() as (provider, server):
        run(work)
        assert server.most_in_flight == 3


def test_direct_streams_have_a_bound_of_their_own(tmp_path: Path) -> None:
    """A direct task begins although every slot is busy; one more than may be open is refused."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url, agent_slots=1, max_streams=2) as at:
            at.submit(wish("pooled"))
            for number in range(2):
                at.submit(wish(f"direct {number}", path="direct"))
            with pytest.raises(Full, match="open"):
                at.submit(wish(path="direct"))
            await until(lambda: len(provider.asked) == 3)

    with held() as (provider, server):
        run(work)


def test_kinds_go_by_their_class_and_within_it_by_their_time(tmp_path: Path) -> None:
    """With one slot, those that wait are asked for by class, and within a class in the order in which they came."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url, agent_slots=1) as at:
            tasks = [at.submit(wish("first"))]
            await until(lambda: len(provider.asked) == 1)
            for kind in ("batch", "optimize", "generate", "chat", "optimize", "chat"):
                tasks.append(at.submit(wish(f"{kind} {len(tasks)}", kind=kind)))
            assert view(at, tasks[1].task_id).position == 6
            provider.let()
            for task in tasks:
                await read(at, task.task_id)

    with held() as (provider, server):
        run(work)
    assert provider.asked == ["first", "chat 4", "chat 6", "generate 3", "optimize 2", "optimize 5", "batch 1"]


@pytest.mark.parametrize("client", ["lean", "openai"])
def test_f43_a_cancelled_task_closes_its_call_and_frees_its_slot(client: ClientName, tmp_path: Path) -> None:
    """A task that is cancelled says so at once, its provider sees the connection closed, and the next one begins; one
    that waits is never asked for; to cancel again, or after the end, changes nothing.
    """

    async def work() -> None:
        async with desk(tmp_path, server.base_url, client=client, agent_slots=1) as at:
            first, second, third = (at.submit(wish(text)).task_id for text in ("first", "second", "third"))
            await until(lambda: view(at, first).chunks == 1)
            for _ in range(2):
                cancelled = at.cancel(first)
                assert cancelled == at.view(first)
                assert view(at, first).state == "cancelled"
            at.cancel(second)
            await until(lambda: provider.gone == 1)
            await until(lambda: provider.asked == ["first", "third"])
            provider.let()
            assert text_of(await read(at, third)) == "one two"
            at.cancel(third)
            assert view(at, third).state == "succeeded"
            for task_id in (first, second):
                assert error_code(await read(at, task_id)) == "cancelled"
            assert at.status().ended == {"cancelled": 2, "succeeded": 1}
            assert at.cancel("0" * 32) is None

    with held() as (provider, server):
        run(work)


def test_a_task_whose_time_is_over_frees_its_slot(tmp_path: Path) -> None:
    """One that takes too long is timed out and its call closed; one that waited too long for a slot is timed out
    without having been asked for; both are counted.
    """

    async def work() -> None:
        at = desk(tmp_path, server.base_url, agent_slots=1, task_timeout=0.6, queue_timeout=0.3)
        async with at:
            slow, waiting = at.submit(wish("slow")).task_id, at.submit(wish("waiting")).task_id
            assert error_code(await read(at, waiting)) == "queue_timeout"
            assert error_code(await read(at, slow)) == "timeout_total"
            assert view(at, slow).state == view(at, waiting).state == "timed_out"
            assert view(at, waiting).started_at is None
            assert (at.pools()[0].timed_out, at.pools()[0].busy) == (2, 0)
            await until(lambda: provider.gone == 1)

    with held() as (provider, server):
        run(work)
    assert provider.asked == ["slow"]


@pytest.mark.parametrize("has_begun", [False, True])
def test_no_other_provider_is_asked_after_a_piece(has_begun: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """A provider that breaks off before the first piece is replaced by another; after it the task fails, for what was
    told cannot be taken back.
    """

    async def breaking(exchange: Exchange) -> None:
        if has_begun:
            await exchange.send(streamed(event(chunk("one ")))[:-5])
        exchange.reset()

    async def work() -> None:
        async with desk(tmp_path, bad.base_url, good.base_url) as at:
            told = await read(at, at.submit(wish()).task_id)
            if has_begun:
                assert error_code(told) == "stream_reset"
                assert told[-1].data["retryable"] is True
                assert text_of(told) == "one "
            else:
                assert told[-1].data["provider"] == "p1"

    with FaultServer(breaking) as bad, FaultServer(sending(streamed(event(chunk("whole")), STOP, DONE))) as good:
        run(work)
    assert (len(bad.exchanges), len(good.exchanges)) == (1, 0 if has_begun else 1)


def test_an_idempotency_key_names_one_task(tmp_path: Path) -> None:
    """The same wish under the same key is done once; another wish under it is refused; other users have other keys."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url) as at:
            first = at.submit(wish(idempotency_key="k", user_id="u"))
            again = at.submit(wish(idempotency_key="k", user_id="u"))
            assert (again.task_id, again.again, first.again) == (first.task_id, True, False)
            assert at.submit(wish(idempotency_key="k", user_id="v")).task_id != first.task_id
            with pytest.raises(Conflict):
                at.submit(wish("other", idempotency_key="k", user_id="u"))
            await until(lambda: len(provider.asked) == 2)

    with held() as (provider, server):
        run(work)


def test_a_kept_answer_is_told_at_once_and_who_waits_for_it_can_leave(tmp_path: Path) -> None:
    """Equal wishes are asked for once: one that follows can be cancelled alone, the other has the same text, and a
    later one has it in one piece from the cache.
    """

    async def work() -> None:
        async with desk(tmp_path, server.base_url, cache=True) as at:
            leader, follower, leaver = (at.submit(wish()).task_id for _ in range(3))
            await until(lambda: view(at, leader).chunks == 1)
            at.cancel(leaver)
            assert at.pools()[0].busy == 2
            provider.let()
            assert text_of(await read(at, leader)) == text_of(await read(at, follower)) == "one two"
            assert error_code(await read(at, leaver)) == "cancelled"
            later = await read(at, at.submit(wish()).task_id)
            assert (later[-1].data["cached"], text_of(later)) == (True, "one two")
            assert [each.name for each in later].count("chunk") == 1

    with held() as (provider, server):
        run(work)
    assert provider.asked == ["hi"]


async def _drained(at: Desk, grace_s: float) -> None:
    draining = asyncio.create_task(at.drain(grace_s))
    await asyncio.sleep(0)
    with pytest.raises(Closing) as closing:
        at.submit(wish())
    assert closing.value.retry_after_s >= 1
    await draining


def test_a_service_that_ends_waits_for_its_tasks(tmp_path: Path) -> None:
    """Once it drains nothing new is taken; what ends within the grace ends as ever, also what waited."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url, agent_slots=1) as at:
            tasks = [at.submit(wish(text)).task_id for text in ("a", "b")]
            await until(lambda: len(provider.asked) == 1)
            provider.let()
            await _drained(at, 10.0)
            assert [view(at, task_id).state for task_id in tasks] == ["succeeded"] * 2

    with held() as (provider, server):
        run(work)


def test_a_service_that_ends_gives_up_what_is_left(tmp_path: Path) -> None:
    """When the grace is over, or a second call has none, tasks under way and waiting are given up as interrupted, and
    their readers are told.
    """

    async def work() -> None:
        async with desk(tmp_path, server.base_url, agent_slots=1) as at:
            tasks = [at.submit(wish(text)).task_id for text in ("a", "b")]
            reading = [asyncio.create_task(read(at, task_id)) for task_id in tasks]
            await until(lambda: len(provider.asked) == 1)
            waiting = asyncio.create_task(at.drain(1000.0))
            await at.drain(0.0)
            await waiting
            assert [view(at, task_id).state for task_id in tasks] == ["cancelled"] * 2
            assert [error_code(await each) for each in reading] == ["interrupted"] * 2

    with held() as (provider, server):
        run(work)


def test_one_service_a_folder(tmp_path: Path) -> None:
    """A second service over the same folder is refused, and may begin when the first has ended."""

    async def work() -> None:
        async with desk(tmp_path, "http://127.0.0.1:9/v1"):
            with pytest.raises(ConfigError, match="another service"):
                await desk(tmp_path, "http://127.0.0.1:9/v1").__aenter__()
        async with desk(tmp_path, "http://127.0.0.1:9/v1") as at:
            assert at.status().tasks == {}

    run(work)


def test_a_service_that_cannot_keep_records_takes_nothing(tmp_path: Path) -> None:
    """Once a record could not be written, wishes are refused as by a service that ends, and its state says so."""

    async def work() -> None:
        async with desk(tmp_path, server.base_url) as at:
            at._rooms.intake.fail(JournalError("the disk is full"))
            with pytest.raises(Closing):
                at.submit(wish())
            assert at.status().closing

    with held() as (_, server):
        run(work)


def test_text_that_comes_in_halves_is_told_whole(tmp_path: Path) -> None:
    """A character that the provider cuts in two is told when its second half is there; the record has the same text."""
    halves = [
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ude00!"}}]}\n\n',
    ]

    async def work() -> None:
        async with desk(tmp_path, server.base_url) as at:
            told = await read(at, at.submit(wish()).task_id)
            assert [each.data["text"] for each in told if each.name == "chunk"] == ["😀!"]

    with FaultServer(sending(streamed(*halves, STOP, DONE))) as server:
        run(work)
