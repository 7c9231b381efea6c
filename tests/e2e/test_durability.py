"""Disks that fail under a run, a second writer, closed streams: what was counted is kept, and the reason is told."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from bench.journal import SUMMARY, TASKS, read_manifest
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import COMMAND, records, the_run, wait_until, write_topics
from tests.disks import small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import StartCommand


@pytest.fixture
def server() -> Iterator[SimulatorProcess]:
    """A simulator that answers in 20 ms."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.02, tokens=8)) as simulator:
        yield simulator


def begin(
    start: StartCommand, server: SimulatorProcess, folder: Path, *options: str, tasks: int = 5000
) -> subprocess.Popen[str]:
    """Start a run that takes longer than a test."""
    topics = write_topics(folder / "topics.txt", tasks)
    arguments = ["-c", "2", "--client", "lean", "--topics-file", str(topics), "--no-report", *options]
    return start(*arguments, "--base-url", server.base_url, "--model", "m", cwd=folder)


def run_with_records(folder: Path, results: Path | None = None) -> Path:
    """The run, once it has some records."""
    results = results or folder / "results"
    wait_until(lambda: results.is_dir() and any(results.glob(f"*/{TASKS}")), "no run")
    run = the_run(results)
    wait_until(lambda: (run / TASKS).stat().st_size > 20_000, "no records")
    return run


def check_stopped(command: subprocess.Popen[str], run: Path, reason: str) -> None:
    """It ended by itself with exit code 1 and the reason; records, manifest and numbers are whole and agree."""
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1, err
    assert "the run had to stop: cannot write" in err
    assert reason in err
    assert "Traceback" not in err
    assert (run / TASKS).read_bytes().endswith(b"\n")
    manifest = read_manifest(run)
    assert manifest.status == "failed"
    assert reason in (manifest.error or "")
    ok = sum(record.status == "ok" for record in records(run))
    assert f'"ok": {ok},' in (run / SUMMARY).read_text(encoding="utf-8")


def test_f17_no_room_in_mid_run(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """When files may grow no more, the run stops with the reason, and resumed later it does what is left."""
    command = begin(start, server, tmp_path, tasks=400)
    run = run_with_records(tmp_path)
    _, hard = resource.prlimit(command.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(command.pid, resource.RLIMIT_FSIZE, ((run / TASKS).stat().st_size, hard))
    check_stopped(command, run, "File too large")
    again = start("--resume", run.name, "-c", "8", "--no-report", cwd=tmp_path)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert sum(record.status == "ok" for record in records(run)) == 400


@pytest.mark.root
def test_f17_full_disk(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """On a disk that fills up the run stops with the reason, and manifest and numbers still find their room."""
    with small_disk(tmp_path / "disk", "192k") as disk:
        command = begin(start, server, tmp_path, "--results-dir", str(disk / "results"))
        check_stopped(command, run_with_records(tmp_path, disk / "results"), "No space left on device")


@pytest.mark.root
def test_f18_no_room_at_the_start(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """On a disk that has no room, or takes no writes, the run is refused before anything is sent."""
    with small_disk(tmp_path / "disk", "16k") as disk:
        for reason, remount in (("No space left", "remount"), ("Read-only file system", "remount,ro")):
            subprocess.run(["mount", "-o", remount, disk], check=True)
            command = begin(start, server, tmp_path, "--results-dir", str(disk / "results"))
            _, err = command.communicate(timeout=60)
            assert command.returncode == 2, err
            assert reason in err
    assert server.stats().requests == 0


def test_f17_removed_in_mid_run(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """When somebody removes its directory, the run stops within seconds and says that its records are lost."""
    command = begin(start, server, tmp_path)
    shutil.rmtree(run_with_records(tmp_path))
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1, err
    assert "was removed while the run was writing it" in err
    assert "Traceback" not in err


def test_f16_second_writer(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """A run that is under way cannot be resumed: exit code 2, and the process that writes it is named."""
    command = begin(start, server, tmp_path, "-m", "multiprocessing")
    run = run_with_records(tmp_path)
    second = start("--resume", str(run), cwd=tmp_path)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2, err
    assert f"is being written by process {command.pid} on" in err
    before = (run / TASKS).stat().st_size
    wait_until(lambda: (run / TASKS).stat().st_size > before, "the first writer does not go on")
    assert list(run.glob("*.torn-*")) == []


def test_closed_streams(server: SimulatorProcess, tmp_path: Path) -> None:
    """Started with its standard streams closed, no file and no socket of a run or its workers gets their numbers."""
    topics = write_topics(tmp_path / "topics.txt", 200)
    arguments = [*COMMAND, "-m", "multiprocessing", "-c", "2", "--client", "lean", "--topics-file", str(topics)]
    arguments += ["--base-url", server.base_url, "--model", "m", "--no-report"]
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *arguments],
        cwd=tmp_path,
    ) as command:
        run = run_with_records(tmp_path)
        everyone = [psutil.Process(command.pid), *psutil.Process(command.pid).children(recursive=True)]
        streams = {Path(f"/proc/{each.pid}/fd/{number}").readlink() for each in everyone for number in range(3)}
        assert command.wait(60) == 0
    assert len(everyone) >= 4
    assert streams == {Path(os.devnull)}
    assert len(records(run)) == 200
