"""ErrorHandler: calls that are tried again, and calls whose failure has a substitute."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import math
import random
from typing import TYPE_CHECKING, Final, ParamSpec, TypeAlias, TypeVar, cast

import msgspec

from bench.clients.classify import classify
from bench.clock import NS_PER_S, MonotonicClock
from bench.errors import ConfigError
from bench.policy.pool.budget import Budget
from bench.policy.retry import DEFAULT_CAP_S, GiveUp, RetryPolicy, next_wait
from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.clock import Clock

_log = logging.getLogger("bench.toolkit")

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

#: Exception types that are tried again, instead of those that `classify` says another attempt may mend.
RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...]

#: Repeated calls that a budget allows at once, before its share binds: a handful of tasks that fail together.
_RESERVE: Final = 10


class RetryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of trying again.

    Attributes:
        max_delay_s: The longest wait; a server that asks for more is not waited for.
        total_s: No attempt begins later than this after the first one; None for no such limit. An attempt under way is
            not cut short: give it a timeout of its own.
        budget_share: Repeated calls over all calls of the handler, at most, from the eleventh repeated one on; None for
            no such limit. It keeps a server that fails everybody from being asked four times as often for it.

    Raises:
        ConfigError: A bound is below 0.
    """

    max_delay_s: float = DEFAULT_CAP_S
    total_s: float | None = None
    budget_share: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no bound."""
        for name in ("max_delay_s", "total_s", "budget_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{name} must be a number of at least 0, got {value!r}")


class ErrorHandler:
    """Tries calls again, or substitutes a value for their failure.

    By default it tries again what another attempt may mend (`classify`): a full or failing server (429, 408, 409, 5xx),
    a timeout, a broken connection; never a wrong key or a wrong request, nor an error of one's own code. It waits an
    even draw between 0 and `retry_delay` doubled with each failure (full jitter), and never less than a server's
    Retry-After. A cancellation always passes at once. When it gives up, the last exception is raised as it is, with a
    note that says why. Callable from any thread and event loop.

    Args:
        max_retries: Attempts after the first: 3 means at most 4 calls, 0 means one.
        retry_delay: Seconds of the first wait's bound, or of every wait.
        exponential_backoff: False makes every wait `retry_delay` seconds, without jitter.
        limits: Bounds of the waits and of their sum.
        clock: What waits.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        max_retries: int = 3,
        *,
        retry_delay: float = 1.0,
        exponential_backoff: bool = True,
        limits: RetryLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._limits = RetryLimits() if limits is None else limits
        share = self._limits.budget_share
        self._policy = _policy(max_retries, retry_delay, self._limits, exponential=exponential_backoff)
        self._budget = None if share is None else Budget(share=share, reserve=_RESERVE)
        self._clock = MonotonicClock() if clock is None else clock
        self._never = StopSignal()

    def __repr__(self) -> str:
        """Show how it tries again."""
        return f"<ErrorHandler {_words(self._policy)}>"

    async def with_retry(self, fn: Callable[[], Awaitable[R]], *, retry_on: RetryOn | None = None) -> R:
        """Await what `fn` makes, and try again as the handler says; `fn` is called anew for each attempt.

        Args:
            fn: Makes what is awaited, as `lambda: ask(1)`.
            retry_on: Exception types that are tried again, and nothing else is.

        Raises:
            ConfigError: `retry_on` is not made of exception types.
            Exception: What the last attempt raised.
        """
        attempts = self._attempts(retry_on)
        while True:
            try:
                attempts.begin()
                return await fn()
            except Exception as error:
                wait_s = attempts.wait_after(error)
                if wait_s is None:
                    raise
            await self._clock.asleep_until(self._due_ns(wait_s), self._never)

    def with_retry_sync(self, fn: Callable[[], R], *, retry_on: RetryOn | None = None) -> R:
        """Call `fn` in this thread, and try again as the handler says; see `with_retry`."""
        attempts = self._attempts(retry_on)
        while True:
            try:
                attempts.begin()
                return fn()
            except Exception as error:
                wait_s = attempts.wait_after(error)
                if wait_s is None:
                    raise
            self._clock.sleep_until(self._due_ns(wait_s), self._never)

    def retry_decorator(
        self,
        retry_on: RetryOn | None = None,
        *,
        max_retries: int | None = None,
        retry_delay: float | None = None,
        exponential_backoff: bool | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator that tries a function's calls again, for plain functions and for coroutine functions.

        Args:
            retry_on: As for `with_retry`.
            max_retries: Instead of the handler's; what is not given is the handler's.
            retry_delay: Instead of the handler's.
            exponential_backoff: Instead of the handler's.

        Raises:
            ConfigError: A number is out of its range, or what is decorated is a generator.
        """
        _types(retry_on)
        backoff = self._policy.backoff == "exponential" if exponential_backoff is None else exponential_backoff
        mine = copy.copy(self)
        mine._policy = _policy(  # noqa: SLF001 - a copy of this very object
            self._policy.retries if max_retries is None else max_retries,
            self._policy.delay_s if retry_delay is None else retry_delay,
            self._limits,
            exponential=backoff,
        )

        def decorate(fn: Callable[P, R]) -> Callable[P, R]:
            if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
                raise ConfigError(f"a generator cannot be tried again: its body runs after the call, got {fn!r}")
            return mine._decorated(fn, retry_on)  # noqa: SLF001 - a copy of this very object

        return decorate

    async def safe_execute(
        self, fn: Callable[[], Awaitable[R]], default_value: D | None = None, *, log_error: bool = True
    ) -> R | D | None:
        """Await what `fn` makes, once, and return its result, or a value in place of what it raises.

        A cancellation, an interrupt and an exit are no errors: they pass.

        Args:
            fn: Makes what is awaited.
            default_value: What stands for the result where it failed.
            log_error: Whether the log `bench.toolkit` gets the error with its traceback.
        """
        try:
            return await fn()
        except Exception as error:  # noqa: BLE001 - the edge that the caller asks for
            if log_error:
                _log.error("failed, and replaced by %r", default_value, exc_info=error)
            return default_value

    def _attempts(self, retry_on: RetryOn | None) -> _Attempts:
        return _Attempts(self._policy, self._limits.total_s, self._budget, self._clock, _types(retry_on))

    def _due_ns(self, wait_s: float) -> int:
        return self._clock.now_ns() + int(wait_s * NS_PER_S)

    def _decorated(self, fn: Callable[P, R], retry_on: RetryOn | None) -> Callable[P, R]:
        """Return `fn` tried again, as a function of its own kind."""
        if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None)):  # noqa: B004 - whether it is asynchronous, not whether it is there

            async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> object:
                return await self.with_retry(lambda: cast("Awaitable[object]", fn(*args, **kwargs)), retry_on=retry_on)

            return cast("Callable[P, R]", functools.update_wrapper(asynchronous, fn))

        def synchronous(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.with_retry_sync(lambda: fn(*args, **kwargs), retry_on=retry_on)

        return functools.update_wrapper(synchronous, fn)


class _Attempts:
    """The attempts of one call, and the decision after each failure."""

    def __init__(
        self,
        policy: RetryPolicy,
        total_s: float | None,
        budget: Budget | None,
        clock: Clock,
        retry_on: tuple[type[Exception], ...] | None,
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._clock = clock
        self._retry_on = retry_on
        self._deadline_ns = None if total_s is None else clock.now_ns() + int(total_s * NS_PER_S)
        self._failed = 0

    def begin(self) -> None:
        """Count an attempt."""
        if self._budget is not None:
            self._budget.add_call()

    def wait_after(self, error: Exception) -> float | None:
        """Return the wait in seconds before the next attempt; None to give up, then the error has a note of why."""
        self._failed += 1
        known = classify(error)
        retryable = (
            known is not None and known.retryable if self._retry_on is None else isinstance(error, self._retry_on)
        )
        decision = next_wait(
            self._policy,
            failed=self._failed,
            retryable=retryable,
            retry_after_s=None if known is None else known.retry_after_s,
            left_s=math.inf if self._deadline_ns is None else (self._deadline_ns - self._clock.now_ns()) / NS_PER_S,
            draw=random.random(),  # noqa: S311 - jitter
        )
        if isinstance(decision, GiveUp):
            if retryable:
                error.add_note(f"gave up after attempt {self._failed}: {decision.reason or _words(self._policy)}")
            return None
        if self._budget is not None and not self._budget.take():
            error.add_note(f"gave up after attempt {self._failed}: the budget of repeated calls is used up")
            return None
        _log.info("attempt %d failed, the next in %.2f s: %r", self._failed, decision, error)
        return decision


def _policy(max_retries: int, retry_delay: float, limits: RetryLimits, *, exponential: bool) -> RetryPolicy:
    if type(max_retries) is not int or max_retries < 0:
        raise ConfigError(f"max_retries must be a whole number of at least 0, got {max_retries!r}")
    if not 0 <= retry_delay < math.inf:
        raise ConfigError(f"retry_delay must be a number of seconds of at least 0, got {retry_delay!r}")
    return RetryPolicy(
        retries=max_retries,
        delay_s=retry_delay,
        backoff="exponential" if exponential else "fixed",
        cap_s=limits.max_delay_s,
    )


def _words(policy: RetryPolicy) -> str:
    return f"at most {policy.retries + 1} attempts, {policy.backoff} waits from {policy.delay_s:g} s"


def _types(retry_on: object) -> tuple[type[Exception], ...] | None:
    """Return exception types as a tuple.

    Raises:
        ConfigError: They are something else, or not to be caught.
    """
    if retry_on is None:
        return None
    types = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    for each in types:
        if not isinstance(each, type) or not issubclass(each, Exception):
            raise ConfigError(
                f"retry_on takes types of exceptions, got {each!r}",
                "a cancellation is never tried again; a decorator is written with brackets: @handler.retry_decorator()",
            )
    return types
