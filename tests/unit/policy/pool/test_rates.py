"""Requests and tokens a minute: never more in any minute, little at once, and nearly all of it used."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.pool import Grant, Outcome, Pool, PoolSettings, RouteInfo, Wait
from bench.policy.pool.rates import Meter
from bench.providers import RouteLimits
from bench.records import RateLimits

SETTINGS = PoolSettings(ceiling=10_000, adaptive=False)


def pool_with(**limits: float) -> Pool:
    """A pool of one route with these limits."""
    given_limits = RouteLimits(
        requests_per_min=limits.get("requests_per_min"), tokens_per_min=limits.get("tokens_per_min")
    )
    return Pool([RouteInfo(provider="a", limits=given_limits)], SETTINGS)


def said(latency_s: float, **limits: float) -> Outcome:
    """A success with what the server says of its limits."""
    return Outcome(status="ok", latency_s=latency_s, said=RateLimits(**limits))


def next_grant(pool: Pool, now_s: float, tokens: int = 0, late_s: float = 0.0) -> Grant:
    """Ask as often as it takes, waiting as told and somewhat longer."""
    for _ in range(50):
        answer = pool.ask(now_s, tokens=tokens)
        if isinstance(answer, Grant):
            return answer
        assert isinstance(answer, Wait)
        assert now_s < answer.until_s < math.inf
        now_s = answer.until_s + late_s
    pytest.fail("waiting as told leads nowhere")


amounts = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2000)), min_size=1, max_size=120)


@given(st.integers(1, 5000), amounts, st.lists(st.floats(0, 0.6, exclude_max=True), min_size=120, max_size=120))
def test_no_minute_at_the_server_holds_more_than_the_bound(
    per_min: int, wishes: list[tuple[float, int]], delays: list[float]
) -> None:
    """In no 60 seconds, as the server sees them, is more spent than the bound, however calls are delayed on the way."""
    meter = Meter(per_min, 0.6)
    now_s, spent = 1000.0, list[tuple[float, float]]()
    for (idle_s, amount), delay_s in zip(wishes, delays, strict=False):
        now_s += idle_s
        if (ready_s := meter.ready_s(now_s, amount)) > now_s:
            now_s = ready_s
        meter.spend(now_s, amount)
        spent.append((now_s + delay_s, min(amount, per_min)))
    for start_s, _ in spent:
        assert sum(amount for at_s, amount in spent if start_s <= at_s < start_s + 60) <= per_min


@pytest.mark.parametrize("per_min", [0.5, 7, 60, 500, 6_000])
def test_the_rate_is_used(per_min: float) -> None:
    """Who always has a further call gets at least 95 % of the rate, and never more than 1 % of it at once."""
    pool = pool_with(requests_per_min=per_min)
    minutes = max(3.0, 20 / per_min)
    now_s, instants = 100.0, list[float]()
    while now_s < 100.0 + 60 * minutes:
        grant = next_grant(pool, now_s)
        now_s = grant.at_s
        pool.back(now_s, grant, Outcome(status="ok", latency_s=0.0))
        instants.append(now_s)
        assert len(instants) <= per_min * (minutes + 1) + 1
    assert 0.95 * per_min * minutes <= len(instants)
    assert instants.count(instants[0]) <= max(1, per_min / 100)


def test_a_late_caller_loses_nothing() -> None:
    """Calls that each go out somewhat later than they might still come to 95 % of the rate."""
    pool = pool_with(requests_per_min=60)
    now_s, calls = 0.0, 0
    while now_s < 600:
        now_s = next_grant(pool, now_s, late_s=0.08).at_s
        calls += 1
    assert calls >= 0.95 * 600


def test_tokens_are_charged_by_estimate_and_corrected() -> None:
    """An answer that took less than was charged leaves room for more calls, one that took more for fewer."""

    def calls_in_three_minutes(real_tokens: int | None) -> int:
        pool, now_s, calls = pool_with(tokens_per_min=10_000), 0.0, 0
        while now_s < 180:
            grant = next_grant(pool, now_s, 1000)
            now_s = grant.at_s
            pool.back(now_s, grant, Outcome(status="ok", latency_s=0.0, tokens=real_tokens))
            calls += 1
        return calls

    assert calls_in_three_minutes(None) == pytest.approx(30, abs=2)
    assert calls_in_three_minutes(500) == pytest.approx(60, abs=3)
    assert calls_in_three_minutes(2000) == pytest.approx(15, abs=2)


def test_a_correction_after_its_minute_changes_nothing_in_the_next() -> None:
    """The tokens of a call that began more than a minute ago are no part of what may be spent now."""
    meter = Meter(1000, 0.6)
    long_call = meter.spend(0.0, 1000)
    meter.spend(100.0, 600)
    meter.correct(long_call, 0)
    assert meter.ready_s(150.0, 400) <= 150.0
    assert meter.ready_s(150.0, 500) == 160.6


def test_a_call_larger_than_the_rate_goes_alone() -> None:
    """A call that costs more than a minute's tokens is not waited for in vain: it goes, and long nothing after it."""
    pool = pool_with(tokens_per_min=1000)
    assert next_grant(pool, 0.0, 5000).at_s == 0.0
    assert next_grant(pool, 0.0, 100).at_s > 240


