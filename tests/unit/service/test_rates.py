"""How often a client may ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.service.security import Rates

S = 1_000_000_000


@given(st.integers(1, 200), st.lists(st.integers(0, 20 * S), max_size=300))
def test_never_more_than_the_bound(per_minute: int, gaps_ns: list[int]) -> None:
    """In no minute are more than twice the bound taken, a full bucket and what fills it, and never none at all."""
    rates, now_ns, taken_ns = Rates(per_minute), 0, []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        if rates.wait_s("1.2.3.4", now_ns) == 0:
            taken_ns.append(now_ns)
    assert bool(taken_ns) == bool(gaps_ns)
    for first in taken_ns:
        assert sum(first <= each < first + 60 * S for each in taken_ns) <= 2 * per_minute


@given(st.integers(1, 300), st.integers(0, 60 * S))
def test_who_waits_as_told_is_taken(per_minute: int, now_ns: int) -> None:
    """A client that is refused is told a time, at least a second, after which it is taken."""
    rates = Rates(per_minute)
    while not (wait_s := rates.wait_s("::1", now_ns)):
        pass
    assert wait_s >= 1
    assert rates.wait_s("::1", now_ns + wait_s * S) == 0


def test_clients() -> None:
    """Each IPv4 address is a client, each IPv6 network of /64 is one, and what is no address is one by its name."""
    rates = Rates(1)
    for address in ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1", "unix"):
        assert rates.wait_s(address, 0) == 0
        assert rates.wait_s(address, 0) == 60
    assert rates.wait_s("2001:db8::ffff", 0) == 60


def test_bounded() -> None:
    """Any number of clients takes bounded memory."""
    rates = Rates(1)
    for number in range(20_000):
        rates.wait_s(f"client {number}", 0)
    assert repr(rates) == "<Rates 1/min, 10000 addresses>"
