"""What is read of experiments and runs before anything is planned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.errors import ConfigError
from bench.manifest import RunManifest
from bench.planning.read import read_measured
from bench.summary.steady import steady
from tests.experiment_cases import Made, make_experiment
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.planning.measured import Point
    from bench.records import JsonObject


def changed(run: Path, **changes: object) -> None:
    """Write another manifest into a run's directory."""
    path = run / "run.json"
    manifest = msgspec.json.decode(path.read_bytes(), type=RunManifest)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, **changes)))


def the_point(run: Path) -> Point:
    """The one point of a run."""
    (point,) = read_measured([str(run)], run.parent).points
    return point


def test_a_point_has_the_rate_of_its_run(tmp_path: Path) -> None:
    """Slots over the time that a task keeps one is the throughput of the steady part, failures and waits included."""
    run = make_run(tmp_path, Plan(tasks=400, error_rate=0.1, topics=None))
    point, part = the_point(run), steady(run)
    assert part is not None
    assert (point.conditions.mode, point.n, point.conditions.client) == ("asyncio", 8, "openai")
    assert point.rate_per_s == pytest.approx(part.throughput_tasks_per_s, rel=0.02)
    assert sum(not call.ok for block in point.blocks for task in block.tasks for call in task) > 20
    assert all(call.retryable for block in point.blocks for task in block.tasks for call in task if not call.ok)
    (block,) = point.blocks
    assert 0 < block.around_s < 0.01
    assert (block.prompt_tokens, block.completion_tokens) == (12.0, 16.0)
    assert block.cpu_s is None, "the made runs do not tell the CPU time of their start"


def test_runs_of_one_kind_are_the_blocks_of_a_point(tmp_path: Path) -> None:
    """Runs of one mode, client and N are one point's blocks; an experiment's A/A arm is its arm once more."""
    runs = [make_run(tmp_path, Plan(tasks=100, topics=None, seed=seed)) for seed in range(3)]
    other = make_run(tmp_path, Plan(tasks=100, topics=None, concurrency=4, seed=9))
    found = read_measured([run.name for run in (*runs, other)], tmp_path)
    assert [(point.n, len(point.blocks)) for point in found.points] == [(4, 1), (8, 3)]
    assert found.cautions == (
        "1 of 2 points were measured by one run alone: their intervals do not say how runs differ",
    )
    experiment = make_experiment(tmp_path, Made(modes=("asyncio",), kept=6))
    (point,) = read_measured([str(experiment)], tmp_path).points
    assert len(point.blocks) == 12, "six blocks, each with the arm and its A/A arm"
    assert point.ceiling_per_s is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"load_model": "open"},
        {"config": {"profile": "prod"}},
        {"mode": "distributed"},
    ],
)
def test_what_is_no_measurement_is_left_out(tmp_path: Path, changes: JsonObject) -> None:
    """An open loop, a run of profile prod and a distributed run are left out, and said to be."""
    good = make_run(tmp_path, Plan(tasks=100, topics=None))
    other = make_run(tmp_path, Plan(tasks=100, topics=None, seed=1))
    changed(other, **changes)
    found = read_measured([good.name, other.name], tmp_path)
    assert [len(point.blocks) for point in found.points] == [1]
    assert any(f"left out: {other.name} is no closed measurement" in caution for caution in found.cautions)


def test_without_anything_to_plan_from(tmp_path: Path) -> None:
    """A run without a steady part alone is refused, with what is missing; and so is a word that names nothing."""
    short = make_run(tmp_path, Plan(tasks=8, topics=None))
    with pytest.raises(ConfigError, match=r"has a steady part to plan from: .* each slot needs two tasks"):
        read_measured([short.name], tmp_path)
    with pytest.raises(ConfigError, match="is neither experiment nor run"):
        read_measured(["nowhere"], tmp_path)
