"""The seeded decisions: their shares, their spread, and that the seed alone decides."""

import collections
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.simulator.draws import Draws, Fate, unit
from bench.simulator.settings import MAX_SEED, SimulatorSettings

_SHARES: dict[Fate, float] = {
    "reject": 0.1,
    "error": 0.05,
    "cut": 0.2,
    "truncate": 0.01,
    "malform": 0.04,
    "stall": 0.1,
    "ok": 0.5,
}
_FAULTY = SimulatorSettings(
    reject_rate=0.1, error_rate=0.05, cut_rate=0.2, truncate_rate=0.01, malformed_rate=0.04, stall_rate=0.1
)


@pytest.mark.parametrize("seed", [0, 1, 7, MAX_SEED])
def test_fates_have_their_shares(seed: int) -> None:
    """Over many requests each fault takes its share, within five standard deviations, whatever the seed."""
    requests = 50_000
    settings = SimulatorSettings.from_pairs(
        [f"{name}={getattr(_FAULTY, name)}" for name in _FAULTY.__struct_fields__ if name.endswith("_rate")]
        + [f"seed={seed}"]
    )
    draws = Draws(settings)
    counts = collections.Counter(draws.fate(request) for request in range(requests))
    assert set(counts) == set(_SHARES)
    for fate, share in _SHARES.items():
        deviation = (share * (1 - share) / requests) ** 0.5
        assert abs(counts[fate] / requests - share) < 5 * deviation


def test_a_share_of_one_takes_all_and_of_zero_none() -> None:
    """A share of 1 is every request, and without shares every request is answered."""
    assert {Draws(SimulatorSettings(cut_rate=1.0)).fate(request) for request in range(1_000)} == {"cut"}
    assert {Draws(SimulatorSettings()).fate(request) for request in range(1_000)} == {"ok"}


@given(seed=st.integers(0, MAX_SEED), request=st.integers(0, 2**40), lane=st.integers(0, 2**20))
def test_draws_are_in_the_unit_interval(seed: int, request: int, lane: int) -> None:
    """Every draw is at least 0 and less than 1, so that a share of 1 has no gap and a share of 0 no member."""
    assert 0 <= unit(seed, request, lane) < 1


def test_draws_of_neighbours_are_uncorrelated() -> None:
    """Neighbouring requests, lanes and seeds draw independently: their correlation is that of chance."""
    count = 20_000
    for pairs in (
        [(unit(0, n, 0), unit(0, n + 1, 0)) for n in range(count)],
        [(unit(0, n, 0), unit(0, n, 1)) for n in range(count)],
        [(unit(0, n, 0), unit(1, n, 0)) for n in range(count)],
    ):
        covariance = sum((a - 0.5) * (b - 0.5) for a, b in pairs) / count
        assert abs(covariance * 12) < 5 / count**0.5


def _schedule(settings: SimulatorSettings, requests: int = 50, tokens: int = 16) -> list[int]:
    draws = Draws(settings)
    return [draws.wait_ns(request, token) for request, token in itertools.product(range(requests), range(tokens))]


def test_the_seed_alone_decides_the_schedule() -> None:
    """The same seed gives the same waits, and another seed gives others."""
    settings = [SimulatorSettings(ttft_s=0.2, itl_s=0.01, jitter=0.5, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (_schedule(each) for each in settings)
    assert first == again
    assert first != other


def test_without_jitter_waits_are_exact() -> None:
    """Without jitter the first token waits the first-token time, and each other the time between two."""
    draws = Draws(SimulatorSettings(ttft_s=0.2, itl_s=0.01))
    assert [draws.wait_ns(5, token) for token in range(4)] == [200_000_000] + [10_000_000] * 3


def test_jitter_spreads_evenly_around_the_mean() -> None:
    """With jitter 0.5 every wait lies within half of its mean around it, the average is the mean, and all is used."""
    waits = [Draws(SimulatorSettings(itl_s=0.01, jitter=0.5)).wait_ns(request, 1) for request in range(5_000)]
    assert 5_000_000 <= min(waits) < 5_100_000
    assert 14_900_000 < max(waits) <= 15_000_000
    assert abs(sum(waits) / len(waits) - 10_000_000) < 5 * 5_000_000 / 3**0.5 / len(waits) ** 0.5
