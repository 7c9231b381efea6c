"""Points and the two lines through them."""

from __future__ import annotations

import random
import statistics

import pytest

from bench.tuning.curve import fit
from bench.tuning.points import merged
from bench.tuning.records import Probe


def probe(n: int, rate_per_s: float, **changes: object) -> Probe:
    """Return a probe whose requests were all good, a hundred of them."""
    plain: dict[str, object] = {
        "mode": "asyncio",
        "concurrency": n,
        "purpose": "growing",
        "throughput_per_s": rate_per_s,
        "goodput_per_s": rate_per_s,
        "attempted": 100,
        "attained": 100,
        "latency_mean_s": 0.2,
        "latency_sd_s": 0.02,
    }
    return Probe(**{**plain, **changes})  # type: ignore[arg-type] # a table of them


def test_the_lines_meet_in_the_knee() -> None:
    """Of 0.2 s a request and 100 a second at most, 20 in flight are the knee, whatever lies beside it."""
    curve = fit(merged([probe(n, min(n / 0.2, 100)) for n in (1, 4, 16, 19, 21, 32)]))
    assert curve is not None
    assert curve.knee == pytest.approx(20)
    assert curve.cycle_s == pytest.approx(0.2)
    assert curve.capacity_per_s == pytest.approx(100)
    assert curve.spread == pytest.approx(0.1)


def test_a_rise_has_no_knee() -> None:
    """As long as throughput rises with N there is none, and where nothing succeeded there is no curve."""
    rising = fit(merged([probe(n, n / 0.2) for n in (1, 2, 4)]))
    assert rising is not None
    assert rising.knee is None
    assert fit(merged([probe(1, 0.0)])) is None


def test_refused_slots_are_on_no_line() -> None:
    """What a provider refused is not in flight: such a probe moves neither line."""
    curve = fit(merged([probe(1, 5.0), probe(2, 10.0), probe(4, 7.0, refused=50)]))
    assert curve is not None
    assert curve.capacity_per_s is None


def test_probes_of_one_n_are_one_point() -> None:
    """Two probes of one N count by the requests that they rest on."""
    (point,) = merged([probe(4, 10.0), probe(4, 20.0, attempted=300, attained=150)])
    assert (point.n, point.probes, point.samples) == (4, 2, 400)
    assert point.throughput_per_s == pytest.approx(17.5)
    assert point.good_share == pytest.approx(250 / 400)


def test_the_interval_holds_the_rate_in_19_of_20_probes() -> None:
    """The 95 % interval of the goodput of a server's answers, one after the other, holds what it is in the long run."""
    chance = random.Random(5)
    held = 0
    for _ in range(400):
        times_s = [chance.uniform(0.1, 0.3) for _ in range(40)]
        good = sum(chance.random() < 0.9 for _ in times_s)
        rate_per_s = len(times_s) / sum(times_s)
        seen = probe(1, rate_per_s, goodput_per_s=rate_per_s * good / 40, attempted=40, attained=good)
        low, high = merged([seen])[0].goodput_interval(statistics.stdev(times_s) / statistics.fmean(times_s))
        held += low <= 0.9 / 0.2 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_none_good_is_bounded_too() -> None:
    """Where none of a hundred requests was good, at most three of a hundred are."""
    (point,) = merged([probe(4, 10.0, goodput_per_s=0.0, attained=0)])
    low, high = point.goodput_interval(0.1)
    assert low == 0
    assert high == pytest.approx(0.3)
