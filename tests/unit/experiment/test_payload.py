"""Answers that are those to their questions, and answers that are not."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bench.experiment.payload import mismatches
from bench.experiment.store import write_tasks
from tests.samples import make_manifest, make_result, make_task, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult


def digest(text: str) -> str:
    """Return what the null server makes of a prompt."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def answers(*texts: str) -> list[TaskResult]:
    """Return a success for each text, in order."""
    return [make_result(index, content=f"0000000000000000001 [{digest(text)}] 好") for index, text in enumerate(texts)]


def test_r28_two_answers_that_were_swapped(tmp_path: Path) -> None:
    """An answer to another question is counted, and so is one without a digest."""
    tasks = tmp_path / "tasks.jsonl"
    write_tasks(tasks, [make_task(n) for n in range(3)], 3)
    right = answers("question 0", "question 1", "question 2")
    swapped = answers("question 1", "question 0", "question 2")
    runs = [
        write_run(tmp_path / name, records, make_manifest(3))
        for name, records in (("right", right), ("swapped", swapped), ("bare", [make_result(0)]))
    ]
    assert [mismatches(run, tasks) for run in runs] == [0, 2, 1]
