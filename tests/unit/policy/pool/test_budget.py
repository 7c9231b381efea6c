"""Calls beside those that the work needs: retries and the second horses of races, both within a share."""

from __future__ import annotations

import pytest

from bench.policy.pool import Grant, Outcome, Pool, PoolSettings, RouteInfo
from bench.policy.pool.budget import Budget


def pool_of(*names: str, ceiling: int = 1) -> Pool:
    """A pool of routes without limits of their own."""
    return Pool([RouteInfo(provider=name) for name in names], PoolSettings(ceiling=ceiling, adaptive=False))


def call(pool: Pool, now_s: float, outcome: Outcome) -> None:
    """Make a call that ends at once."""
    grant = pool.ask(now_s)
    assert isinstance(grant, Grant)
    pool.back(now_s, grant, outcome)


def test_retries_are_a_share_of_all_calls() -> None:
    """When every call fails at most a fifth of all calls are retries, beside a reserve for the beginning."""
    pool = pool_of("a")
    retries = 0
    for _ in range(1000):
        call(pool, 0.0, Outcome(status="ok", latency_s=0.1))
        retries += pool.may_retry()
    assert retries == pytest.approx(0.2 * 1000 + 12, abs=1)


def test_a_lost_server_does_not_use_up_the_retries() -> None:
    """All calls under way may fail at once, and each be made again elsewhere."""
    pool = pool_of("a", "b", ceiling=64)
    assert all(pool.may_retry() for _ in range(128))


def test_hedges_are_a_share_of_all_calls() -> None:
    """However many calls are slow, at most a tenth of all calls are extra ones, beside a reserve."""
    pool = pool_of("a", "b")
    hedges = 0
    for _ in range(1000):
        call(pool, 0.0, Outcome(status="ok", latency_s=0.1))
        hedges += pool.may_hedge(0.0)
    assert hedges == pytest.approx(0.1 * 1000 + 10, abs=1)


def test_no_hedge_without_somebody_else() -> None:
    """With one provider, or all others at rest, there is nobody to race against."""
    assert not pool_of("a").may_hedge(0.0)
    pool = pool_of("a", "b")
    call(pool, 0.0, Outcome(status="failed", error_type="rate_limited", latency_s=0.1, retry_after_s=10.0))
    assert not pool.may_hedge(1.0)
    assert pool.may_hedge(11.0)


def test_the_hedge_delay_is_the_slow_end_of_recent_latencies() -> None:
    """A call is slow when it takes longer than 95 % of its provider's recent ones; of too few nobody can say."""
    pool = pool_of("a")
    for number in range(100):
        assert (pool.hedge_delay_s(float(number), 0) is None) == (number < 20)
        call(pool, float(number), Outcome(status="ok", latency_s=0.01 * number, ttft_s=0.001 * number))
    assert pool.hedge_delay_s(99.0, 0) == pytest.approx(0.94, abs=0.02)
    state = pool.snapshot(99.0)[0]
    assert state.latency_p50_s == pytest.approx(0.5, abs=0.05)
    assert state.ttft_p50_s == pytest.approx(0.05, abs=0.005)
    for number in range(100, 300):
        call(pool, float(number), Outcome(status="ok", latency_s=0.5))
    assert pool.hedge_delay_s(299.0, 0) == 0.5, "what was is forgotten"


def test_what_was_not_measured_is_not_told() -> None:
    """Of a route that was never used nothing is known, and nothing is 0 that was not measured."""
    state = pool_of("a").snapshot(0.0)[0]
    assert (state.calls, state.in_flight) == (0, 0)
    assert {
        state.success_share, state.latency_p50_s, state.latency_p95_s, state.ttft_p50_s, state.last_used_s,
        state.requests_per_min, state.tokens_per_min, state.pause_until_s,
    } == {None}  # fmt: skip


def test_what_was_not_used_is_put_back() -> None:
    """An extra call that was taken and not made can be taken again, and no more than could be saved up."""
    budget = Budget(share=0.1, reserve=2)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.put_back()
    assert [budget.take() for _ in range(2)] == [True, False]
    for _ in range(5):
        budget.put_back()
    assert [budget.take() for _ in range(3)] == [True, True, False]
