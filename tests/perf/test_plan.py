"""How fast a workload is simulated: tens of millions of tasks in less than a minute."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from bench.planning.simulate import Held, Setting, whole

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

TASKS = 1_000_000


@pytest.mark.parametrize("gap_s", [0.0, 1e-3], ids=["slots alone", "slots and a gap"])
@pytest.mark.parametrize("slots", [64, 1024])
def test_simulation(slots: int, gap_s: float, benchmark: BenchmarkFixture) -> None:
    """A million tasks in so many slots, without and with a limit of pace."""
    rng = random.Random(1)
    values_s = [rng.lognormvariate(0, 0.5) for _ in range(2000)]
    setting = Setting(slots=slots, gap_s=gap_s, held=Held(values_s=values_s, mean_s=1.0, calls=1.0, failed=0.0))
    benchmark.pedantic(whole, args=(setting, TASKS, 1), rounds=3)  # type: ignore[no-untyped-call] # no types there
