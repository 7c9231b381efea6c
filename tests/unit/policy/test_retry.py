"""When a failed attempt is tried again: properties that hold for every policy, and the words of giving up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, get_args

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bench.config import Backoff
from bench.policy.retry import DEFAULT_CAP_S, GiveUp, RetryPolicy, backoff_s, next_wait

if TYPE_CHECKING:
    from bench.policy.retry import RetryPolicy as Policy

#: A deadline that nothing reaches.
NEVER_S: Final = 1e9

draws = st.floats(0, 1, exclude_max=True)
waits = st.floats(0, 300)
policies = st.builds(
    RetryPolicy,
    retries=st.integers(0, 100),
    delay_s=st.floats(0, 60),
    backoff=st.sampled_from(get_args(Backoff)),
    cap_s=st.floats(0.1, 120),
)


@given(policies, st.integers(1, 2000), draws)
def test_no_wait_is_longer_than_the_cap(policy: Policy, failed: int, draw: float) -> None:
    """Every wait lies between 0 and the cap, however many attempts failed."""
    assert 0 <= backoff_s(policy, failed, draw) <= policy.cap_s


@example(RetryPolicy(), 1, 59.9, NEVER_S, 0.99)
@given(policies, st.integers(1, 100), st.none() | waits, st.floats(0, 400), draws)
def test_a_wait_keeps_all_bounds(
    policy: Policy, failed: int, retry_after_s: float | None, left_s: float, draw: float
) -> None:
    """A wait keeps to Retry-After and the cap, and ends before the task's deadline."""
    wait_s = next_wait(policy, failed=failed, retryable=True, retry_after_s=retry_after_s, left_s=left_s, draw=draw)
    if not isinstance(wait_s, GiveUp):
        assert (retry_after_s or 0) <= wait_s <= policy.cap_s
        assert wait_s < left_s


@given(policies, st.integers(1, 200), st.none() | waits, draws, st.booleans())
def test_giving_up_has_three_reasons(
    policy: Policy,
    failed: int,
    retry_after_s: float | None,
    draw: float,
    retryable: bool,  # noqa: FBT001 - drawn
) -> None:
    """With time enough a task is given up for its failure, too many attempts, or a Retry-After beyond the cap."""
    outcome = next_wait(
        policy, failed=failed, retryable=retryable, retry_after_s=retry_after_s, left_s=NEVER_S, draw=draw
    )
    final = not retryable or failed > policy.retries
    assert isinstance(outcome, GiveUp) == (final or (retry_after_s or 0) > policy.cap_s)
    if final:
        assert outcome == GiveUp(""), "the failure speaks for itself"


@given(st.integers(1, 60), st.floats(0.01, 60), st.floats(0.1, 120), draws)
def test_exponential_backoff_is_full_jitter(failed: int, delay_s: float, cap_s: float, draw: float) -> None:
    """An exponential wait is an even share of the smaller of the cap and the base doubled with each failure."""
    policy = RetryPolicy(delay_s=delay_s, cap_s=cap_s)
    ceiling_s = min(cap_s, delay_s * 2 ** (failed - 1))
    assert backoff_s(policy, failed, draw) == pytest.approx(draw * ceiling_s)
    assert backoff_s(policy, failed, 0.0) == 0


@pytest.mark.parametrize("failed", [1, 2, 7, 50, 1023, 1025, 10**9])
def test_jitter_spreads_at_any_attempt(failed: int) -> None:
    """However high the attempt, waits spread over the whole range: they do not pile up at the cap."""
    policy = RetryPolicy(retries=10**9, delay_s=1.0)
    spread = [backoff_s(policy, failed, share / 10) for share in range(10)]
    ceiling_s = min(60.0, 2.0 ** min(failed - 1, 100))
    assert spread == pytest.approx([ceiling_s * share / 10 for share in range(10)])


@given(st.integers(1, 100), st.floats(0, 60), draws)
def test_fixed_backoff_is_fixed(failed: int, delay_s: float, draw: float) -> None:
    """A fixed wait is the same after every failure, and no longer than the cap."""
    policy = RetryPolicy(backoff="fixed", delay_s=delay_s, cap_s=30.0)
    assert backoff_s(policy, failed, draw) == min(30.0, delay_s)


@given(st.floats(0.1, 54), draws, draws)
def test_refused_together_does_not_come_back_together(retry_after_s: float, one: float, other: float) -> None:
    """Slots that were told the same Retry-After come back spread over a tenth of it, not at one instant."""
    assume(abs(one - other) > 1e-3)
    policy = RetryPolicy(backoff="fixed", delay_s=0.0)
    first, second = (
        next_wait(policy, failed=1, retryable=True, retry_after_s=retry_after_s, left_s=NEVER_S, draw=draw)
        for draw in (one, other)
    )
    assert isinstance(first, float)
    assert isinstance(second, float)
    assert abs(first - second) == pytest.approx(retry_after_s * abs(one - other) / 10)
    assert retry_after_s <= first <= retry_after_s * 1.1


def test_a_retry_after_below_the_backoff_changes_nothing() -> None:
    """The longer of the server's wait and our own counts."""
    policy = RetryPolicy(backoff="fixed", delay_s=20.0)
    assert next_wait(policy, failed=1, retryable=True, retry_after_s=5.0, left_s=NEVER_S, draw=0.5) == 20.0


@pytest.mark.parametrize("retry_after_s", [DEFAULT_CAP_S * 1.001, 600.0, 86_400.0, math.inf])
def test_a_retry_after_beyond_the_cap_gives_up(retry_after_s: float) -> None:
    """A server that asks to wait longer than the cap is not waited for, and the record says for how long it asked."""
    outcome = next_wait(RetryPolicy(), failed=1, retryable=True, retry_after_s=retry_after_s, left_s=NEVER_S, draw=0.0)
    assert outcome == GiveUp(f"the server asks to wait {retry_after_s:g} s, more than the cap of 60 s")


def test_the_cap_itself_is_waited_for() -> None:
    """A server that asks for exactly the cap is waited for, for exactly that long."""
    outcome = next_wait(RetryPolicy(), failed=1, retryable=True, retry_after_s=60.0, left_s=NEVER_S, draw=0.9)
    assert outcome == 60.0


def test_a_retry_after_beyond_the_deadline_gives_up() -> None:
    """A server that asks to wait past the task's deadline is not waited for, and the record names both times."""
    outcome = next_wait(RetryPolicy(), failed=1, retryable=True, retry_after_s=30.0, left_s=12.25, draw=0.0)
    assert outcome == GiveUp("the server asks to wait 30 s, and the task has 12.2 s left")


def test_a_backoff_beyond_the_deadline_gives_up() -> None:
    """An attempt that could only start after the task's deadline is not waited for, and the record says so."""
    policy = RetryPolicy(backoff="fixed", delay_s=10.0)
    for left_s, late in ((10.0, "0"), (7.5, "2.5"), (-1.0, "11")):
        outcome = next_wait(policy, failed=1, retryable=True, retry_after_s=None, left_s=left_s, draw=0.0)
        assert outcome == GiveUp(f"the next attempt would start {late} s after the task's deadline")


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_are_attempts_after_the_first(retries: int) -> None:
    """With N retries a task has N + 1 attempts."""
    policy = RetryPolicy(retries=retries)
    outcomes = [
        next_wait(policy, failed=failed, retryable=True, retry_after_s=None, left_s=NEVER_S, draw=0.0)
        for failed in range(1, retries + 3)
    ]
    assert [isinstance(outcome, GiveUp) for outcome in outcomes] == [False] * retries + [True] * 2
