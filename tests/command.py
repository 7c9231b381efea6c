"""The command, called as a user calls it, and what its run left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from bench.journal import iter_lines
from bench.records import TaskResult
from bench.simulator.request_log import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[1]
COMMAND: Final = (sys.executable, str(ROOT / "concurrent_bigmodel.py"))


class StartCommand(Protocol):
    """The fixture `start`: calls `start` below and sees to it that nothing outlives the test."""

    def __call__(self, *arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command."""


def start(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command in a folder, in a process group of its own as a terminal would."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        process_group=0,
    )


def write_topics(path: Path, count: int) -> Path:
    """Write a file with numbered topics."""
    path.write_text("".join(f"主题 {number}\n" for number in range(count)), encoding="utf-8")
    return path


def the_run(results: Path) -> Path:
    """The one run below a results directory."""
    (run,) = (path for path in results.iterdir() if path.is_dir())
    return run


def records(run: Path) -> list[TaskResult]:
    """The records of a run, every line of them."""
    return [msgspec.json.decode(line, type=TaskResult) for line in iter_lines(run / "tasks.jsonl")]


def requests(log: Path) -> list[LogLine]:
    """What the simulator wrote down."""
    return [msgspec.json.decode(line, type=LogLine) for line in iter_lines(log)]


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Wait for a condition that other processes bring about.

    Raises:
        TimeoutError: It did not come about.
    """
    deadline_ns = time.perf_counter_ns() + int(timeout_s * 1e9)
    while not condition():
        if time.perf_counter_ns() > deadline_ns:
            raise TimeoutError(what)
        time.sleep(0.01)
