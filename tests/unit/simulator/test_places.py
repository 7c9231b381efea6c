"""Places and the queue for them, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bench.simulator.exchange import Exchange
from bench.simulator.places import Places
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Stats

if TYPE_CHECKING:
    from bench.simulator.stats import Outcome


class _NoWire:
    """A connection that nothing is sent over."""

    def send(self, data: bytes) -> None:
        """Take bytes."""

    def complete(self, outcome: Outcome) -> None:
        """End an answer."""

    def reset(self) -> None:
        """Break off."""


def _exchange(seq: int) -> Exchange:
    return Exchange(wire=_NoWire(), seq=seq, connection=1, keep_alive=True, received_ns=0)


@given(capacity=st.integers(1, 4), steps=st.lists(st.integers(0, 9), max_size=60))
def test_places_are_given_in_order_and_never_more_than_there_are(capacity: int, steps: list[int]) -> None:
    """Whatever comes and goes, as many are worked on as there are places or requests, the earliest of those there."""
    stats = Stats(SimulatorSettings(), now_ns=0, cpu_s=0)
    places = Places(capacity, stats=stats)
    there: list[Exchange] = []
    for seq, step in enumerate(steps):
        if step < 6 or not there:
            exchange = _exchange(seq)
            there.append(exchange)
            places.take(exchange, lambda: None)
        else:
            places.leave(there.pop(step % len(there)))
        worked_on = [exchange.placed_ns is not None for exchange in there]
        assert worked_on == [place < sum(worked_on) for place in range(len(there))]
        assert sum(worked_on) == min(capacity, len(there))
        assert stats.snapshot(now_ns=1, cpu_s=0).waiting == len(there) - sum(worked_on)


def test_a_place_is_given_on_by_work_that_takes_no_time() -> None:
    """Thousands that wait and end as they begin are all begun, in order, however deep that would nest."""
    stats = Stats(SimulatorSettings(), now_ns=0, cpu_s=0)
    places = Places(1, stats=stats)
    holder, begun = _exchange(0), list[int]()
    places.take(holder, lambda: None)

    def done_at_once(exchange: Exchange) -> None:
        begun.append(exchange.seq)
        places.leave(exchange)

    for seq in range(1, 5001):
        exchange = _exchange(seq)
        places.take(exchange, lambda exchange=exchange: done_at_once(exchange))  # type: ignore[misc]
    assert not begun
    places.leave(holder)
    assert begun == list(range(1, 5001))
    seen = stats.snapshot(now_ns=1, cpu_s=0)
    assert (seen.waiting, seen.peak_waiting) == (0, 5000)