def test_an_unused_grant_costs_nothing() -> None:
    """A grant whose call was never made gives its share of the rates back."""
    pool = pool_with(requests_per_min=60, tokens_per_min=6000)
    for _ in range(200):
        pool.unused(next_grant(pool, 0.0, 3000))
    assert isinstance(pool.ask(0.0, tokens=3000), Grant)
    assert pool.snapshot(0.0)[0].calls == 1


def test_keys_of_one_quota_share_its_rate() -> None:
    """Two keys of one quota give together what it allows, not twice as much."""
    limits = RouteLimits(requests_per_min=60, quota="account")
    pool = Pool([RouteInfo(provider="a", key=key, limits=limits) for key in (0, 1)], SETTINGS)
    now_s, calls = 0.0, 0
    while now_s < 300:
        now_s = next_grant(pool, now_s).at_s
        calls += 1
    assert 285 <= calls <= 301


def test_limits_are_learnt() -> None:
    """What a server says of its limits replaces what was known, with the calls that were made before it said so."""
    pool = pool_with()
    grants = [next_grant(pool, 0.0) for _ in range(30)]
    pool.back(1.0, grants[0], said(1.0, limit_requests=30, reset_requests_s=0.5))
    answer = pool.ask(1.0)
    assert isinstance(answer, Wait)
    assert answer.until_s > 60, "thirty calls of this minute are made"
    pool.back(2.0, grants[1], said(2.0, limit_requests=600))
    assert isinstance(pool.ask(2.0), Grant)
    changes = pool.take_changes()
    assert [(change.kind, change.before, change.after) for change in changes] == [
        ("requests_per_min", None, 30),
        ("requests_per_min", 30, 600),
    ]
    assert "30 requests a minute" in changes[0].reason


def test_the_limit_of_a_day_is_not_learnt_as_one_of_a_minute() -> None:
    """A limit that takes longer than a minute to be whole again is not a minute's."""
    pool = pool_with(requests_per_min=60)
    pool.back(0.0, next_grant(pool, 0.0), said(0.0, limit_requests=9, reset_requests_s=4000))
    assert pool.snapshot(0.0)[0].requests_per_min == 60


def test_nothing_left_is_waited_out() -> None:
    """When the server says that no request is left, the next one waits one step, or until all is whole if sooner."""
    for reset_s, waited_s in ((30.0, 1.01), (0.3, 0.3)):
        pool = pool_with(requests_per_min=60)
        last = said(5.0, remaining_requests=0, reset_requests_s=reset_s)
        pool.back(5.0, next_grant(pool, 0.0), last)
        answer = pool.ask(5.0)
        assert isinstance(answer, Wait)
        assert answer.until_s == pytest.approx(5.0 + waited_s)
