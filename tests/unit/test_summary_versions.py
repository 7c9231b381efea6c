"""How many versions of each item succeeded: in the numbers, on the terminal, in the report, and after a resume."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.journal import TASKS, iter_lines
from bench.observe.summary_table import print_summary
from bench.providers import Endpoint
from bench.records import TaskResult
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.series import arrange
from bench.report.tables import tables
from bench.summary import summarise
from bench.summary.figures import ItemRow, VersionFigures
from bench.workload import build_workload
from tests.samples import cancelled_result, failed_result, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCRIPTED: Final = Endpoint(provider="scripted", base_url="none", model="scripted")


def of(index: int, version: int) -> dict[str, object]:
    """Return what the record of a version says of its item."""
    return {"task_id": f"{index}-i0-v{version}", "version": version, "chapter": f"chapter <{index}>", "topic": "M"}


def a_run(folder: Path) -> Path:
    """Return a run of two versions of three items, of which one has both, one has one, and one none."""
    results = [
        make_result(0, **of(0, 0)),
        make_result(0, **of(0, 1)),
        failed_result(1, "rate_limited", **of(1, 0)),
        make_result(1, **of(1, 1)),
        failed_result(2, "auth", **of(2, 0)),
        cancelled_result(2, **of(2, 1)),
    ]
    manifest = make_manifest(8)
    config = {**manifest.config, "versions": 2}
    return write_run(folder / "run", results, msgspec.structs.replace(manifest, config=config))


def test_counted_item_by_item(tmp_path: Path) -> None:
    """Items are counted by how many versions of them succeeded, and those that lack one are named with their errors."""
    assert summarise(a_run(tmp_path)).versions == VersionFigures(
        per_item=2,
        items=3,
        by_succeeded=(1, 1, 1),
        lacking=(
            ItemRow(index=1, iteration=0, topic="M", chapter="chapter <1>", ok=1, failed=1, errors=("rate_limited",)),
            ItemRow(
                index=2, iteration=0, topic="M", chapter="chapter <2>", ok=0, failed=1, errors=("auth", "cancelled")
            ),
        ),
    )


def test_one_version_is_nothing_to_say(tmp_path: Path) -> None:
    """A run with one version of each item says nothing of versions."""
    run = write_run(tmp_path / "run", [make_result()])
    stream = io.StringIO()
    print_summary(summarise(run), stream=stream)
    assert summarise(run).versions is None
    assert "versions" not in stream.getvalue()


def test_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terminal and report say how many items have how many versions; the report names those that lack one."""
    monkeypatch.setenv("COLUMNS", "120")
    run = a_run(tmp_path)
    stream = io.StringIO()
    print_summary(summarise(run), stream=stream)
    said = "1 item with 2 of 2, 1 item with 1 of 2, 1 item with 0 of 2"
    assert said in " ".join(stream.getvalue().split())
    (run / "summary.json").write_bytes(msgspec.json.encode(summarise(run)))
    (table,) = (each for each in tables(arrange([load(run)], ChartFonts())) if each.name == "versions")
    assert "items 1 with 2 of 2, 1 with 1 of 2, 1 with 0 of 2" in table.intro
    assert [[cell.text for cell in row][1:] for row in table.rows] == [
        ["2 chapter <1>", "1", "1", "1", "rate_limited"],
        ["3 chapter <2>", "1", "0", "1", "auth, cancelled"],
    ]


def test_resumed(tmp_path: Path) -> None:
    """A run with versions that ended early goes on with those versions that have no answer, and with no other."""
    config = ConcurrentConfig(client="scripted", topics=("A", "B"), versions=3, iterations=2, results_dir=tmp_path)
    workload = build_workload(config, io.BytesIO())
    executor = ConcurrentBigModelExecutor(config)
    run = executor.run(workload, SCRIPTED).directory
    lines = (run / TASKS).read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    (run / TASKS).write_bytes(b"".join(lines[:7]))
    taken_up = executor.resume(run, workload, SCRIPTED)
    assert taken_up.left == 5
    outcome = taken_up.execute()
    done = [msgspec.json.decode(line, type=TaskResult).task_id for line in iter_lines(run / TASKS)]
    assert sorted(done) == sorted(task.task_id for task in workload)
    assert outcome.summary.versions is not None
    assert outcome.summary.versions.by_succeeded == (0, 0, 0, 4)
