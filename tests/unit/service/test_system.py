"""The service's own jobs: a few at once, none twice, none for ever."""

from __future__ import annotations

import asyncio

import pytest

from bench.service.system import SystemPool
from tests.desks import run, until


def test_jobs_have_slots_a_queue_and_a_time_limit() -> None:
    """As many run as there are slots, as many wait as there are places, one that is there is not taken twice, one that
    takes too long is given up, and one that fails does not keep the others.
    """

    async def work() -> None:
        done: list[str] = []
        gate = asyncio.Event()
        now = most = 0

        async def job() -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await gate.wait()
            now -= 1
            done.append("job")

        async def failing() -> None:
            done.append("failing")
            raise ValueError("a bug")

        async with SystemPool(slots=2, queue_size=2, timeout_s=100.0) as pool:
            assert [pool.submit(name, job) for name in ("a", "b", "c", "c", "d", "e")] == [True] * 3 + [
                False,
                True,
                False,
            ]
            assert pool.places.rejected == 1
            await until(lambda: now == 2)
            gate.set()
            await until(lambda: pool.places.busy == 0)
            assert (most, len(done)) == (2, 4)
            assert pool.submit("failing", failing)
            await until(lambda: done[-1] == "failing" and pool.places.busy == 0)
            assert pool.submit("a", job)
            await until(lambda: len(done) == 6)

    run(work)


@pytest.mark.parametrize("timeout_s", [0.05])
def test_a_job_that_takes_too_long_is_given_up(timeout_s: float) -> None:
    """It is cancelled, counted, and its slot is free for the next one; jobs with an interval come again."""

    async def work() -> None:
        times = 0

        async def hanging() -> None:
            nonlocal times
            times += 1
            await asyncio.Event().wait()

        async with SystemPool(slots=1, queue_size=1, timeout_s=timeout_s) as pool:
            pool.every(0.01, "hanging", hanging)
            await until(lambda: pool.places.timed_out >= 2)
            assert times >= 2
            assert pool.places.rejected == 0

    run(work)
