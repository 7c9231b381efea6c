"""ConcurrencyManager: both forms of a batch, its bounds, isolation, and batches without barriers."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from bench.errors import ConfigError
from bench.toolkit import ConcurrencyManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


class Answer:
    """A result that can be watched."""


class Crowd:
    """Work that counts how much of it is under way."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    async def ask(self, item: int) -> str:
        """Return an answer, some turns of the event loop later."""
        self.now += 1
        self.peak = max(self.peak, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        return f"answer {item}"


async def some_fail(item: int) -> int:
    """Fail for 1, be cancelled for 2, return the rest doubled."""
    await asyncio.sleep(0)
    if item == 1:
        raise LookupError("one")
    if item == 2:
        raise asyncio.CancelledError
    return item * 2


def test_both_forms() -> None:
    """Functions without parameters and one function with its items give the same results, in order; lazy or not."""
    crowd = Crowd()
    expected = [f"answer {item}" for item in range(7)]

    def factory(item: int) -> Callable[[], Awaitable[str]]:
        return lambda: crowd.ask(item)

    async def main() -> None:
        manager = ConcurrencyManager(3)
        assert await manager.execute_batch([factory(item) for item in range(7)]) == expected
        assert await manager.execute_batch(factory(item) for item in range(7)) == expected
        assert await manager.execute_batch(crowd.ask, range(7)) == expected
        assert await manager.execute_batch(crowd.ask, iter(range(7))) == expected
        assert await manager.execute_batch([]) == []
        assert await manager.execute_in_batches(crowd.ask, range(7), batch_size=3) == expected

    asyncio.run(main())


def test_whoever_ends_first() -> None:
    """Results are in the order of the items in every kind of batch, also where the items end in the opposite one."""
    ended: list[int] = []

    async def ask(item: int) -> int:
        for _ in range(3 * (6 - item)):
            await asyncio.sleep(0)
        ended.append(item)
        return item

    async def main() -> None:
        manager = ConcurrencyManager(6)
        assert await manager.execute_batch(ask, range(6)) == [*range(6)]
        assert [each.data for each in await manager.execute_batch_with_isolation(ask, range(6))] == [*range(6)]
        assert await manager.execute_in_batches(ask, range(6), batch_size=4) == [*range(6)]

    asyncio.run(main())
    assert ended == [5, 4, 3, 2, 1, 0] * 3


def test_wrong_forms() -> None:
    """A coroutine instead of its function, a function without items, and items without a function are told apart."""

    async def main() -> None:
        manager = ConcurrencyManager(3)
        with pytest.raises(ConfigError, match=r"takes functions, and got what one has made: <coroutine.*\n.*lambda"):
            await manager.execute_batch([some_fail(0)])  # type: ignore[arg-type] # the mistake in question
        with pytest.raises(ConfigError, match="one function and no items"):
            await manager.execute_batch(some_fail)
        with pytest.raises(ConfigError, match="must be a function"):
            await manager.execute_batch([some_fail], [1])  # type: ignore[arg-type] # the mistake in question

    asyncio.run(main())


@pytest.mark.parametrize(("own", "asked", "expected"), [(5, None, 5), (5, 2, 2), (5, 50, 5)])
def test_the_narrower_bound_holds(own: int, asked: int | None, expected: int) -> None:
    """A batch may have fewer at once than its manager, never more."""
    crowd = Crowd()
    asyncio.run(ConcurrencyManager(own).execute_batch(crowd.ask, range(30), max_concurrency=asked))
    assert crowd.peak == expected


def test_one_bound_over_all_batches() -> None:
    """Two batches at once on one manager have its N between them: two users do not make twice the load."""
    crowd = Crowd()

    async def main() -> None:
        manager = ConcurrencyManager(4)
        async with asyncio.TaskGroup() as group:
            group.create_task(manager.execute_batch(crowd.ask, range(20)))
            group.create_task(manager.execute_batch_with_isolation(crowd.ask, range(20)))
        assert manager.active == 0

    asyncio.run(main())
    assert crowd.peak == 4


def test_named_profiles() -> None:
    """A survey asks 100 at once, a focus group 50, and a manager of no name 100."""
    assert ConcurrencyManager.for_survey().max_concurrency == 100
    assert ConcurrencyManager.for_focus_group().max_concurrency == 50
    assert repr(ConcurrencyManager()) == "<ConcurrencyManager 0 of 100 under way>"
    with pytest.raises(ConfigError, match="max_concurrency must be a whole number of at least 1, got 0"):
        ConcurrencyManager(0)


def test_as_many_as_the_provider_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a provider takes at once is the default, also of the named profiles where it is less; a number that is given
    goes before it.
    """
    file = '[providers.mine]\nbase_url = "http://127.0.0.1/v1"\nmodel = "m"\nin_flight = 70\n'
    (tmp_path / "providers.toml").write_text(file, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert ConcurrencyManager(provider="mine").max_concurrency == 70
    assert ConcurrencyManager(90, provider="mine").max_concurrency == 90
    assert ConcurrencyManager(provider="deepseek").max_concurrency == 100
    assert ConcurrencyManager.for_survey("mine").max_concurrency == 70
    assert ConcurrencyManager.for_focus_group("mine").max_concurrency == 50
    with pytest.raises(ConfigError, match=r"provider must be one of .*mine, got 'nobody'"):
        ConcurrencyManager(provider="nobody")


def test_a_failure_leaves_no_sibling_running() -> None:
    """The first failure is raised as it is, when the others were cancelled and have ended: no orphans go on asking."""
    cleaned_up: list[int] = []

    async def work(item: int) -> int:
        if item == 3:
            raise LookupError("three")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(item)
        return item

    async def main() -> int:
        with pytest.raises(LookupError, match="three"):
            await ConcurrencyManager(10).execute_batch(work, range(10))
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert sorted(cleaned_up) == [0, 1, 2, *range(4, 10)]


def test_return_exceptions() -> None:
    """Failures stand in the list where their results would, also in batches; the others' results are whole."""

    async def main() -> None:
        manager = ConcurrencyManager(2)
        whole = await manager.execute_batch(some_fail, range(5), return_exceptions=True)
        lists = [
            each async for each in manager.execute_in_batches(some_fail, range(5), batch_size=5, return_exceptions=True)
        ]
        for results in (whole, *lists):
            assert [results[0], *results[3:]] == [0, 6, 8]
            assert [type(error) for error in results[1:3]] == [LookupError, asyncio.CancelledError]

    asyncio.run(main())


def test_isolation() -> None:
    """An isolated failure keeps its type and traceback; a cancelled item is no success; the others are untouched."""
    outcomes = asyncio.run(ConcurrencyManager(2).execute_batch_with_isolation(some_fail, range(4)))
    assert [(each.success, each.data, each.error) for each in outcomes] == [
        (True, 0, None),
        (False, None, "LookupError: one"),
        (False, None, "CancelledError"),
        (True, 6, None),
    ]
    failure = outcomes[1].exception
    assert isinstance(failure, LookupError)
    assert failure.__traceback__ is not None
    assert outcomes[0].exception is None


def test_isolation_is_not_from_the_caller() -> None:
    """Cancelling an isolated batch cancels its items and passes on: it does not become a list of failures."""
    cancelled: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    async def main() -> None:
        batch = asyncio.ensure_future(ConcurrencyManager(3).execute_batch_with_isolation(work, range(9)))
        for _ in range(5):
            await asyncio.sleep(0)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch

    asyncio.run(main())
    assert cancelled == [0, 1, 2]


def test_batches_have_no_barrier() -> None:
    """While one item of the first batch is slow, the items of all later batches are done."""
    done: list[int] = []

    async def main() -> list[list[int]]:
        all_others = asyncio.Event()

        async def work(item: int) -> int:
            if item == 0:
                await all_others.wait()
            done.append(item)
            if len(done) == 99:
                all_others.set()
            return item

        return [each async for each in ConcurrencyManager(4).execute_in_batches(work, range(100), batch_size=10)]

    assert asyncio.run(main()) == [list(range(start, start + 10)) for start in range(0, 100, 10)]
    assert done[-1] == 0


def test_batches_are_lazy() -> None:
    """Of an input without an end only what can be begun is read, results are let go, leaving early ends the rest."""
    alive: weakref.WeakSet[Answer] = weakref.WeakSet()
    read: list[int] = []

    def items() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield read[-1]

    async def work(_item: int) -> Answer:
        answer = Answer()
        alive.add(answer)
        await asyncio.sleep(0)
        return answer

    async def main() -> None:
        manager = ConcurrencyManager(10)
        most_alive = 0
        async with aclosing(aiter(manager.execute_in_batches(work, items(), batch_size=20))) as lists:
            async for batch in lists:
                assert len(batch) == 20
                most_alive = max(most_alive, len(alive))
                if read[-1] > 10_000:
                    break
        assert most_alive <= 2 * (10 + 1024 + 20)
        assert len(asyncio.all_tasks()) == 1
        assert manager.active == 0

    asyncio.run(main())
    gc.collect()
    assert len(alive) == 0


def test_batches_run_once() -> None:
    """The same batches cannot be run again: their input has been read."""

    async def main() -> None:
        batches = ConcurrencyManager(2).execute_in_batches(some_fail, [0])
        assert await batches == [0]
        with pytest.raises(ConfigError, match="were run before"):
            await batches

    asyncio.run(main())
