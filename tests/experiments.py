"""Experiments for tests: cells with chosen figures, in the order of a real plan."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec

from bench.experiment.figures import Conditions, Figures
from bench.experiment.plan import make_arms, make_plan
from bench.experiment.records import Cell, Experiment, Pace
from bench.policy.facts import Bounds, CellFacts
from bench.policy.validity import check_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.experiment.records import Arm
    from bench.records import JsonObject, Mode

PACE: Final = Pace(ttft_s=0.2, icl_s=0.01, tokens=16, latency_s=0.35)

#: Where an experiment was made.
MACHINE: Final[JsonObject] = {
    "system": {"name": "Linux", "release": "6.1", "machine": "x86_64"},
    "cpu": {"model": "a processor", "logical": 2, "usable_cores": 2},
    "memory_bytes": 8_000_000_000,
    "python": {"version": "3.11.7", "implementation": "CPython", "gil": True},
    "packages": {"openai": "3.54.0", "aiohttp": "3.14.0"},
}

#: What a cell that counts looks like.
FACTS: Final = CellFacts(
    load_model="closed", slots=8, duration_s=5.0, tasks=100, ok=100, failed=0, little_ratio=0.99, in_flight_mean=7.9
)


def make_experiment(
    rate_of: Callable[[Arm, int], float],
    *,
    modes: Sequence[Mode] = ("threading", "asyncio"),
    levels: Sequence[int] = (8,),
    clients: Sequence[str] = ("lean",),
    blocks: int = 6,
    facts: Mapping[str, CellFacts] | None = None,
    arrivals_per_s: float | None = None,
) -> Experiment:
    """Return an experiment whose cells finish `rate_of(arm, block)` tasks a second.

    Args:
        rate_of: The throughput of an arm's cell in a block.
        modes: The modes.
        levels: The numbers of requests in flight.
        clients: The clients.
        blocks: How many.
        facts: What the cells of an arm are judged by, by the arm's name; those of a cell that counts for the others.
        arrivals_per_s: The rate of an open loop; None for a closed one.
    """
    arms = make_arms(modes, levels, clients)
    tasks = {arm.concurrency: 100 for arm in arms}
    plan = make_plan(
        arms, repeats=blocks, seed=1, tasks=tasks, pace=PACE, cores=2, calibrations=1, rate_per_s=arrivals_per_s
    )
    by_name = {arm.name: arm for arm in arms}
    cells = [
        make_cell(by_name[name], block, place, rate_of(by_name[name], block), (facts or {}).get(name, FACTS))
        for block, order in enumerate(plan.order)
        for place, name in enumerate(order)
    ]
    return Experiment(
        experiment_id="20261122T030506Z-compare-0a1b",
        status="completed",
        command="python concurrent_bigmodel.py compare",
        started_at="2026-11-22T03:05:06.000Z",
        ended_at="2026-11-22T03:15:06.000Z",
        plan=plan,
        endpoint={"provider": "simulator"},
        environment=MACHINE,
        cells=tuple(cells),
    )


def make_cell(arm: Arm, block: int, place: int, rate_per_s: float, facts: CellFacts) -> Cell:
    """Return a cell with that throughput, and latencies that go with it."""
    latency_s = arm.concurrency / rate_per_s
    return Cell(
        arm=arm.name,
        kind="measurement",
        block=block,
        place=place,
        run=f"run-{arm.mode}-{block}-{place}",
        exit_code=0,
        error=None,
        transport="protocol",
        workload="ab" * 32,
        tasks=100,
        figures=Figures(
            throughput=rate_per_s,
            latency_p50_s=latency_s,
            latency_p95_s=latency_s * 1.1,
            ttft_p50_s=0.2,
            success_rate=1.0,
            cpu_us_per_task=90.0,
            peak_pss_mb=70.0,
            cold_s=10.0,
        ),
        phases=None,
        conditions=Conditions(),
        facts=msgspec.structs.replace(facts, slots=arm.concurrency, in_flight_mean=arm.concurrency * 0.99),
        reasons=check_cell(facts, Bounds(min_duration_s=2.0)),
    )


def noisy(base: Callable[[Arm], float], spread: float = 0.03, seed: int = 7) -> Callable[[Arm, int], float]:
    """Return rates that vary by block and by cell around a base."""
    rng = random.Random(seed)
    blocks = [rng.gauss(0, spread) for _ in range(100)]

    def rate_of(arm: Arm, block: int) -> float:
        return base(arm) * (1 + blocks[block]) * (1 + rng.gauss(0, spread / 3))

    return rate_of
