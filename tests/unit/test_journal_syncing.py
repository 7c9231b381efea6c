"""Bringing records to the disk beside the run, and what happens where the disk refuses."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from bench.config import ConcurrentConfig
from bench.errors import JournalError
from bench.executor import ConcurrentBigModelExecutor
from bench.journal import TASKS, Journal, LineFile, read_manifest
from bench.providers import Endpoint
from tests.samples import make_manifest
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTED = Endpoint(provider="scripted", base_url="none", model="scripted")

#: Longer than the interval at which records are brought to the disk.
LONG_S = 20.0


def refuse_to_sync(file: LineFile) -> None:
    """Put a device in a file's place that takes every write and cannot be brought to any disk."""
    device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(device, file._descriptor)
    os.close(device)


def test_f19_a_disk_that_refuses_is_told_in_mid_run(tmp_path: Path) -> None:
    """Where records do not reach the disk, whoever waits is told within seconds, once, with path and reason."""
    journal = Journal(tmp_path, make_manifest())
    refuse_to_sync(journal._tasks)
    told = threading.Event()
    with journal.syncing(on_failure=told.set):
        journal.append(b"{}")
        assert told.wait(LONG_S)
    assert f"cannot write {tmp_path / TASKS}: Invalid argument" in str(journal.failure)
    with pytest.raises(JournalError, match="Invalid argument"):
        journal.close(make_manifest(status="failed"))
    assert read_manifest(tmp_path).status == "failed"


def test_f19_a_disk_that_refuses_fails_the_run(tmp_path: Path) -> None:
    """A run whose records do not reach the disk has failed, and its manifest says why."""
    config = ConcurrentConfig(client="scripted", mode="serial", results_dir=tmp_path)
    run = ConcurrentBigModelExecutor(config).open(CountedWorkload(3), SCRIPTED)
    refuse_to_sync(run._journal._tasks)
    outcome = run.execute()
    assert outcome.status == "failed"
    assert "Invalid argument" in str(outcome.error)
    assert read_manifest(outcome.directory).status == "failed"


def test_records_are_brought_to_the_disk_while_the_run_goes_on(tmp_path: Path) -> None:
    """What was appended is on the disk soon after, without the end of the run."""
    journal = Journal(tmp_path, make_manifest())
    journal.append(b"{}")
    assert journal._tasks._synced_bytes == 0
    with journal.syncing(on_failure=pytest.fail):
        deadline = threading.Event()
        while journal._tasks._synced_bytes != 3:
            assert not deadline.wait(0.05)
    journal.close(make_manifest())
    assert journal.failure is None


def test_a_removed_file_is_told(tmp_path: Path) -> None:
    """Records that go into a file without a name are lost: that is told, and not taken for kept."""
    file = LineFile(tmp_path / "lines")
    file.append(b"one")
    file.sync()
    (tmp_path / "lines").unlink()
    with pytest.raises(JournalError, match=r"lines was removed while the run was writing it; its records are lost$"):
        file.sync()
    with pytest.raises(JournalError, match="was removed"):
        file.close()


def test_f23_one_writer_at_a_time(tmp_path: Path) -> None:
    """A file has one writer at a time, also within one process; a closed one lets the next in."""
    file = LineFile(tmp_path / "lines")
    other = LineFile(tmp_path / "lines", again=True)
    assert file.lock()
    assert not other.lock()
    file.close()
    assert other.lock()
    other.close()
