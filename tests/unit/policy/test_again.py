"""Whether a failed task is tried again where there are several providers: what holds for every failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ERROR_TYPES, RETRYABLE, SERVERS_FAULT
from bench.policy.again import again
from bench.policy.pool.budget import Budget
from bench.policy.retry import RetryPolicy
from bench.records import ErrorInfo
from tests.samples import failed_attempt, failed_result, make_result

if TYPE_CHECKING:
    from bench.errors import ErrorType
    from bench.records import Attempt, TaskResult

error_types = st.sampled_from(ERROR_TYPES)
policies = st.builds(
    RetryPolicy,
    retries=st.integers(0, 5),
    delay_s=st.floats(0, 10),
    backoff=st.sampled_from(["fixed", "exponential"]),
)
attempts = st.lists(
    st.builds(
        lambda error_type, provider, asked_s: failed_attempt(error_type, provider=provider, retry_after_s=asked_s),
        error_types,
        st.sampled_from(["a", "b", "c"]),
        st.none() | st.floats(0, 300),
    ),
    min_size=1,
    max_size=8,
)
providers = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans(), min_size=1)


def ended(*made: Attempt) -> TaskResult:
    """The record of a task after these attempts, with the last one's failure."""
    error_type: ErrorType = made[-1].error_type or "internal"
    error = ErrorInfo(type=error_type, message="made up", http_status=None, retryable=error_type in RETRYABLE)
    return failed_result(0, error_type, attempts=made, error=error)


def asked(
    *made: Attempt, retries: int = 3, may_retry: bool = True, left_s: float = 100.0, **known: bool
) -> float | None:
    """What is decided after these attempts, with these providers and whether each may be asked soon."""
    policy = RetryPolicy(retries=retries, delay_s=2.0, backoff="fixed")
    return again(policy, ended(*made), providers=known, left_s=left_s, may_retry=lambda: may_retry, seed=0)


@given(
    policy=policies,
    made=attempts,
    known=providers,
    left_s=st.floats(-5, 300),
    may_retry=st.booleans(),
    seed=st.integers(0, 5),
)
def test_bounds(
    *, policy: RetryPolicy, made: list[Attempt], known: dict[str, bool], left_s: float, may_retry: bool, seed: int
) -> None:
    """A wait is never negative and ends before the deadline; no failure of its own beyond the retries is tried again;
    and the decision is the same each time.
    """
    wait_s, same_s = (
        again(policy, ended(*made), providers=known, left_s=left_s, may_retry=lambda: may_retry, seed=seed)
        for _ in range(2)
    )
    assert wait_s == same_s
    if wait_s is None:
        return
    assert 0 <= wait_s < left_s
    counted = [each for each in made if each.error_type not in {"rate_limited", "auth"}]
    assert len(counted) <= policy.retries
    assert made[-1].error_type in RETRYABLE | SERVERS_FAULT | {"auth"}


@given(policies, attempts, providers)
def test_the_budget_is_for_repeats_only(policy: RetryPolicy, made: list[Attempt], known: dict[str, bool]) -> None:
    """The share of repeated calls is drawn on only for another call to a provider that failed the task."""
    budget = Budget(share=0.0, reserve=1)
    again(policy, ended(*made), providers=known, left_s=100.0, may_retry=budget.take, seed=0)
    is_elsewhere = any(known[name] for name in known.keys() - {each.provider for each in made})
    if is_elsewhere or made[-1].error_type in {"rate_limited", "auth"}:
        assert budget.take()


def test_success_is_final() -> None:
    """A task that has its answer is not tried again."""
    policy = RetryPolicy()
    assert again(policy, make_result(), providers={"b": True}, left_s=9.0, may_retry=lambda: True, seed=0) is None


@pytest.mark.parametrize("error_type", [*sorted(SERVERS_FAULT), "auth", "rate_limited"])
def test_another_provider_at_once(error_type: ErrorType) -> None:
    """What another provider may not share goes there without a wait, if it may be asked soon."""
    assert asked(failed_attempt(error_type, provider="a"), a=True, b=True) == 0.0


@pytest.mark.parametrize(
    ("error_type", "wait_s"), [("bad_request", None), ("content_filter", None), ("too_large", None)]
)
def test_a_request_that_is_wrong_is_wrong_everywhere(error_type: ErrorType, wait_s: float | None) -> None:
    """A request that was found wrong is not sent to anybody else."""
    assert asked(failed_attempt(error_type, provider="a"), a=True, b=True) == wait_s


def test_a_provider_that_rests_is_waited_for_or_not() -> None:
    """Where the other provider rests, a failure is tried again after a wait; a model that is not there at one is looked
    for at the other all the same.
    """
    assert asked(failed_attempt("server_error", provider="a"), a=True, b=False) == 2.0
    assert asked(failed_attempt("not_found", provider="a"), a=True, b=False) == 2.0
    assert {asked(failed_attempt(kind, provider="a"), a=True) for kind in ("not_found", "tls", "bad_content_type")} == {
        None
    }


def test_a_429_is_waited_for() -> None:
    """A refusal for the rate goes on whatever was failed before, unless it asks for more time than is left."""
    refusal = failed_attempt("rate_limited", provider="a", retry_after_s=30.0)
    assert asked(*[refusal] * 9, retries=0, a=True) == 0.0
    assert asked(refusal, left_s=29.0, a=True) is None
    assert asked(refusal, left_s=29.0, a=True, b=False) == 0.0


def test_the_budget_ends_repeats() -> None:
    """Without a repeated call left, a task whose provider failed it fails."""
    assert asked(failed_attempt("server_error", provider="a"), may_retry=False, a=True) is None
