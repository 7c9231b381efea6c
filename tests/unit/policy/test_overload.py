"""Overload of an open loop, told while it runs."""

from __future__ import annotations

import heapq
import random
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from bench.policy.arrivals import constant, poisson
from bench.policy.overload import Overload

if TYPE_CHECKING:
    from collections.abc import Iterator


def stopped_at_s(arrivals: Iterator[float], slots: int, *, lasts_s: float, rng: random.Random) -> float | None:
    """Serve arrivals by slots, tell of arrivals as they are drawn and of ends as they come; return when it is overload.

    A slot draws the next arrival as soon as it is free, and waits for it where it is early.
    """
    told = Overload()
    free = [0.0] * slots
    under_way: list[tuple[float, float, float]] = []
    for at_s in arrivals:
        start_s = max(at_s, free_s := heapq.heappop(free))
        while under_way and under_way[0][0] <= free_s:
            ended_s, scheduled_s, token_s = heapq.heappop(under_way)
            if told.ended(scheduled_s, token_s, ended_s):
                return ended_s
        told.arrived(at_s)
        end_s = start_s + lasts_s * rng.uniform(0.8, 1.2)
        heapq.heappush(free, end_s)
        heapq.heappush(under_way, (end_s, at_s, start_s + lasts_s / 3))
    return None


@pytest.mark.parametrize("load", [1.3, 2.0, 10.0])
@pytest.mark.parametrize("lasts_s", [0.05, 1.0])
def test_r49_overload_ends_a_run_soon(load: float, lasts_s: float) -> None:
    """A queue that gets a third more than it serves, or far more, is told in time, though its slots are never more."""
    slots = 20
    rate_per_s = load * slots / lasts_s
    for seed in range(10):
        rng = random.Random(seed)
        arrivals = islice(poisson(rate_per_s, rng), int(400 * load * slots))
        found_s = stopped_at_s(arrivals, slots, lasts_s=lasts_s, rng=rng)
        assert found_s is not None
        assert found_s < 100 * lasts_s * load


@pytest.mark.parametrize("load", [0.3, 0.8])
@pytest.mark.parametrize("lasts_s", [0.05, 1.0])
def test_r49_what_is_answered_is_not_ended(load: float, lasts_s: float) -> None:
    """A load that is served, whose slots fill up at first and which has its waves, is hardly ever ended."""
    slots = 20
    found = []
    for seed in range(25):
        rng = random.Random(seed)
        arrivals = islice(poisson(load * slots / lasts_s, rng), 4000)
        found.append(stopped_at_s(arrivals, slots, lasts_s=lasts_s, rng=rng))
    assert sum(each is not None for each in found) <= 1


def test_r49_filling_up_is_no_overload() -> None:
    """While the first answers are still under way both rise, and nothing is told yet."""
    told = Overload()
    for number, at_s in enumerate(islice(constant(100), 290)):
        told.arrived(at_s)
        # A server that is slower the more it has to do, until the first answers come after three seconds.
        assert not told.ended(at_s, at_s + 0.2 + number / 300, at_s + 3.0)
