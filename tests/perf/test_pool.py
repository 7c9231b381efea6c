"""What the pool of routes adds to each call. Run by hand, before and after a change, on the same machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.policy.pool import Grant, Outcome, Pool, PoolSettings, RouteInfo
from bench.providers import RouteLimits

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

#: Calls in one measured piece of work: one alone would be near the clock's own cost.
CALLS = 1000


@pytest.mark.parametrize("requests_per_min", [None, 6_000_000.0])
def test_ask_and_back(requests_per_min: float | None, benchmark: BenchmarkFixture) -> None:
    """A thousand calls over four routes with 32 under way, without and with a bound on requests a minute."""
    limits = RouteLimits(requests_per_min=requests_per_min)
    routes = [RouteInfo(provider=name, key=key, limits=limits) for name in ("a", "b") for key in (0, 1)]
    pool = Pool(routes, PoolSettings(ceiling=64))
    done = Outcome(status="ok", latency_s=0.32, ttft_s=0.1, tokens=600)
    under_way: list[Grant] = []
    now_s = 0.0

    def calls() -> None:
        nonlocal now_s
        for _ in range(CALLS):
            now_s += 0.01
            answer = pool.ask(now_s, tokens=500)
            assert isinstance(answer, Grant)
            under_way.append(answer)
            if len(under_way) == 32:
                pool.back(now_s, under_way.pop(0), done)

    benchmark(calls)
