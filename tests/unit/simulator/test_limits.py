"""The token bucket, with the time as a number."""

from hypothesis import given
from hypothesis import strategies as st

from bench.simulator.limits import TokenBucket

_S = 1_000_000_000


def test_a_slow_rate_admits_one_and_names_the_wait() -> None:
    """Thirty a minute admit one request, then say exactly how long until the next."""
    bucket = TokenBucket(30, now_ns=0)
    assert bucket.take(0) == 0
    assert bucket.take(0) == 2.0
    assert bucket.take(_S // 2) == 1.5
    assert bucket.take(2 * _S) == 0
    assert bucket.take(2 * _S) == 2.0


def test_a_fast_rate_holds_one_seconds_worth() -> None:
    """Six hundred a minute admit ten at once, and not more after a long rest."""
    bucket = TokenBucket(600, now_ns=0)
    assert sum(bucket.take(0) == 0 for _ in range(50)) == 10
    assert sum(bucket.take(3600 * _S) == 0 for _ in range(50)) == 10


@given(rate=st.floats(1, 60_000), gaps_ns=st.lists(st.integers(0, 2 * _S), min_size=1, max_size=200))
def test_never_more_than_capacity_plus_rate_pass(rate: float, gaps_ns: list[int]) -> None:
    """Whatever the arrivals, no more pass than the bucket held and what flowed in; no wait exceeds one token's."""
    bucket = TokenBucket(rate, now_ns=0)
    now_ns = passed = 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        wait_s = bucket.take(now_ns)
        passed += wait_s == 0
        assert passed <= max(1.0, rate / 60) + now_ns / _S * rate / 60 + 1e-6
        assert 0 <= wait_s <= 60 / rate + 1e-9


def test_waiting_as_told_is_enough() -> None:
    """Who comes back after the wait that was named is admitted."""
    bucket = TokenBucket(37, now_ns=0)
    now_ns = 0
    for _ in range(100):
        while (wait_s := bucket.take(now_ns)) > 0:
            waited_ns = now_ns
            now_ns += -int(-wait_s * _S // 1)
            assert now_ns > waited_ns
    assert now_ns <= 99 * 60 / 37 * _S * 1.000001
