"""Runs whose traces are sent in tests, and what must be true of the spans that arrived."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.policy.trace_ids import attempt_span_id, task_span_id, trace_id
from bench.tracing.destination import destination
from bench.tracing.follow import Wanted, push_traces
from bench.tracing.push import Patience
from tests.command import records
from tests.samples import make_manifest, make_task, write_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.records import TaskResult
    from bench.tracing.outcome import Outcome
    from tests.langsmith_receiver import Receiver

KEY: Final = "lsv2_pt_kanarie0123456789_0123456789"


def settings(receiver: Receiver, **more: str) -> dict[str, str]:
    """The variables that send traces to a receiver."""
    return {
        "LANGSMITH_ENDPOINT": receiver.url,
        "LANGSMITH_API_KEY": KEY,
        "LANGSMITH_PROJECT": "bench",
        **{f"LANGSMITH_{name}": value for name, value in more.items()},
    }


def push(run: Path, receiver: Receiver, sample: float = 1.0, **more: str) -> Outcome:
    """Send what is missing of a run's traces."""
    to = destination(settings(receiver, **more))
    assert to is not None
    return push_traces(run, Wanted(to=to, sample=sample, patience=Patience(first_wait_s=0.01)))


def write(folder: Path, results: Sequence[TaskResult], *, tasks: int, iterations: int = 1, **changes: object) -> Path:
    """Write a run that has ended, with its workload, and return its directory."""
    manifest = make_manifest(tasks, config={"iterations": iterations, "versions": 1}, status="completed", **changes)
    run = write_run(folder, results, manifest)
    each = tasks // iterations
    workload = (make_task(place % each, iteration=place // each) for place in range(tasks))
    (run / "workload.jsonl").write_bytes(b"".join(msgspec.json.encode(task) + b"\n" for task in workload))
    return run


def wanted_ids(run: Path, run_id: str | None = None) -> dict[str, tuple[str | None, float, float]]:
    """For each span that a run's records make: its parent, and start and end on the segment's clock."""
    name = run_id or run.name
    wanted: dict[str, tuple[str | None, float, float]] = {}
    for record in records(run):
        root = trace_id(name, record.iteration)
        task = task_span_id(name, record.task_id, record.segment, record.started_at)
        wanted[root] = (None, 0.0, 0.0)
        wanted[task] = (root, record.scheduled_s, record.ended_s)
        for number, attempt in enumerate(record.attempts):
            call = attempt_span_id(name, record.task_id, record.segment, record.started_at, number)
            wanted[call] = (task, attempt.sent_s, attempt.end_s)
    return wanted


def check_arrived(run: Path, receiver: Receiver, run_id: str | None = None, *, times: int = 1) -> None:
    """Every span of a run arrived, once or so often, under its parent, as long as its record says, and nothing else."""
    wanted = wanted_ids(run, run_id)
    assert set(receiver.runs) == set(wanted)
    assert set(receiver.posted.values()) <= set(range(1, times + 1))
    for span_id, (parent, start_s, end_s) in wanted.items():
        span = receiver.runs[span_id]
        assert span["parent_run_id"] == parent
        assert span["dotted_order"].endswith(f"Z{span_id}")
        if parent is None:
            continue
        above = receiver.runs[parent]
        assert span["dotted_order"].startswith(f"{above['dotted_order']}.")
        assert above["start_time"] <= span["start_time"] <= span["end_time"] <= above["end_time"]
        assert abs(length_s(span) - (end_s - start_s)) < 2e-6
    for record in records(run):
        assert record.trace_id in {None, trace_id(run_id or run.name, record.iteration)}


def length_s(span: dict[str, Any]) -> float:
    """How long a span is."""
    return (datetime.fromisoformat(span["end_time"]) - datetime.fromisoformat(span["start_time"])).total_seconds()
