"""Whether a task that failed is tried again where there are several providers, as arithmetic on values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.errors import SERVERS_FAULT
from bench.policy.retry import GiveUp, jitter, next_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.policy.retry import RetryPolicy
    from bench.records import ErrorInfo, TaskResult

#: Failures that are the route's own affair: it is rested, and the task goes elsewhere or waits, until its time is up.
_OF_ROUTE: Final = frozenset({"rate_limited", "auth"})


def again(
    policy: RetryPolicy,
    ended: TaskResult,
    *,
    providers: Mapping[str, bool],
    left_s: float,
    may_retry: Callable[[], bool],
    seed: int,
) -> float | None:
    """Return the wait in seconds before a failed task's next attempt, or None if there is to be none.

    Args:
        policy: How often a task may fail, and the waits where only a provider that failed it is left.
        ended: Its record after the last attempt.
        providers: All that accept a key, and whether each may be asked soon.
        left_s: Time until the task's deadline.
        may_retry: Takes a call out of the run's share of repeated ones, if one is left.
        seed: Seed of the wait's jitter.
    """
    error = ended.error
    if error is None or left_s <= 0:
        return None
    failures = [each for each in ended.attempts if each.status == "failed"]
    asked_s = failures[-1].retry_after_s if failures else None
    counted = sum(1 for each in failures if each.error_type not in _OF_ROUTE)
    elsewhere = providers.keys() - {each.provider for each in failures}
    if not policy.allows(counted) or not _is_mendable(error, has_others=bool(elsewhere)):
        return None
    if any(providers[name] for name in elsewhere):
        return 0.0
    if error.type in _OF_ROUTE:
        # The pool knows when the route may be used again; beyond the deadline nobody waits for it.
        is_hopeless = not elsewhere and asked_s is not None and asked_s >= left_s
        return None if is_hopeless else 0.0
    if not may_retry():
        return None
    wait_s = next_wait(
        policy,
        failed=counted,
        retryable=True,
        retry_after_s=asked_s,
        left_s=left_s,
        draw=jitter(seed, ended.task_id, len(ended.attempts)),
    )
    return None if isinstance(wait_s, GiveUp) else wait_s


def _is_mendable(error: ErrorInfo, *, has_others: bool) -> bool:
    """Say whether another attempt may succeed: here, or where there is somebody else, there."""
    if error.retryable or error.type in _OF_ROUTE or (has_others and error.type in SERVERS_FAULT):
        return True
    # With time left for the task it was the provider's own limit that passed, which is shorter.
    return error.type == "timeout_total"
