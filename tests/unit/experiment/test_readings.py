"""What an experiment reads from records: overload of an open loop, and a step of latency."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from bench.experiment.cell import percentiles_s
from bench.experiment.readings import latency_step, overloaded
from bench.policy.objectives import parse_objectives
from bench.records import TaskResult, WorkerId
from bench.summary.steady import steady
from tests.samples import make_attempt, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def one_slot(root: Path, latency_of: Callable[[float], float], *, until_s: float = 30.0) -> Path:
    """Write the run of one slot whose tasks take `latency_of(start)` seconds each."""
    results: list[TaskResult] = []
    now_s = 0.0
    while now_s < until_s:
        ended_s = now_s + latency_of(now_s)
        results.append(_result(len(results), now_s, now_s, ended_s))
        now_s = ended_s
    return write_run(root, results, make_manifest(len(results), concurrency=1))


def queue(root: Path, *, rate_per_s: float, service_s: float, tasks: int = 100) -> Path:
    """Write the run of an open loop through one slot, which whoever comes too early waits for."""
    results, free_s = [], 0.0
    draw = random.Random(1)
    for index in range(tasks):
        arrived_s = index / rate_per_s
        begun_s = max(arrived_s, free_s)
        free_s = begun_s + service_s * draw.uniform(0.9, 1.1)
        results.append(_result(index, arrived_s, begun_s, free_s))
    return write_run(root, results, make_manifest(tasks, concurrency=1, load_model="open"))


def _result(index: int, scheduled_s: float, started_s: float, ended_s: float) -> TaskResult:
    times = {
        "scheduled_s": scheduled_s,
        "started_s": started_s,
        "ended_s": ended_s,
        "first_token_s": started_s + 0.01,
        "latency_s": ended_s - scheduled_s,
        "service_s": ended_s - started_s,
        "queue_s": started_s - scheduled_s,
        "attempts": (make_attempt(sent_s=started_s, end_s=ended_s),),
        "worker": WorkerId(pid=1, thread="slot-0", slot=0),
    }
    return make_result(index, **times)


def test_r49_more_arrivals_than_answers_are_overload(tmp_path: Path) -> None:
    """Who waits for a slot counts: with the one slot always taken, twice as much as it can do is overload."""
    assert overloaded(queue(tmp_path / "run", rate_per_s=20, service_s=0.1)) is True


def test_r49_a_load_that_is_served_is_not_overload(tmp_path: Path) -> None:
    """At 70 % of what the slot can do nothing piles up; a run of nine arrivals does not tell."""
    assert overloaded(queue(tmp_path / "run", rate_per_s=7, service_s=0.1)) is False
    assert overloaded(queue(tmp_path / "short", rate_per_s=7, service_s=0.1, tasks=9)) is None


@pytest.mark.parametrize(
    ("after_s", "step"), [(0.1, 1.0), (0.105, 1.0), (0.15, 1.5), (0.05, 0.5)], ids=["none", "small", "up", "down"]
)
def test_r40_a_step_within_a_cell_is_found(tmp_path: Path, after_s: float, step: float) -> None:
    """Latency that goes to another level in the middle of a cell and stays there is told with its size."""
    draw = random.Random(4)
    run = one_slot(tmp_path / "run", lambda now_s: (after_s if now_s > 15 else 0.1) * draw.lognormvariate(0, 0.02))
    part = steady(run)
    assert part is not None
    assert latency_step(run, part) == pytest.approx(step, rel=0.1)


def test_r40_one_slow_moment_is_no_step(tmp_path: Path) -> None:
    """A second in which everything took three times as long is no other level; a short cell tells nothing."""
    run = one_slot(tmp_path / "run", lambda now_s: 0.3 if 10 < now_s < 11 else 0.1 + now_s / 1e5)
    part = steady(run)
    assert part is not None
    assert latency_step(run, part) == 1.0
    short = one_slot(tmp_path / "short", lambda _now_s: 0.1, until_s=3.0)
    part = steady(short)
    assert part is not None
    assert latency_step(short, part) is None


def test_percentiles_of_a_cell_meet_their_objectives(tmp_path: Path) -> None:
    """Every percentile that an objective may name is judged on the steady part; one without samples is not."""
    run = one_slot(tmp_path / "run", lambda now_s: 0.1 + now_s / 1e5)
    goals = parse_objectives("latency_p50<200ms,service_p95<50ms,latency_p99<1s,tpot_p50<1s")
    found = {str(each.objective): each.met for each in goals.aggregates(percentiles_s(steady(run)))}
    assert found == {
        "latency_p50<0.2s": True,
        "service_p95<0.05s": False,
        "latency_p99<1s": None,
        "tpot_p50<1s": True,
    }
    assert {each.met for each in goals.aggregates(percentiles_s(None))} == {None}
