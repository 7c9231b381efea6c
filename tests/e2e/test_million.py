"""A million tasks, and a report on a million records: memory does not grow with them."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.journal import TASKS
from tests.command import COMMAND
from tests.report_runs import Plan, make_run, results

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Show

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

MILLION: Final = 1_000_000

MEASURED: Final = "a million"

#: Runs a command and prints what it took. A process of its own, because a child begins with the peak of its parent.
METER: Final = """
import json, os, subprocess, sys, time
begun_s = time.perf_counter()
command = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(command.pid, 0)
command.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([command.returncode, usage.ru_maxrss, usage.ru_utime + usage.ru_stime, time.perf_counter() - begun_s]))
"""


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a command took.

    Attributes:
        peak_bytes: The most memory that its process had.
        cpu_s: Its CPU time.
        wall_s: From its start to its end.
    """

    peak_bytes: int
    cpu_s: float
    wall_s: float

    def __str__(self) -> str:
        """Say it."""
        return f"peak {self.peak_bytes / 1e6:.0f} MB, {self.wall_s:.1f} s, of which {self.cpu_s:.1f} s of CPU"


def used(*arguments: str, cwd: Path) -> Used:
    """Run the command to its end, and return what it took."""
    meter = subprocess.run(
        [sys.executable, "-c", METER, *COMMAND, *arguments], cwd=cwd, stdout=subprocess.PIPE, check=True
    )
    code, peak_kib, cpu_s, wall_s = msgspec.json.decode(meter.stdout, type=tuple[int, int, float, float])
    assert code == 0
    return Used(peak_bytes=peak_kib * 1024, cpu_s=cpu_s, wall_s=wall_s)


def test_f13_a_million_tasks_take_little_more_memory_than_ten_thousand(tmp_path: Path, show: Show) -> None:
    """The peak with 1,000,000 tasks is within 100 MB of that with 10,000, summary and all."""
    plain = ("--client", "scripted", "-c", "64", "--topics", "新能源", "--no-report", "--quiet")
    few, many = (used(*plain, "--iterations", str(tasks), cwd=tmp_path) for tasks in (10_000, MILLION))
    show(MEASURED, f"10,000 tasks:    {few}")
    show(MEASURED, f"1,000,000 tasks: {many}")
    assert many.peak_bytes - few.peak_bytes < 100e6, f"{few}; then {many}"


def test_f14_a_report_on_a_million_records(tmp_path: Path, show: Show) -> None:
    """A report on a million varied records (0-5 kB, 5 % failed, up to 3 attempts) takes less than 500 MB and 60 s.

    The time is that of a core: what else the machine does is no matter of the report's.
    """
    run = million_records(tmp_path)
    report = used("report", str(run), cwd=tmp_path)
    size = f"{(run / TASKS).stat().st_size / 1e9:.1f} GB"
    show(MEASURED, f"a report on 1,000,000 records ({size}): {report}")
    assert report.peak_bytes < 500e6, report
    assert report.cpu_s < 60, report
    assert (run / "report.html").stat().st_size < 3e6


def million_records(root: Path) -> Path:
    """Write a run of a million varied records, and return its directory."""
    plan = Plan(tasks=MILLION, concurrency=64, error_rate=0.37, retries=2)
    run = make_run(root, Plan(tasks=MILLION, concurrency=64, recorded=0))
    draw, encode = random.Random(1), msgspec.json.Encoder().encode
    text = "人工智能在医疗诊断中的应用 and its outlook. " * 200
    with (run / TASKS).open("wb", buffering=1 << 20) as file:
        for result in results(plan):
            content = None if result.content is None else text[: draw.randrange(1, 2500)]
            topic = f"主题 {draw.randrange(5000)}"
            file.write(encode(msgspec.structs.replace(result, content=content, topic=topic)) + b"\n")
    return run
