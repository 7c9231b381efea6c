"""TaskManager across processes: one of many does the work, and a killed one leaves nothing running."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.toolkit import TaskManager

ROOT: Final = Path(__file__).parents[3]

#: Asks for the task when told to, does half of it where it is its own, and waits to be killed.
WORKER: Final = """\
import sys
from bench.toolkit import TaskManager
tasks = TaskManager(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
task, is_new = tasks.get_or_create_task("survey", {"ids": [3, 1, 2]}, 2, unordered=["ids"])
if is_new:
    tasks.start_task(task.task_id)
    tasks.update_progress(task.task_id, "half", item="a")
print(is_new, task.task_id, flush=True)
sys.stdin.readline()
"""


def start(path: Path) -> subprocess.Popen[str]:
    """Start a worker."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def say(worker: subprocess.Popen[str]) -> None:
    """Send a worker a line."""
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def hear(worker: subprocess.Popen[str]) -> str:
    """Wait for a worker's next line."""
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def test_processes(tmp_path: Path) -> None:
    """Of processes that ask at once one is told to do the work; when it is killed its task is lost, and resumed.

    The lost task's time ends with its last sign of life, and what it had done is kept.
    """
    path = tmp_path / "tasks.sqlite"
    workers = [start(path) for _ in range(4)]
    try:
        assert [hear(worker) for worker in workers] == ["ready"] * 4
        for worker in workers:
            say(worker)
        answers = [hear(worker).split() for worker in workers]
        assert sorted(is_new for is_new, _ in answers) == ["False"] * 3 + ["True"]
        (task_id,) = {task_id for _, task_id in answers}
        owner = workers[[is_new for is_new, _ in answers].index("True")]

        tasks = TaskManager(path)
        active = tasks.get_active_task("survey")
        assert active is not None
        assert (active.task_id, active.status, active.success_count) == (task_id, "running", 1)
        assert tasks.get_or_create_task("survey", {"ids": [1, 2, 3]}, 2, unordered=["ids"])[1] is False

        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert tasks.get_active_task("survey") is None
        lost = tasks.get_task(task_id)
        assert lost is not None
        assert (lost.status, lost.error_message) == ("lost", "its process ended without ending it")
        assert lost.elapsed_seconds is not None
        assert active.elapsed_seconds is not None
        assert lost.elapsed_seconds <= active.elapsed_seconds

        resumed, is_new = tasks.get_or_create_task("survey", {"ids": [1, 2, 3]}, 2, unordered=["ids"])
        assert (is_new, resumed.task_id, tasks.done_items(task_id)) == (True, task_id, frozenset("a"))
        tasks.close()
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
