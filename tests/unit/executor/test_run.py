"""How a run ends when what it writes cannot be written."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.journal import iter_lines, read_manifest
from bench.providers import Endpoint
from tests.disks import small_disk
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTED = Endpoint(provider="scripted", base_url="none", model="scripted")


def test_library_use(tmp_path: Path) -> None:
    """As a library: a configuration and a workload give an outcome with numbers, and a directory with the records."""
    config = ConcurrentConfig(client="scripted", results_dir=tmp_path)
    outcome = ConcurrentBigModelExecutor(config).run(CountedWorkload(20), SCRIPTED)
    assert (outcome.status, outcome.error) == ("completed", None)
    assert outcome.summary.tasks.ok == 20
    assert len(list(iter_lines(outcome.directory / "tasks.jsonl"))) == 20
    assert read_manifest(outcome.directory).status == "completed"


def test_the_log_has_the_plan_and_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says how many tasks were planned, in which mode and over how many slots, and in the end how many came to
    what, and in how much time.
    """
    caplog.set_level(logging.INFO, "bench.executor")
    config = ConcurrentConfig(client="scripted", mode="threading", concurrency=2, results_dir=tmp_path)
    outcome = ConcurrentBigModelExecutor(config).run(CountedWorkload(6), SCRIPTED)
    assert [record.getMessage() for record in caplog.records] == [
        "6 tasks, mode threading, 2 slots",
        f"completed: 6 ok, 0 failed in {outcome.summary.wall_s} s",
    ]


def test_processes_beside(tmp_path: Path) -> None:
    """What a process takes that the caller started beside the run is not in the run's cost."""
    size_bytes = 512 * 2**20
    program = f"kept = b'x' * {size_bytes}; print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        executor = ConcurrentBigModelExecutor(ConcurrentConfig(client="scripted", results_dir=tmp_path))
        peaks = [
            executor.open(CountedWorkload(1), SCRIPTED).execute(beside=beside).summary.harness.peak_pss_bytes
            for beside in ([], [other.pid])
        ]
        other.communicate("\n")
    with_it, without_it = peaks
    assert with_it is not None
    assert without_it is not None
    assert with_it - without_it > size_bytes / 2


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    """A document that cannot be written fails the run in words; its records are whole."""
    config = ConcurrentConfig(client="scripted", results_dir=tmp_path, output=tmp_path / "none" / "results.json")
    outcome = ConcurrentBigModelExecutor(config).run(CountedWorkload(3), SCRIPTED)
    assert outcome.status == "failed"
    assert "none/results.json" in str(outcome.error)
    assert len(list(iter_lines(outcome.directory / "tasks.jsonl"))) == 3


@pytest.mark.root
def test_disk_full(tmp_path: Path) -> None:
    """A disk that fills up stops the run with its reason; every line before that is whole, an outcome comes back."""
    with small_disk(tmp_path / "small", "256k") as disk:
        config = ConcurrentConfig(client="scripted", results_dir=disk)
        outcome = ConcurrentBigModelExecutor(config).run(CountedWorkload(2000), SCRIPTED)
        kept = (outcome.directory / "tasks.jsonl").read_bytes()
    assert outcome.status == "failed"
    assert "No space left" in str(outcome.error)
    assert "tasks.jsonl" in str(outcome.error) or "workload.jsonl" in str(outcome.error)
    assert kept.endswith(b"\n")
    assert 0 < outcome.summary.tasks.ok == kept.count(b"\n")
