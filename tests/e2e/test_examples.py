"""The shipped examples, run as a reader of them would: from another folder, without a key."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.toolkit import TaskManager
from tests.command import wait_until

if TYPE_CHECKING:
    from bench.toolkit import TaskInfo

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


def start(name: str, folder: Path) -> subprocess.Popen[str]:
    """Start an example in a folder."""
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name)], cwd=folder, stdout=subprocess.PIPE, encoding="utf-8"
    )


def run(name: str, folder: Path) -> str:
    """Run an example to its end, and return what it printed."""
    with start(name, folder) as example:
        printed = example.communicate()[0]
    assert example.returncode == 0
    return printed


def the_task(tasks: TaskManager) -> TaskInfo:
    """The one task that there is."""
    (task,) = tasks.list_tasks()
    return task


def test_survey(tmp_path: Path) -> None:
    """A survey that is killed half way is not left running for ever: run again, it asks only those who are left."""
    tasks = TaskManager(tmp_path / "results" / "tasks.sqlite")
    with start("survey.py", tmp_path) as survey:
        wait_until(lambda: any(task.success_count >= 5 for task in tasks.list_tasks()), "five answers")
        survey.send_signal(signal.SIGKILL)
    killed = the_task(tasks)
    assert killed.status == "lost"
    assert 5 <= killed.success_count < 300
    assert run("survey.py", tmp_path) == (
        f"asking {300 - killed.success_count} of 300\ncompleted: 300 answered, 0 failed of 300\n"
    )
    completed = the_task(tasks)
    assert (completed.task_id, completed.status, completed.total_count) == (killed.task_id, "completed", 300)
    assert len({each.item for each in tasks.results(completed.task_id, limit=400)}) == 300
    tasks.close()


def test_focus_group(tmp_path: Path) -> None:
    """A group some of whose calls fail is partial, not a success; asked again it keeps the answers that it has."""
    first = run("focus_group.py", tmp_path)
    tasks = TaskManager(tmp_path / "results" / "tasks.sqlite")
    task = the_task(tasks)
    assert task.status == "partial"
    assert 0 < task.failed_count < 30
    assert task.success_count + task.failed_count == 30
    assert f"{task.failed_count} x InternalServerError" in first
    assert re.search(
        rf"^partial: {task.success_count} answered, {task.failed_count} failed of 30$", first, re.MULTILINE
    )
    answers = {each.item: each.result for each in tasks.results(task.task_id) if each.success}
    assert len(answers) == task.success_count
    run("focus_group.py", tmp_path)
    again = the_task(tasks)
    assert again.task_id == task.task_id
    assert again.success_count >= task.success_count
    kept = {each.item: each.result for each in tasks.results(task.task_id) if each.success}
    assert {item: kept[item] for item in answers} == answers
    tasks.close()
