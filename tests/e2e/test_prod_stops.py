"""Real work that is cut short: killed and taken up again, interrupted, or given up for its failures."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from bench.journal import iter_last_results, iter_lines, read_manifest
from bench.records import Mode, TaskResult
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import records, the_run, wait_until
from tests.realwork import Provider, begin, write_providers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import StartCommand


def lines_of(run: Path) -> int:
    """How many records there are."""
    path = run / "tasks.jsonl"
    return sum(1 for _ in iter_lines(path)) if path.exists() else 0


@pytest.mark.parametrize("mode", [pytest.param("threading", marks=pytest.mark.full), "hybrid"])
def test_killed_and_taken_up_again(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """Killed in mid-run and resumed, real work has an answer to each task, and makes none twice that it had kept; with
    another provider it is not resumed.
    """
    with (
        SimulatorProcess(SimulatorSettings(ttft_s=0.1, tokens=2)) as one,
        SimulatorProcess(SimulatorSettings(ttft_s=0.1, tokens=2, error_rate=0.3)) as two,
    ):
        providers: dict[str, Provider] = {"one": (one.base_url, {}), "two": (two.base_url, {})}
        command = begin(start, tmp_path, providers, 60, mode=mode)
        wait_until(lambda: (tmp_path / "results").is_dir() and any((tmp_path / "results").iterdir()), "no run")
        run = the_run(tmp_path / "results")
        wait_until(lambda: lines_of(run) >= 20, "no progress")
        os.kill(command.pid, signal.SIGKILL)
        command.communicate()
        kept = lines_of(run)
        write_providers(tmp_path, {**providers, "two": (two.base_url, {"model": "another"})})
        refused = start("--resume", run.name, cwd=tmp_path)
        _, err = refused.communicate(timeout=60)
        assert refused.returncode == 2, err
        assert "provider two, model another" in err
        write_providers(tmp_path, providers)
        command = start("--resume", run.name, cwd=tmp_path)
        _, err = command.communicate(timeout=60)
        asked = one.stats().requests + two.stats().requests
    assert command.returncode == 0, err
    results = list(iter_last_results(run, TaskResult))
    assert 20 <= kept < 60
    assert len({result.task_id for result in results}) == len(results) == 60
    assert {result.status for result in results} == {"ok"}
    # What was in flight when it was killed is asked again, and no more than that.
    assert asked <= sum(len(result.attempts) for result in results) + 6 + 6
    assert len(read_manifest(run).segments) == 2


@pytest.mark.parametrize("mode", ["serial", "asyncio", "multiprocessing"])
def test_interrupted(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """Ctrl+C ends real work whose tasks wait for their next attempt at once; each has one record, with its attempts."""
    with SimulatorProcess(SimulatorSettings(error_rate=1.0)) as server:
        options = ("--no-cache", "--retry-delay", "60", "--backoff", "fixed", "--retries", "9")
        command = begin(start, tmp_path, {"one": (server.base_url, {})}, 40, *options, mode=mode, slots=4)
        # One more than there are slots: the first has come back, and its task waits.
        wait_until(lambda: server.stats().requests >= 5, "no progress")
        os.killpg(command.pid, signal.SIGINT)
        out, err = command.communicate(timeout=30)
        asked = server.stats().requests
    assert command.returncode == 130, err
    assert "Traceback" not in out + err
    run = the_run(tmp_path / "results")
    results = records(run)
    drawn = sum(1 for _ in iter_lines(run / "workload.jsonl"))
    assert len({result.task_id for result in results}) == len(results) == drawn
    assert {result.status for result in results} <= {"cancelled", "failed"}
    assert any(result.status == "cancelled" and result.attempts for result in results)
    assert sum(len(result.attempts) for result in results) == asked
    assert read_manifest(run).status == "interrupted"


@pytest.mark.parametrize("profile", ["prod", "bench"])
def test_too_many_failures(profile: str, tmp_path: Path, start: StartCommand) -> None:
    """After so many failures as are allowed the run takes nothing up any more, says why, and exits with 1."""
    with SimulatorProcess(SimulatorSettings(error_rate=1.0)) as server:
        options = ("--max-failures", "5", "--retries", "0")
        command = begin(start, tmp_path, {"one": (server.base_url, {})}, 100, *options, profile=profile, slots=3)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "5 tasks have failed, and --max-failures 5 allows no more" in err
    results = records(the_run(tmp_path / "results"))
    assert 5 <= sum(result.status == "failed" for result in results) <= 5 + 3
    assert read_manifest(the_run(tmp_path / "results")).status == "failed"
