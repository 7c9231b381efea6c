"""What a simulator counts, with the time as a number."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Lateness, SimulatorStats, Stats

_MS = 1_000_000
_BUCKET_S = 50e-6


def _stats() -> Stats:
    return Stats(SimulatorSettings(), now_ns=0, cpu_s=1.0)


def test_in_flight_is_integrated_over_time() -> None:
    """Two requests that overlap for 10 of 30 ms were 40 request-milliseconds in flight, with a peak of two."""
    stats = _stats()
    stats.began(0)
    stats.began(10 * _MS)
    stats.ended("ok", 20 * _MS, was_in_flight=True)
    stats.ended("cut", 30 * _MS, was_in_flight=True)
    seen = stats.snapshot(now_ns=40 * _MS, cpu_s=1.5)
    assert seen.in_flight_s == pytest.approx(0.040)
    assert seen.mean_in_flight == pytest.approx(1.0)
    assert (seen.in_flight, seen.peak_in_flight) == (0, 2)
    assert (seen.outcomes["ok"], seen.outcomes["cut"], seen.outcomes["error"]) == (1, 1, 0)
    assert seen.cpu_s == pytest.approx(0.5)


def test_what_was_refused_was_never_in_flight() -> None:
    """A rejected request counts as an outcome and touches neither peak nor mean."""
    stats = _stats()
    stats.requests += 1
    stats.ended("rejected", 5 * _MS, was_in_flight=False)
    seen = stats.snapshot(now_ns=10 * _MS, cpu_s=1.0)
    assert (seen.requests, seen.outcomes["rejected"], seen.peak_in_flight, seen.in_flight_s) == (1, 1, 0, 0)


def test_a_reset_keeps_what_is_still_there() -> None:
    """After a reset the counts are zero, but what is in flight and open goes on from where it is."""
    stats = _stats()
    stats.connection_opened()
    stats.connection_used()
    stats.requests += 1
    stats.began(0)
    stats.began(0)
    stats.lateness.add(5 * _MS)
    stats.ended("ok", 10 * _MS, was_in_flight=True)
    stats.reset(now_ns=10 * _MS, cpu_s=3.0)
    seen = stats.snapshot(now_ns=20 * _MS, cpu_s=3.0)
    assert (seen.requests, seen.outcomes["ok"], seen.connections_accepted, seen.connections_used) == (0, 0, 0, 0)
    assert (seen.in_flight, seen.peak_in_flight, seen.connections_open) == (1, 1, 1)
    assert seen.in_flight_s == pytest.approx(0.010)
    assert (seen.sends, seen.lateness_p50_s, seen.lateness_max_s, seen.cpu_s) == (0, None, None, 0)


@given(late_ns=st.lists(st.integers(0, 400 * _MS), min_size=1, max_size=300), share=st.floats(0.01, 1))
def test_quantiles_are_upper_bounds_one_bucket_wide(late_ns: list[int], share: float) -> None:
    """A quantile is never below the true one, nor more than 50 us above it as long as it is under 0.2 s."""
    lateness = Lateness()
    for late in late_ns:
        lateness.add(late)
    rank = -int(-share * len(late_ns) // 1)
    true_s = sorted(late_ns)[rank - 1] / 1e9
    found_s = lateness.quantile_s(share)
    assert found_s is not None
    assert found_s >= true_s
    if true_s < 0.2:
        assert found_s <= true_s + _BUCKET_S + 1e-12
    assert lateness.max_s == max(late_ns) / 1e9
    assert lateness.count == len(late_ns)


def test_nothing_sent_has_no_lateness() -> None:
    """Without a single token sent the lateness is not measured, which is not the same as zero."""
    assert Lateness().quantile_s(0.5) is None
    assert Lateness().max_s is None


def test_a_snapshot_survives_json() -> None:
    """A snapshot is read back from JSON as it was."""
    stats = _stats()
    stats.lateness.add(3 * _MS)
    seen = stats.snapshot(now_ns=7 * _MS, cpu_s=1.25)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=SimulatorStats) == seen
