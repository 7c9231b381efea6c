"""The simulation of a workload, held against what is known in closed form."""

from __future__ import annotations

import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.planning.simulate import Held, Setting, held, shortened, whole
from bench.policy.pool import PoolSettings
from bench.policy.pool.rates import MINUTE_S, Meter
from tests.measured_points import make_point

times = st.lists(st.floats(0.01, 10), min_size=1, max_size=20)


def setting(values_s: list[float], slots: int, gap_s: float = 0.0) -> Setting:
    """What is simulated when tasks take these times, each as often."""
    mean_s = math.fsum(values_s) / len(values_s)
    return Setting(slots=slots, gap_s=gap_s, held=Held(values_s=values_s, mean_s=mean_s, calls=1.0, failed=0.0))


@given(tasks=st.integers(1, 500), slots=st.integers(1, 60), length_s=st.floats(0.01, 10))
def test_tasks_of_one_length_end_in_rounds(tasks: int, slots: int, length_s: float) -> None:
    """Tasks of one length take as many rounds of all slots as they fill."""
    assert whole(setting([length_s], slots), tasks, 0) == pytest.approx(math.ceil(tasks / slots) * length_s)


@given(tasks=st.integers(1, 500), gap_s=st.floats(0.001, 2), length_s=st.floats(0.01, 1))
def test_starts_are_a_gap_apart(tasks: int, gap_s: float, length_s: float) -> None:
    """With slots for all, the last task begins when all the others have had their gap."""
    took_s = whole(setting([length_s], tasks, gap_s), tasks, 0)
    assert took_s == pytest.approx((tasks - 1) * gap_s + length_s)


def test_random_times_fill_the_slots() -> None:
    """Exponential times in 16 slots end n tasks in n / 16 means, and the last of them the sum 1 + 1/2 + .. later."""
    rng = random.Random(3)
    values = [rng.expovariate(1.0) for _ in range(50_000)]
    found = setting(values, 16)
    # The residual times of the slots are exponential again: their largest is the harmonic number, their mean 1.
    expected_s = 40_000 / 16 * found.held.mean_s + math.fsum(1 / k for k in range(1, 17)) - 1
    took_s = math.fsum(whole(found, 40_000, seed) for seed in range(5)) / 5
    assert took_s == pytest.approx(expected_s, rel=0.01)


@given(values=times, slots=st.integers(1, 20), tasks=st.integers(1, 300), gap_s=st.floats(0, 0.5))
def test_more_is_never_worse(values: list[float], slots: int, tasks: int, gap_s: float) -> None:
    """One slot more is never slower, a wider gap never faster, and one task more never shorter; the seed decides all.

    With one slot more each task finds the first free one no later (Graham's bound holds without precedence).
    """
    now_s = whole(setting(values, slots, gap_s), tasks, 7)
    assert whole(setting(values, slots, gap_s), tasks, 7) == now_s
    assert whole(setting(values, slots, gap_s + 0.1), tasks, 7) >= now_s - 1e-9
    assert whole(setting(values, slots, gap_s), tasks + 1, 7) >= now_s - 1e-9
    assert whole(setting(values, slots + 1, gap_s), tasks, 7) <= now_s + 1e-9


@pytest.mark.parametrize("gap_s", [0.0, 0.008, 0.0125, 0.02])
@pytest.mark.parametrize("values", [[0.4], [0.1, 0.1, 1.0], [0.01 * k for k in range(1, 80)]])
def test_the_rest_goes_on_at_the_samples_pace(values: list[float], gap_s: float) -> None:
    """A workload of which a part is simulated takes as long as one that is simulated whole, within a hundredth: also
    where the gap and the slots let through as much as each other.
    """
    found = setting(values, 32, gap_s)
    tasks = 150_000
    assert shortened(found, tasks, 5, sample=50_000) == pytest.approx(whole(found, tasks, 6), rel=0.01)


@pytest.mark.parametrize("per_min", [60, 600, 6000])
def test_the_gap_is_what_profile_prod_keeps(per_min: int) -> None:
    """Calls that wait for a quota's meter end as calls with a gap do, but for the burst of a hundredth of a minute."""
    jitter_s = PoolSettings(ceiling=1).jitter_s
    meter, at_s, tasks = Meter(per_min, jitter_s), 0.0, 3 * per_min
    free_s = deque([0.0] * 8)
    for _ in range(tasks):
        at_s = max(free_s.popleft(), at_s)
        # Until no window and no spacing holds it back.
        while (ready_s := meter.ready_s(at_s, 1)) > at_s:
            at_s = ready_s
        meter.spend(at_s, 1)
        free_s.append(at_s + 0.05)
    gap_s = (MINUTE_S + jitter_s) / per_min
    took_s = whole(setting([0.05], 8, gap_s), tasks, 0)
    assert took_s == pytest.approx(max(free_s), abs=0.01 * MINUTE_S + 2 * gap_s)


@pytest.mark.parametrize("waits_hold", [True, False])
def test_failures_follow_the_retry_policy(waits_hold: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A task keeps its slot for all its attempts, and for the waits between them only in a measurement; after the last
    retry it has failed.
    """
    point = make_point(8, 1.0, failing=0.3, retries=2, tasks=5000)
    failing = 1 - sum(call.ok for block in point.blocks for (call,) in block.tasks) / point.size
    found = held(point.blocks, point.conditions, waits_hold=waits_hold, seed=1)
    again = failing + failing**2
    expected_s = (1 - failing) * (1 + again) + failing * 0.5 * (1 + again) + (again * 0.1 if waits_hold else 0.0)
    assert found.failed == pytest.approx(failing**3, abs=0.005)
    assert found.calls == pytest.approx(1 + again, rel=0.01)
    assert found.mean_s == pytest.approx(expected_s, rel=0.015)


def test_without_failures_the_times_are_the_measured_ones() -> None:
    """Where no attempt failed, every task keeps its slot as long as one of those that were measured."""
    point = make_point(8, 1.0, jitter=0.5)
    found = held(point.blocks, point.conditions, waits_hold=True, seed=1)
    assert sorted(found.values_s) == sorted(call.duration_s for b in point.blocks for (call,) in b.tasks)
    assert (found.calls, found.failed) == (1.0, 0.0)
