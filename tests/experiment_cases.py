"""Stored experiments for tests of their report and of what compares two: made up, but judged by the real rules."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from bench.experiment.analyse import with_analysis
from bench.experiment.figures import Conditions, Figures
from bench.experiment.plan import make_arms, make_plan
from bench.experiment.records import Cell, Experiment, Pace
from bench.experiment.store import CELLS, save
from bench.policy.facts import Bounds, CellFacts
from bench.policy.validity import check_cell
from bench.summary.steady import Phases
from tests.report_cases import HOSTILE
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.experiment.records import Arm, CellKind
    from bench.records import JsonObject, Mode

MODES: Final[tuple[Mode, ...]] = ("serial", "threading", "multiprocessing", "asyncio", "hybrid")

#: What a mode gives at N = 1, as a share of what the server would allow, and the milliseconds that a client adds.
SPEED: Final[dict[str, float]] = {
    "serial": 1.0,
    "threading": 0.9,
    "multiprocessing": 0.8,
    "asyncio": 0.97,
    "hybrid": 0.99,
}
ADDED_S: Final[dict[str, float]] = {"openai": 0.0017, "lean": 0.00015}

MACHINE: Final[JsonObject] = {
    "system": {"name": "Linux", "release": "6.1", "machine": "x86_64"},
    "cpu": {"model": "测试处理器 (test)", "logical": 2, "usable_cores": 2},
    "memory_bytes": 8_000_000_000,
    "packages": {"openai": "3.54.0"},
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a made experiment is like; the defaults are a small one in which everything counts.

    Attributes:
        foreign: Modes whose cells other programs disturbed.
        faster: Factor of each mode's throughput.
        measured: Whether cells have figures at all.
        kept: How many blocks have their records on disk.
        error: What the cells of the first block said, which could not begin.
        blocks_done: How many blocks have run; None for all.
    """

    modes: tuple[Mode, ...] = ("serial", "threading", "asyncio")
    levels: tuple[int, ...] = (8,)
    clients: tuple[str, ...] = ("openai",)
    repeats: int = 6
    seed: int = 1
    noise: float = 0.01
    objectives: str = ""
    foreign: tuple[Mode, ...] = ()
    faster: dict[str, float] = field(default_factory=dict)
    measured: bool = True
    stamped: bool = True
    kept: int = 1
    blocks_done: int | None = None
    latency_s: float = 0.2
    environment: JsonObject = field(default_factory=lambda: MACHINE)
    workload: str = "3f" * 32
    command: str = "python concurrent_bigmodel.py compare --modes serial threading asyncio --topics 新能源"
    error: str | None = None


def make_experiment(root: Path, made: Made) -> Path:
    """Write an experiment with its cells and return its directory."""
    directory = root / f"20261122T0305{made.seed:02d}Z-compare-abcd"
    (directory / CELLS).mkdir(parents=True)
    save(directory, with_analysis(experiment_of(made, directory)))
    (directory / "tasks-8.jsonl").write_text("{}\n")
    return directory


def experiment_of(made: Made, directory: Path | None = None) -> Experiment:
    """Return an experiment, not yet analysed; with a directory, the records of the first blocks are written there."""
    arms = make_arms(made.modes, made.levels, made.clients)
    pace = Pace(ttft_s=0.1, icl_s=0.005, tokens=16, latency_s=made.latency_s)
    plan = make_plan(
        arms,
        repeats=made.repeats,
        seed=made.seed,
        tasks={n: max(24, 4 * n) for n in (1, *made.levels)},
        pace=pace,
        cores=2,
        calibrations=1,
        objectives=made.objectives,
    )
    draw = random.Random(made.seed)
    by_name = {arm.name: arm for arm in arms}
    cells = [_cell(made, arm, "ceiling", -1, place, draw) for place, arm in enumerate(arms) if arm.again is None]
    for block, order in enumerate(plan.order[: made.blocks_done]):
        for place, name in enumerate(order):
            cell = _cell(made, by_name[name], "measurement", block, place, draw)
            if directory is not None and block < made.kept:
                cell = msgspec.structs.replace(cell, run=_records(directory, by_name[name], len(cells)))
            cells.append(cell)
    return Experiment(
        experiment_id="20261122T030506Z-compare-abcd",
        status="completed" if made.blocks_done is None else "interrupted",
        command=made.command,
        started_at="2026-11-22T03:05:06.123Z",
        ended_at="2026-11-22T03:15:06.123Z",
        plan=plan,
        endpoint={"options": ["--base-url", "http://127.0.0.1:8000/v1", "--model", "simulated"]},
        environment=made.environment,
        cells=tuple(cells),
    )


