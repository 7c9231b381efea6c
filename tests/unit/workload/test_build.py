"""Workloads: their order, their fingerprint, and that they are never held in memory."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

from bench.config import ConcurrentConfig
from bench.workload import Workload, build_workload


def workload_of(*topics: str, iterations: int = 1, max_tokens: int = 512) -> Workload:
    """Return a workload of topics."""
    return build_workload(ConcurrentConfig(topics=topics, iterations=iterations, max_tokens=max_tokens), io.BytesIO())


def test_iteration_by_iteration() -> None:
    """The whole of the source is done before it is repeated, and every task has an id of its own."""
    workload = workload_of("A", "B", iterations=3)
    tasks = list(workload)
    assert workload.count == 6
    assert [task.task_id for task in tasks] == ["0-i0-v0", "1-i0-v0", "0-i1-v0", "1-i1-v0", "0-i2-v0", "1-i2-v0"]
    assert [task.topic for task in tasks] == ["A", "B"] * 3
    assert list(workload) == tasks


def test_fingerprint() -> None:
    """Workloads have one fingerprint if and only if they ask the same, in the same order, equally often."""
    same = {workload_of("A", "B").fingerprint for _ in range(2)}
    others = {
        workload_of("B", "A").fingerprint,
        workload_of("A").fingerprint,
        workload_of("A", "B", iterations=2).fingerprint,
        workload_of("A", "B", max_tokens=3).fingerprint,
    }
    assert len(same) == 1
    assert len(others) == 4
    assert not same & others


def test_source_decides_the_kind(tmp_path: Path) -> None:
    """A workload tells what it is made from, and the same topics from options and a file are the same work."""
    (tmp_path / "f").write_text("A\nB\n", encoding="utf-8")
    from_file = build_workload(ConcurrentConfig(topics_file=tmp_path / "f"), io.BytesIO())
    assert (from_file.kind, workload_of("A").kind) == ("topics_file", "topics")
    assert from_file.fingerprint == workload_of("A", "B").fingerprint
    assert build_workload(ConcurrentConfig(prompts=Path("-")), io.BytesIO(b'{"prompt":"x"}')).kind == "prompts"


def test_flat_memory(tmp_path: Path) -> None:
    """Neither checking nor reading a large file takes memory in proportion to it."""
    path = tmp_path / "prompts.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f'{{"custom_id": "{index}", "prompt": "{"x" * 1000}"}}\n' for index in range(4000))
    tracemalloc.start()
    try:
        workload = build_workload(ConcurrentConfig(prompts=path), io.BytesIO())
        assert sum(1 for _ in workload) == workload.count == 4000
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < path.stat().st_size / 10
