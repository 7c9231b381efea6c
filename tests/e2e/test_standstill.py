"""A client that is stopped in mid-run for a while says so, and what it timed meanwhile is not laid to its server."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

import msgspec
import psutil
import pytest

from bench.experiment.store import CELLS, EXPERIMENT, load
from bench.journal import SUMMARY, TASKS, read_manifest
from bench.policy.pause import STANDSTILL_S
from bench.report.cautions import cautions
from bench.report.fonts import ChartFonts
from bench.report.load import load as load_run
from bench.report.series import arrange
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import Summary
from tests.command import the_run, wait_until
from tests.modes import modes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand

#: How long a client stands still, in seconds: more than may be.
STILL_S: Final = STANDSTILL_S + 0.5

MODES: Final[tuple[Mode, ...]] = ("asyncio", "multiprocessing", "serial", "threading", "hybrid")


@contextlib.contextmanager
def stopped(leader: int) -> Iterator[None]:
    """Stop a process and its group inside the block."""
    os.killpg(leader, signal.SIGSTOP)
    try:
        process = psutil.Process(leader)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the client to stand still")
        yield
    finally:
        os.killpg(leader, signal.SIGCONT)


@pytest.mark.parametrize("mode", modes("asyncio"))
def test_f09_a_client_that_stood_still_says_so(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """A run whose client was stopped warns on the terminal, and log, run.json, summary and report have for how long."""
    slots = 1 if mode == "serial" else 2
    with SimulatorProcess(SimulatorSettings(ttft_s=0.02, itl_s=0.01, tokens=5)) as server:
        arguments = (
            "-m",
            mode,
            "-c",
            str(slots),
            "--client",
            "lean",
            "--iterations",
            str(30 * slots),
            "--topics",
            "甲",
        )
        command = start(*arguments, "--base-url", server.base_url, "--model", "m", "--no-report", cwd=tmp_path)
        wait_until(lambda: any(file.stat().st_size for file in tmp_path.glob(f"results/*/{TASKS}")), "a record")
        with stopped(command.pid):
            time.sleep(STILL_S)  # the standstill itself
        out, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    run = the_run(tmp_path / "results")
    (segment,) = read_manifest(run).segments
    assert segment.cost is not None
    assert segment.cost.wakeup_lag_max_s is not None
    assert STANDSTILL_S < segment.cost.wakeup_lag_max_s < 30
    summary = msgspec.json.decode((run / SUMMARY).read_bytes(), type=Summary)
    assert summary.harness.wakeup_lag_max_s == segment.cost.wakeup_lag_max_s
    assert "this process stood still for" in err
    assert "this process stood still for" in (run / "run.log").read_text(encoding="utf-8")
    assert "stood still for" in out
    fonts = ChartFonts()
    said = {caution.kind: caution.where for caution in cautions(arrange([load_run(run)], fonts), fonts)}
    assert said["stood_still"].startswith("for ")


@pytest.mark.full
def test_f09_a_cell_whose_client_stood_still_is_invalid(tmp_path: Path, start: StartCommand) -> None:
    """Of an experiment the cell whose client was stopped is INVALID, by that name, and no other is for that reason."""
    options = ("--modes", "asyncio", "-c", "2", "--client", "lean", "--repeats", "1", "--min-duration", "1.5")
    server = ("--simulator", "ttft=0.02", "itl=0.002", "tokens=6", "--no-report")
    command = start("compare", *options, *server, cwd=tmp_path)

    found: list[Path] = []

    def is_measuring() -> bool:
        """Find the cell that is under way and has a record, once those of null servers are done."""
        for path in tmp_path.glob(f"results/*/{EXPERIMENT}"):
            done = {cell.run for cell in load(path.parent).cells}
            left = (run for run in (path.parent / CELLS).iterdir() if done and run.name not in done)
            under_way = (run for run in left if not (run / SUMMARY).exists() and (run / TASKS).exists())
            found[:] = [run for run in under_way if (run / TASKS).stat().st_size]
        return bool(found)

    wait_until(is_measuring, "a cell that measures")
    (run,) = found
    with stopped(read_manifest(run).segments[0].pid):
        time.sleep(STILL_S)  # the standstill itself
    _, err = command.communicate(timeout=60)
    assert command.returncode in {0, 1}, err
    (path,) = tmp_path.glob(f"results/*/{EXPERIMENT}")
    cells = load(path.parent).cells
    assert [cell.run for cell in cells if "standstill" in {reason.rule for reason in cell.reasons}] == [run.name]
    (cell,) = (cell for cell in cells if cell.run == run.name)
    assert cell.kind == "measurement"
    assert not cell.valid