def _records(directory: Path, arm: Arm, number: int) -> str:
    """Write a run's records below the experiment and return its name."""
    plan = Plan(
        mode=arm.mode,
        concurrency=arm.concurrency,
        tasks=max(24, 4 * arm.concurrency),
        topics=None,
        seed=number,
        first_token_s=0.1,
        token_s=0.005,
    )
    made = make_run(directory / CELLS, plan)
    return made.rename(made.with_name(f"{number:03d}-{arm.mode}-{arm.client[:8].strip('</> ')}")).name


def _cell(made: Made, arm: Arm, kind: CellKind, block: int, place: int, draw: random.Random) -> Cell:
    error = made.error if block == 0 else None
    figures = _figures(made, arm, draw) if made.measured and error is None else Figures()
    foreign = 0.4 if arm.mode in made.foreign else 0.01
    conditions = Conditions(
        steal_share=0.002,
        busy_share=0.4,
        foreign_share=foreign,
        pressure_share=0.05,
        server_cpu_share=0.1,
        server_lateness_p99_s=0.0004,
        server_peak_in_flight=arm.concurrency,
        server_connections=arm.concurrency,
    )
    facts = CellFacts(
        load_model="closed",
        slots=arm.concurrency,
        duration_s=12.0 if made.measured else None,
        tasks=200,
        ok=200 if made.measured else None,
        failed=0,
        little_ratio=0.99,
        foreign_cpu_share=foreign,
        ttft_p50_s=figures.ttft_p50_s,
        calibration_error_s=figures.client_lag_p50_s,
    )
    return Cell(
        arm=arm.name,
        kind=kind,
        block=block,
        place=place,
        run=None,
        exit_code=0 if error is None else 2,
        error=error,
        transport="aiohttp" if arm.mode == "asyncio" else "httpx2",
        workload=made.workload,
        tasks=200 if made.measured else 0,
        figures=figures,
        phases=_phases(arm) if figures.throughput else None,
        conditions=conditions,
        facts=facts,
        reasons=check_cell(facts, Bounds()),
    )


def _figures(made: Made, arm: Arm, draw: random.Random) -> Figures:
    n = arm.concurrency
    rate = n / made.latency_s * SPEED[arm.mode] * made.faster.get(arm.mode, 1.0) / (1 + n / 400)
    rate *= draw.lognormvariate(0.0, made.noise)
    latency_s = n / rate
    added_s = ADDED_S.get(arm.client, 0.001) * (1 + n / 64) if made.stamped else None
    return Figures(
        throughput=rate,
        cold_s=200 / rate + 1.2,
        tokens_per_s=rate * 16,
        goodput=rate * 0.9 if made.objectives else None,
        attained=0.9 if made.objectives else None,
        latency_p50_s=latency_s,
        latency_p90_s=latency_s * 1.1,
        latency_p95_s=latency_s * 1.15,
        ttft_p50_s=latency_s / 2,
        ttft_p90_s=latency_s / 2 * 1.1,
        tpot_p50_s=0.005,
        icl_p50_s=0.005,
        success_rate=1.0,
        cpu_us_per_task={"openai": 3000.0, "lean": 60.0}.get(arm.client, 500.0) * draw.lognormvariate(0.0, 0.05),
        peak_pss_mb=60.0 + (15.0 * n if arm.mode == "multiprocessing" else 0.02 * n),
        startup_s=0.3,
        first_send_s=0.8,
        client_lag_p50_s=added_s,
        client_lag_p99_s=None if added_s is None else 8 * added_s,
    )


def _phases(arm: Arm) -> Phases:
    slow = 10 * ADDED_S.get(arm.client, 0.001)
    return Phases(
        queue_s=0.0002 * arm.concurrency / 8,
        backoff_s=0.0,
        connect_s=0.0,
        head_s=0.1,
        first_token_s=0.002,
        generation_s=0.075,
        end_s=slow / 8,
        parse_s=0.0002 if arm.client == "lean" else None,
        between_s=slow / 10,
    )


CASES: Final[dict[str, Made]] = {
    "small": Made(),
    "two clients": Made(
        modes=MODES,
        levels=(1, 8, 64),
        clients=("openai", "lean"),
        foreign=("threading",),
        objectives="ttft<1s,latency<20s",
    ),
    "sweep": Made(modes=("threading", "asyncio"), levels=(1, 2, 4, 8, 16, 32, 64, 128), clients=("lean",)),
    "all invalid": Made(foreign=("serial", "threading", "asyncio"), noise=0.2),
    "nothing measured": Made(measured=False, stamped=False, kept=0),
    "no stamps": Made(stamped=False),
    "not begun": Made(blocks_done=0, kept=0),
    "hostile": Made(clients=(HOSTILE, "lean"), command=HOSTILE, error=HOSTILE, kept=0, environment={HOSTILE: HOSTILE}),
}
