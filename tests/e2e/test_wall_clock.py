"""A wall clock that is set while a run is under way: labels may follow it, durations do not."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pytest

from bench.journal import read_manifest
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import summarise
from tests.command import ROOT, records, the_run, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Mode

#: Runs the command under a wall clock, by whichever way it is read, that is set by STEP_S seconds as soon as there is a
#: file `set`.
STEPPED: Final = """
import datetime, os, sys, time

real_s, real_ns, step_s = time.time, time.time_ns, float(os.environ["STEP_S"])
clock_s, clock_ns = time.clock_gettime, time.clock_gettime_ns

def step():
    return step_s if os.path.exists("set") else 0

class Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

time.time = lambda: real_s() + step()
time.time_ns = lambda: real_ns() + int(step() * 1e9)
time.clock_gettime = lambda clock: clock_s(clock) + step() * (clock == time.CLOCK_REALTIME)
time.clock_gettime_ns = lambda clock: clock_ns(clock) + int(step() * 1e9) * (clock == time.CLOCK_REALTIME)
datetime.datetime = Datetime
from bench.cli.app import main

raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("mode", "step_s"), [("asyncio", 3600), pytest.param("threading", -3600, marks=pytest.mark.full)]
)
def test_f24_a_step_of_the_wall_clock_changes_no_duration(mode: Mode, step_s: int, tmp_path: Path) -> None:
    """With the clock set an hour on or back in mid-run, all times are those of the answers, and no file is lost."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.2, itl_s=0.01, tokens=11, error_rate=0.2)) as server:
        arguments = ("-m", mode, "-c", "4", "--client", "lean", "--no-report", "--iterations", "40", "--topics", "甲")
        to = ("--base-url", server.base_url, "--model", "m", "--retry-delay", "0.05", "--quiet")
        with subprocess.Popen(
            [sys.executable, "-c", STEPPED, *arguments, *to],
            cwd=tmp_path,
            env={**os.environ, "STEP_S": str(step_s), "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as command:
            wait_until(lambda: any(file.stat().st_size for file in tmp_path.glob("results/*/tasks.jsonl")), "a record")
            (tmp_path / "set").touch()
            _, err = command.communicate(timeout=60)
    assert command.returncode in {0, 1}, err
    run = the_run(tmp_path / "results")
    (segment,) = read_manifest(run).segments
    begun, ended = (datetime.fromisoformat(text) for text in (segment.started_at, segment.ended_at or ""))
    assert abs((ended - begun).total_seconds() - step_s) < 60, "the clock was not set while the run was under way"
    kept = records(run)
    assert len(kept) == 40
    for record in kept:
        assert 0 <= record.queue_s < 30
        assert 0 <= record.service_s <= record.latency_s < 30
        assert 0 <= record.started_s <= record.ended_s < 60
        assert all(0 <= attempt.wait_before_s < 30 for attempt in record.attempts)
        if record.status == "ok":
            assert record.service_s >= 0.3
    # Labels of tasks follow from the run's own clock, so that they stay in order.
    labels = [record.started_at for record in sorted(kept, key=lambda record: record.started_s)]
    assert labels == sorted(labels)
    wall_s = summarise(run).wall_s
    assert wall_s is not None
    assert 3 <= wall_s < 60
