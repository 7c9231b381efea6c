"""`tune` as a user calls it, against simulators of which the knee is known."""

from __future__ import annotations

import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.journal import read_manifest
from bench.tuning.records import Tuning
from bench.tuning.store import TUNE
from tests.command import COMMAND, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import StartCommand

#: Answers of 140 ms, from a client that costs little: what is to be found is the server's knee, not the machine's.
SMALL: Final = (
    "tune",
    "--client",
    "lean",
    "--provider",
    "simulator",
    "--simulator",
    "ttft=0.1",
    "itl=0.01",
    "tokens=5",
)


def tune(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Call the command and wait for it."""
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, check=False, encoding="utf-8")


def the_tuning(folder: Path) -> Tuning:
    """The one search below `results`, read back."""
    (path,) = (folder / "results").glob(f"*-tune-*/{TUNE}")
    return msgspec.json.decode(path.read_bytes(), type=Tuning)


def test_a_small_knee_is_found_and_its_command_runs(tmp_path: Path) -> None:
    """Two places are found with two modes, every probe is a run that is kept, and the printed command works."""
    done = tune(*SMALL, "capacity=2", "--modes", "asyncio", "threading", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tuning = the_tuning(tmp_path)
    answer = tuning.answer
    assert answer is not None
    assert (tuning.status, answer.outcome) == ("completed", "found")
    assert answer.concurrency in {2, 3}
    assert tuning.requests <= 500 + 25 * 2
    assert [row.mode for row in answer.modes] == ["asyncio", "threading"]
    cells = tmp_path / "results" / tuning.tuning_id / "cells"
    runs = [read_manifest(cells / str(probe.run)) for probe in tuning.probes]
    assert [(run.mode, run.concurrency) for run in runs] == [(p.mode, p.concurrency) for p in tuning.probes]
    assert {run.config["retries"] for run in runs} == {0}
    (command,) = [line.removeprefix("run:").strip() for line in done.stdout.splitlines() if line.startswith("run:")]
    assert command == answer.command
    _, _, *words = shlex.split(command)
    again = tune(*words, "--quiet", "--no-report", "--topics", "1", "2", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_what_is_out_of_reach_is_said_for_little(tmp_path: Path) -> None:
    """Objectives that no request meets end with exit code 3 after the first probe, and say so."""
    done = tune(*SMALL, "--slo", "ttft_p95<20ms", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    tuning = the_tuning(tmp_path)
    assert tuning.answer is not None
    assert tuning.answer.outcome == "unreachable"
    assert "kept to ttft_p95<0.02s" in done.stdout
    assert (len(tuning.probes), tuning.requests <= 10) == (1, True)


def test_an_endpoint_that_answers_nothing_is_an_error(tmp_path: Path) -> None:
    """Where no request succeeds nothing was learnt of N: exit code 1, with what went wrong."""
    done = tune("tune", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--client", "lean", cwd=tmp_path)
    assert done.returncode == 1
    assert "none of 8 requests succeeded" in done.stderr
    assert "connect" in done.stderr


def test_ctrl_c_keeps_what_was_probed(tmp_path: Path, start: StartCommand) -> None:
    """The first Ctrl+C ends the probe under way; the probes so far are kept, and the exit code is 130."""
    command = start(*SMALL, cwd=tmp_path)
    files = (tmp_path / "results").glob
    wait_until(lambda: bool([*files(f"*/{TUNE}")]) and bool(the_tuning(tmp_path).probes), "the first probe")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    tuning = the_tuning(tmp_path)
    assert (tuning.status, tuning.answer) == ("interrupted", None)
    assert tuning.probes


@pytest.mark.full
@pytest.mark.parametrize("knee", [8, 40, 200])
def test_a_known_knee_is_found_within_15_per_cent_and_its_budget(knee: int, tmp_path: Path) -> None:
    """Knees of 8, 40 and 200 are found within 15 % in 500 + 25 N requests, with four modes and times that vary."""
    server = ("--provider", "simulator", "--simulator", "ttft=0.3", "itl=0.02", "tokens=6", "jitter=0.3")
    done = tune("tune", "--client", "lean", *server, f"capacity={knee}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    tuning = the_tuning(tmp_path)
    assert tuning.answer is not None
    assert abs((tuning.answer.concurrency or 0) - knee) <= 0.15 * knee, done.stdout
    assert tuning.requests <= 500 + 25 * knee
    assert len(tuning.answer.modes) == 4


@pytest.mark.full
def test_a_limit_of_the_provider_is_a_knee(tmp_path: Path) -> None:
    """Against a server that refuses more than 20 at once, no more than 20 are found, and no less than 17."""
    done = tune(*SMALL, "max-in-flight=20", "--modes", "asyncio", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = the_tuning(tmp_path).answer
    assert answer is not None
    assert 17 <= (answer.concurrency or 0) <= 20


@pytest.mark.full
def test_a_knee_is_found_where_times_vary_by_half(tmp_path: Path) -> None:
    """With a jitter of 0.5 and a wait for the first token alone, a knee of 12 is found within 15 %."""
    server = ("--simulator", "ttft=0.2", "tokens=1", "itl=0", "capacity=12", "jitter=0.5")
    done = tune("tune", "--client", "lean", "--provider", "simulator", *server, "--modes", "asyncio", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    tuning = the_tuning(tmp_path)
    assert tuning.answer is not None
    assert abs((tuning.answer.concurrency or 0) - 12) <= 0.15 * 12
    assert tuning.requests <= 500 + 25 * 12
