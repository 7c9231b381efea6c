"""Which route gets the next call where pace counts, and who waits for a first call that is to be alone."""

from __future__ import annotations

import math
from collections import Counter

from bench.policy.pool import Grant, Outcome, Pool, PoolSettings, RouteInfo, Wait

OK = Outcome(status="ok", latency_s=0.5)
QUICK = Outcome(status="ok", latency_s=0.1)
BEATEN = Outcome(status="cancelled", latency_s=0.1, beaten=True)


def pool_of(*names: str, ceiling: int = 4, by_pace: bool = False, warm_first: bool = False) -> Pool:
    """A pool of routes without limits of their own."""
    settings = PoolSettings(ceiling=ceiling, adaptive=False, by_pace=by_pace, warm_first=warm_first)
    return Pool([RouteInfo(provider=name) for name in names], settings)


def granted(pool: Pool, now_s: float) -> Grant:
    """Ask, and expect a grant."""
    answer = pool.ask(now_s)
    assert isinstance(answer, Grant)
    return answer


def call(pool: Pool, now_s: float, outcome: Outcome = OK) -> int:
    """Make a call that ends at once; return its route."""
    grant = granted(pool, now_s)
    pool.back(now_s, grant, outcome)
    return grant.route


def pace_after(calls: int, *, by_pace: bool) -> list[int]:
    """The routes of nine calls, one at a time, of 1.0 s, 0.1 s and 0.12 s in turn, and of so many further ones."""
    pool = pool_of("slow", "quick", "alike", by_pace=by_pace)
    return [
        call(pool, 0.1 * number, Outcome(status="ok", latency_s=(1.0, 0.1, 0.12)[number % 3])) for number in range(9)
    ] + [call(pool, 1.0 + number, OK) for number in range(calls)]


def test_the_quicker_goes_first_where_pace_counts() -> None:
    """Where pace counts, providers alike share the calls and a slow one gets none, once three calls have shown it; and
    where it does not, it gets its share.
    """
    assert Counter(pace_after(12, by_pace=False)[9:]) == {0: 4, 1: 4, 2: 4}
    assert pace_after(0, by_pace=True) == [0, 1, 2] * 3
    assert set(pace_after(12, by_pace=True)[9:]) == {1, 2}


def test_who_loses_races_is_not_asked_first() -> None:
    """A provider that three times was asked first and given up for another one's answer comes after it, is asked where
    the other has no place, and is tried again once that is long ago; it has not failed.
    """
    pool = pool_of("loser", "winner", ceiling=1, by_pace=True)
    for number in range(3):
        first, second = granted(pool, float(number)), granted(pool, float(number))
        assert (first.route, second.route) == (0, 1)
        pool.back(number + 0.1, first, BEATEN)
        pool.back(number + 0.1, second, QUICK)
    grants = [granted(pool, 10.0) for _ in range(2)]
    assert [grant.route for grant in grants] == [1, 0]
    for grant in grants:
        pool.unused(grant)
    assert pool.snapshot(10.0)[0].success_share is None
    assert call(pool, 11.0, QUICK) == 1
    assert call(pool, 1000.0) == 0


def test_a_first_call_is_made_alone_where_it_is_to_warm() -> None:
    """A route's first call goes alone, again where it fails, and all others once one has succeeded."""
    pool = pool_of("a", "b", ceiling=8, warm_first=True)
    first, second = granted(pool, 0.0), granted(pool, 0.0)
    assert {first.route, second.route} == {0, 1}
    assert pool.ask(0.0) == Wait(math.inf)
    pool.back(1.0, first, Outcome(status="failed", error_type="server_error", latency_s=0.1))
    pool.back(1.0, second, OK)
    assert Counter(granted(pool, 1.0).route for _ in range(9)) == {0: 1, 1: 8}
    assert pool.ask(1.0) == Wait(math.inf)
