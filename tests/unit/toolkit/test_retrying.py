"""ErrorHandler: how often, after which waits, for which errors, and what it never catches."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import pytest

from bench.errors import CallError, ConfigError
from bench.toolkit import ErrorHandler, RetryLimits
from tests.clocks import NS_PER_S, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL: Final = CallError("rate_limited", "HTTP 429", 429)
FOREVER: Final = 10**6


class Flaky:
    """Fails so many times, then answers; notes when it was called."""

    def __init__(self, clock: VirtualClock, failures: int, error: BaseException = FULL) -> None:
        self._clock = clock
        self._failures = failures
        self._error = error
        self.calls_s: list[float] = []

    @property
    def calls(self) -> int:
        """How often it was called."""
        return len(self.calls_s)

    @property
    def waits_s(self) -> list[float]:
        """The times between the calls."""
        return [later - earlier for earlier, later in zip(self.calls_s, self.calls_s[1:], strict=False)]

    def call(self) -> str:
        """Fail or answer."""
        self.calls_s.append(self._clock.now_ns() / NS_PER_S)
        if self.calls <= self._failures:
            raise self._error
        return "answer"

    async def acall(self) -> str:
        """Do the same."""
        await asyncio.sleep(0)
        return self.call()


@pytest.fixture
def clock() -> VirtualClock:
    """Time that stands still until somebody waits."""
    return VirtualClock()


@pytest.fixture(params=["asynchronous", "synchronous"])
def run(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Run a call through either driver."""

    def run_one(handler: ErrorHandler, flaky: Flaky, retry_on: type[Exception] | None = None) -> str:
        if request.param == "synchronous":
            return handler.with_retry_sync(flaky.call, retry_on=retry_on)
        return asyncio.run(handler.with_retry(flaky.acall, retry_on=retry_on))

    return run_one


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_what_max_retries_counts(max_retries: int, clock: VirtualClock, run: Callable[..., str]) -> None:
    """`max_retries` counts the attempts after the first: 3 means four calls, with no wait after the last."""
    handler = ErrorHandler(max_retries, clock=clock)
    enough, too_few = Flaky(clock, max_retries), Flaky(clock, FOREVER, CallError("server_error", "HTTP 500", 500))
    assert run(handler, enough) == "answer"
    with pytest.raises(CallError, match="HTTP 500") as caught:
        run(handler, too_few)
    assert (enough.calls, too_few.calls) == (max_retries + 1, max_retries + 1)
    assert f"gave up after attempt {max_retries + 1}: at most {max_retries + 1} attempts" in caught.value.__notes__[0]


def test_waits_are_jittered_and_capped(clock: VirtualClock, run: Callable[..., str]) -> None:
    """Waits lie between nothing and the delay doubled with each failure, below the cap, and no two handlers' agree."""
    handler = ErrorHandler(12, retry_delay=1.0, limits=RetryLimits(max_delay_s=8.0), clock=clock)
    seen = []
    for _ in range(20):
        flaky = Flaky(clock, 12)
        run(handler, flaky)
        seen.append(flaky.waits_s)
    for failed in range(12):
        waits_s = [waits[failed] for waits in seen]
        bound_s = min(8.0, 2.0**failed)
        assert max(waits_s) < bound_s + 1e-6
        assert max(waits_s) - min(waits_s) > bound_s / 3


def test_fixed_waits(clock: VirtualClock, run: Callable[..., str]) -> None:
    """Without the exponential backoff every wait is the delay."""
    flaky = Flaky(clock, 3)
    run(ErrorHandler(3, retry_delay=0.25, exponential_backoff=False, clock=clock), flaky)
    assert flaky.waits_s == pytest.approx([0.25] * 3)


def test_retry_after(clock: VirtualClock, run: Callable[..., str]) -> None:
    """A server's Retry-After is a wait's lower bound; one beyond the longest wait is not waited for, and told."""
    handler = ErrorHandler(1, retry_delay=0.001, clock=clock)
    asked = Flaky(clock, 1, CallError("rate_limited", "HTTP 429", 429, 7.0))
    run(handler, asked)
    assert 7.0 <= asked.waits_s[0] <= 7.7
    too_long = Flaky(clock, 1, CallError("rate_limited", "HTTP 429", 429, 3600.0))
    with pytest.raises(CallError) as caught:
        run(handler, too_long)
    assert too_long.calls == 1
    assert "asks to wait 3600 s" in caught.value.__notes__[0]


def test_total_time(clock: VirtualClock, run: Callable[..., str]) -> None:
    """No attempt begins after the total time."""
    flaky = Flaky(clock, FOREVER, CallError("server_error", "HTTP 500", 500))
    handler = ErrorHandler(
        100, retry_delay=1.0, exponential_backoff=False, limits=RetryLimits(total_s=5.5), clock=clock
    )
    with pytest.raises(CallError):
        run(handler, flaky)
    assert flaky.calls == 6


def test_budget(clock: VirtualClock) -> None:
    """A server that fails everybody is asked little more than once a call once the budget is used up."""
    handler = ErrorHandler(3, limits=RetryLimits(budget_share=0.1), clock=clock)
    flaky = Flaky(clock, FOREVER, CallError("server_error", "HTTP 500", 500))
    for _ in range(200):
        with pytest.raises(CallError):
            handler.with_retry_sync(flaky.call)
    assert 200 < flaky.calls < 250


