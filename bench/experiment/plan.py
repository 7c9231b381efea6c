"""What an experiment will do: its arms, how much work each cell gets, how long that takes, and what is left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.experiment.records import Arm, Plan, Seeds
from bench.policy.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.experiment.records import Pace
    from bench.records import Mode

#: The estimate's own assumptions, in seconds; the first block corrects the time that is left.
_COMMAND_S: Final = 1.2
_PROCESS_S: Final = 0.06
_NODES_S: Final = 2.5
_CPU_S: Final[Mapping[str, float]] = {"openai": 6e-3, "lean": 2e-4, "scripted": 1e-4} | dict.fromkeys(
    ("service-direct", "service-pooled"), 6e-3
)

#: A cell has at least this many tasks: less has no median.
_MIN_TASKS: Final = 16

#: Steady parts are planned so much longer than they have to be.
_MARGIN: Final = 1.15

#: .. but no client's is to be longer than so many times what it has to be.
_MOST_ROUNDS: Final = 6

#: An open loop is planned longer: random arrivals of the time that is needed may come sooner. And so many of them at
#: least: whether they pile up is told from ten parts of them.
_OPEN_MARGIN: Final = 1.3
_OPEN_MIN_TASKS: Final = 40

#: Cells of a block have the block's own seed; there are never so many blocks.
_SEEDS_APART: Final = 1000

#: Tasks of a slot that fall to warming up and running out.
_EDGE_TASKS: Final = 2


#: Modes with as many processes as cores.
_FEW_PROCESSES: Final = frozenset({"hybrid", "distributed"})


def make_arms(modes: Sequence[Mode], levels: Sequence[int], clients: Sequence[str]) -> tuple[Arm, ...]:
    """Return every combination, and the first of the highest N once more: the A/A arm.

    Serial has one slot, whatever the levels. Hybrid needs two.

    Args:
        modes: The concurrency models.
        levels: The numbers of requests in flight.
        clients: The clients.
    """
    arms = [
        Arm(name=f"{client}/{mode}@{n}", mode=mode, concurrency=n, client=client)
        for client in clients
        for mode in modes
        for n in ((1,) if mode == "serial" else sorted(set(levels)))
        if mode != "hybrid" or n > 1
    ]
    if not arms:
        return ()
    highest = max(arm.concurrency for arm in arms)
    first = next(arm for arm in arms if arm.concurrency == highest)
    again = Arm(
        name=f"{first.name} (again)",
        mode=first.mode,
        concurrency=first.concurrency,
        client=first.client,
        again=first.name,
    )
    return (*arms, again)


def cell_seed(seed: int, block: int) -> int:
    """Return the seed of a block's cells; that of the null servers' cells is of block -1."""
    return seed * _SEEDS_APART + block + 1


def cell_tasks(
    arms: Sequence[Arm],
    *,
    tasks_per_slot: int,
    min_duration_s: float,
    latency_s: float,
    rate_per_s: float | None = None,
) -> dict[int, int]:
    """Return the tasks of a cell by N: enough for its steady part, the same for every arm of that N.

    Args:
        arms: All arms.
        tasks_per_slot: At least this many for each slot of a closed loop.
        min_duration_s: The steady part is to take this long, in seconds.
        latency_s: Latency of a lone request, in seconds.
        rate_per_s: Arrivals a second of an open loop, whose tasks do not depend on N; None for a closed one.
    """
    if rate_per_s is not None:
        arriving = max(_OPEN_MIN_TASKS, math.ceil(_OPEN_MARGIN * min_duration_s * rate_per_s) + 1)
        return dict.fromkeys(sorted({arm.concurrency for arm in arms}), arriving)
    counts = {}
    for n in sorted({arm.concurrency for arm in arms}):
        costs_s = [_CPU_S.get(arm.client, 1e-3) for arm in arms if arm.concurrency == n]
        fastest, slowest = (min(n / max(latency_s, 1e-6), 1 / cpu_s) for cpu_s in (min(costs_s), max(costs_s)))
        # Long enough for the fastest client, unless the slowest would then take many times as long.
        steady = min(_MARGIN * fastest, _MOST_ROUNDS * slowest) * min_duration_s
        counts[n] = max(_MIN_TASKS, tasks_per_slot * n, math.ceil(steady) + _EDGE_TASKS * n)
    return counts


def as_in_baseline(tasks: Mapping[int, int], baseline: Mapping[int, int]) -> dict[int, int]:
    """Return the tasks of a cell by N: those of a baseline, so that the work is equal, wherever they are enough.

    Where the server answers so much faster than it did that the baseline's tasks would be over too soon, there are more
    of the same list.

    Args:
        tasks: By N, as the server's pace of today asks for.
        baseline: The same of the stored experiment.
    """
    # The baseline's were planned longer than they had to be: so much more pace leaves its steady parts long enough.
    return {
        n: before if (before := baseline.get(n)) is not None and wanted <= _MARGIN * before else wanted
        for n, wanted in tasks.items()
    }


def estimate_s(arm: Arm, tasks: int, *, latency_s: float, cores: int, rate_per_s: float | None = None) -> float:
    """Return about how long one cell of an arm takes, in seconds."""
    n = arm.concurrency
    processes = n if arm.mode == "multiprocessing" else min(cores, n) if arm.mode in _FEW_PROCESSES else 0
    width = min(cores, n) if processes else 1
    cpu_s = _CPU_S.get(arm.client, 1e-3) / width
    each_s = max((latency_s + _CPU_S.get(arm.client, 1e-3)) / n, cpu_s, 1 / rate_per_s if rate_per_s else 0.0)
    nodes_s = _NODES_S if arm.mode == "distributed" else 0.0
    return _COMMAND_S + nodes_s + processes * _PROCESS_S + tasks * each_s


def make_plan(  # noqa: PLR0913 - what a plan is made from
    arms: Sequence[Arm],
    *,
    repeats: int,
    seed: int,
    tasks: Mapping[int, int],
    pace: Pace,
    cores: int,
    calibrations: int,
    budget_s: float | None = None,
    objectives: str = "",
    rate_per_s: float | None = None,
) -> Plan:
    """Return the plan of an experiment; where the budget is too small, the dearest arms are left out.

    The arm that the A/A arm repeats is never left out.

    Args:
        arms: What is to be compared.
        repeats: Blocks; each runs every arm once.
        seed: Makes the order.
        tasks: Tasks of a cell by N.
        pace: How the server answers a lone request.
        cores: Processor cores.
        calibrations: Calibration cells of each arm, each about as long as a cell.
        budget_s: How long it all may take.
        objectives: The objectives as they were given.
        rate_per_s: Arrivals a second of an open loop; None for a closed one.
    """
    costs = {
        arm.name: (repeats + calibrations)
        * estimate_s(arm, tasks[arm.concurrency], latency_s=pace.latency_s, cores=cores, rate_per_s=rate_per_s)
        for arm in arms
    }
    kept_names = {arm.again for arm in arms if arm.again} | {arm.name for arm in arms if arm.again}
    dropped: dict[str, float] = {}
    while budget_s is not None and sum(costs.values()) - sum(dropped.values()) > budget_s:
        left = {name: cost for name, cost in costs.items() if name not in dropped and name not in kept_names}
        if not left:
            break
        dearest = max(left, key=lambda name: left[name])
        dropped[dearest] = costs[dearest]
    kept = tuple(arm for arm in arms if arm.name not in dropped)
    return Plan(
        arms=kept,
        order=schedule([arm.name for arm in kept], repeats, seed),
        seed=seed,
        tasks=dict(tasks),
        dropped=dropped,
        estimate_s=sum(costs[arm.name] for arm in kept),
        budget_s=budget_s,
        pace=pace,
        objectives=objectives,
        seeds=_seeds(seed, repeats),
        rate_per_s=rate_per_s,
    )


def _seeds(seed: int, blocks: int) -> Seeds:
    """Return every seed; arrivals and jitter have generators of their own, made from the cell's seed and their name."""
    of_blocks = tuple(cell_seed(seed, block) for block in range(blocks))
    return Seeds(order=seed, arrivals=of_blocks, jitter=of_blocks)
