"""A million tasks, and a report on a million records: memory does not grow with them."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.journal import TASKS
from tests.command import COMMAND
from tests.report_runs import Plan, make_run, results

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

MILLION = 1_000_000


def used(*arguments: str, cwd: Path) -> tuple[int, float]:
    """Run the command to its end; return the most memory that its process had, and its CPU time in seconds."""
    command = subprocess.Popen([*COMMAND, *arguments], cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(command.pid, 0)
    command.returncode = os.waitstatus_to_exitcode(status)
    assert command.returncode == 0
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def test_f13_a_million_tasks_take_little_more_memory_than_ten_thousand(tmp_path: Path) -> None:
    """The peak with 1,000,000 tasks is within 100 MB of that with 10,000, summary and all."""
    plain = ("--client", "scripted", "-c", "64", "--topics", "新能源", "--no-report", "--quiet")
    (few, _), (many, _) = (used(*plain, "--iterations", str(tasks), cwd=tmp_path) for tasks in (10_000, MILLION))
    assert many - few < 100e6, f"{few / 1e6:.0f} MB, then {many / 1e6:.0f} MB"


def test_f14_a_report_on_a_million_records(tmp_path: Path) -> None:
    """A report on a million varied records (0-5 kB, 5 % failed, up to 3 attempts) takes less than 500 MB and 60 s.

    The time is that of a core: what else the machine does is no matter of the report's.
    """
    plan = Plan(tasks=MILLION, concurrency=64, error_rate=0.37, retries=2)
    run = make_run(tmp_path, Plan(tasks=MILLION, concurrency=64, recorded=0))
    draw, encode = random.Random(1), msgspec.json.Encoder().encode
    text = "人工智能在医疗诊断中的应用 and its outlook. " * 200
    with (run / TASKS).open("wb", buffering=1 << 20) as file:
        for result in results(plan):
            content = None if result.content is None else text[: draw.randrange(1, 2500)]
            topic = f"主题 {draw.randrange(5000)}"
            file.write(encode(msgspec.structs.replace(result, content=content, topic=topic)) + b"\n")
    peak_bytes, cpu_s = used("report", str(run), cwd=tmp_path)
    assert peak_bytes < 500e6, f"{peak_bytes / 1e6:.0f} MB"
    assert cpu_s < 60, f"{cpu_s:.0f} s"
    assert (run / "report.html").stat().st_size < 3e6
