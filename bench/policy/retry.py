"""When a failed attempt is tried again, as arithmetic on values."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from bench.config import Backoff

#: No wait is longer than this, and a server that asks for more is not waited for.
DEFAULT_CAP_S: Final = 60.0

#: How far past a Retry-After a wait may be spread, so that slots refused together do not come back together.
RETRY_AFTER_SPREAD: Final = 0.1


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and after which waits a task is tried again.

    Attributes:
        retries: Attempts after the first; 0 means one attempt.
        delay_s: The fixed wait, or the base of the exponential one.
        backoff: `fixed` waits `delay_s`; `exponential` draws evenly between 0 and
            min(cap, delay * 2**k) (full jitter).
        cap_s: The longest wait.
    """

    retries: int = 3
    delay_s: float = 1.0
    backoff: Backoff = "exponential"
    cap_s: float = DEFAULT_CAP_S

    def allows(self, failed: int) -> bool:
        """Say whether a task that has failed so many times may be tried again."""
        return failed <= self.retries


class GiveUp(msgspec.Struct, frozen=True):
    """No further attempt, and why in words for the record (empty where the failure speaks for itself)."""

    reason: str = ""


def backoff_s(policy: RetryPolicy, failed: int, draw: float) -> float:
    """Return the wait in seconds after the `failed`-th failure (from 1), for `draw` in [0, 1).

    The cap comes first and the jitter after it, within the cap: full jitter, as in "Exponential Backoff And Jitter"
    (AWS Architecture Blog, 2015).
    """
    if policy.backoff == "fixed":
        return min(policy.cap_s, policy.delay_s)
    # 2**63 is beyond any cap and keeps the power a small number.
    return draw * min(policy.cap_s, policy.delay_s * 2.0 ** min(failed - 1, 63))


def jitter(seed: int, task_id: str, made: int) -> float:
    """Return the draw in [0, 1) for the wait after a task's `made`-th attempt: the same in every run with this seed."""
    return random.Random(f"{seed}/{task_id}/{made}").random()  # noqa: S311 - no secret


def next_wait(
    policy: RetryPolicy, *, failed: int, retryable: bool, retry_after_s: float | None, left_s: float, draw: float
) -> float | GiveUp:
    """Decide on the wait before the next attempt, or to give up.

    Args:
        policy: The policy.
        failed: Attempts that failed so far, at least 1.
        retryable: Whether another attempt may mend the last failure.
        retry_after_s: What the server asked for, or None.
        left_s: Seconds until the task's deadline.
        draw: A random number in [0, 1).

    Returns:
        Seconds to wait, never less than `retry_after_s`; or `GiveUp`.
    """
    if not retryable or not policy.allows(failed):
        return GiveUp()
    wait_s = backoff_s(policy, failed, draw)
    if retry_after_s is not None:
        if retry_after_s > policy.cap_s:
            return GiveUp(f"the server asks to wait {retry_after_s:g} s, more than the cap of {policy.cap_s:g} s")
        wait_s = max(wait_s, min(policy.cap_s, retry_after_s * (1 + RETRY_AFTER_SPREAD * draw)))
        if retry_after_s >= left_s:
            return GiveUp(f"the server asks to wait {retry_after_s:g} s, and the task has {left_s:.3g} s left")
    if wait_s >= left_s:
        return GiveUp(f"the next attempt would start {wait_s - left_s:.3g} s after the task's deadline")
    return wait_s