@pytest.mark.parametrize(
    "error",
    [ValueError("a bug"), CallError("auth", "HTTP 401", 401), CallError("bad_request", "HTTP 400", 400)],
)
def test_what_is_not_tried_again(error: Exception, clock: VirtualClock, run: Callable[..., str]) -> None:
    """A bug, a wrong key and a wrong request are raised at once, as they are."""
    flaky = Flaky(clock, FOREVER, error)
    with pytest.raises(type(error)) as caught:
        run(ErrorHandler(clock=clock), flaky)
    assert caught.value is error
    assert flaky.calls == 1


def test_retry_on(clock: VirtualClock, run: Callable[..., str]) -> None:
    """Named types are tried again, and then nothing else is."""
    handler = ErrorHandler(clock=clock)
    named = Flaky(clock, 2, ValueError("named"))
    assert run(handler, named, ValueError) == "answer"
    other = Flaky(clock, 1, CallError("server_error", "HTTP 500", 500))
    with pytest.raises(CallError):
        run(handler, other, ValueError)
    assert other.calls == 1


@pytest.mark.parametrize("passing", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
def test_what_always_passes(passing: BaseException, clock: VirtualClock) -> None:
    """A cancellation, an interrupt and an exit are neither tried again nor replaced by a value."""
    flaky = Flaky(clock, FOREVER, passing)
    handler = ErrorHandler(clock=clock)
    with pytest.raises(type(passing)):
        handler.with_retry_sync(flaky.call)
    with pytest.raises(type(passing)):
        asyncio.run(handler.safe_execute(flaky.acall))
    assert flaky.calls == 2


def test_a_cancelled_wait(clock: VirtualClock) -> None:
    """A cancellation that comes during a wait between two attempts ends it."""

    async def main() -> int:
        flaky = Flaky(clock, FOREVER)
        handler = ErrorHandler(10**6, retry_delay=60.0, exponential_backoff=False)
        call = asyncio.ensure_future(handler.with_retry(flaky.acall))
        for _ in range(5):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return flaky.calls

    assert asyncio.run(main()) == 1


def test_cancellation_is_no_type_to_try_again() -> None:
    """To try a cancellation again is refused where it is written down, not where it happens."""
    for wrong in (asyncio.CancelledError, (ValueError, KeyboardInterrupt), "ValueError"):
        with pytest.raises(ConfigError, match="retry_on takes types of exceptions"):
            ErrorHandler().retry_decorator(wrong)  # type: ignore[arg-type] # the mistake in question
    with pytest.raises(ConfigError, match=r"@handler\.retry_decorator\(\)"):

        @ErrorHandler().retry_decorator  # type: ignore[arg-type] # the mistake in question
        def forgot_the_brackets() -> None: ...


def test_decorator(clock: VirtualClock) -> None:
    """A decorated function keeps its kind, name and arguments; what the decorator is not given is the handler's."""
    handler = ErrorHandler(1, retry_delay=3.0, exponential_backoff=False, clock=clock)
    mine, overridden = Flaky(clock, 1, ValueError()), Flaky(clock, 5, ValueError())

    @handler.retry_decorator(ValueError)
    def synchronous(word: str, *, times: int) -> str:
        """Say."""
        return mine.call() + word * times

    @handler.retry_decorator((ValueError, KeyError), max_retries=5)
    async def asynchronous(word: str) -> str:
        return await overridden.acall() + word

    assert synchronous("!", times=2) == "answer!!"
    assert asyncio.run(asynchronous("?")) == "answer?"
    assert mine.waits_s == pytest.approx([3.0])
    assert overridden.waits_s == pytest.approx([3.0] * 5)
    assert (synchronous.__name__, synchronous.__doc__) == ("synchronous", "Say.")
    with pytest.raises(ValueError, match="gave up after attempt 2"):
        handler.with_retry_sync(Flaky(clock, 2, ValueError()).call, retry_on=ValueError)


def test_decorated_generators() -> None:
    """A generator is refused: its body runs after the call that would be tried again."""

    def generator() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigError, match="a generator cannot be tried again"):
        ErrorHandler().retry_decorator()(generator)


def test_safe_execute(caplog: pytest.LogCaptureFixture, clock: VirtualClock) -> None:
    """A failure becomes the given value, is called once, and is in the log with its traceback unless told otherwise."""
    handler = ErrorHandler(clock=clock)
    flaky = Flaky(clock, FOREVER, LookupError("nobody is there"))
    with caplog.at_level(logging.ERROR, "bench.toolkit"):
        assert asyncio.run(handler.safe_execute(flaky.acall, default_value=[], log_error=False)) == []
        assert caplog.text == ""
        assert asyncio.run(handler.safe_execute(flaky.acall)) is None
        assert asyncio.run(handler.safe_execute(Flaky(clock, 0).acall)) == "answer"
    assert flaky.calls == 2
    assert "LookupError: nobody is there" in caplog.text
    assert "Traceback" in caplog.text


def test_wrong_numbers() -> None:
    """A number that is none is refused with its name."""
    with pytest.raises(ConfigError, match="max_retries must be a whole number of at least 0, got -1"):
        ErrorHandler(-1)
    with pytest.raises(ConfigError, match="max_retries must be a whole number of at least 0, got True"):
        ErrorHandler(True)  # noqa: FBT003 - the mistake in question
    with pytest.raises(ConfigError, match="retry_delay"):
        ErrorHandler(retry_delay=-0.1)
    with pytest.raises(ConfigError, match="total_s"):
        RetryLimits(total_s=-1)
