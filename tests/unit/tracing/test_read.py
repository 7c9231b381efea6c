"""A run's records beside what LangSmith has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.policy.trace_ids import attempt_span_id, task_span_id
from bench.tracing.destination import destination
from bench.tracing.read import Joined, join
from tests.langsmith_receiver import Receiver, receiving
from tests.samples import make_result
from tests.tracing_runs import push, settings, write

if TYPE_CHECKING:
    from pathlib import Path

RUN_ID = "20261122T030506Z-asyncio-0a1b"


def joined(run: Path, receiver: Receiver) -> Joined:
    """Read a run back from a receiver."""
    to = destination(settings(receiver))
    assert to is not None
    return join(run, to)


def test_read_back(tmp_path: Path) -> None:
    """What is here alone, there alone, or at another time there is named; all else is counted."""
    results = [make_result(index, task_id=f"{index}-i0-v0") for index in range(120)]
    run = write(tmp_path / "run", results, tasks=120)
    task, call = (
        task_span_id(RUN_ID, "5-i0-v0", 0, results[5].started_at),
        attempt_span_id(RUN_ID, "7-i0-v0", 0, results[7].started_at, 0),
    )
    with receiving() as receiver:
        push(run, receiver)
        whole = joined(run, receiver)
        moved = receiver.runs[call]
        moved["start_time"] = moved["start_time"].replace("+00:00", "").replace(":06.", ":05.")
        other = {**receiver.runs.pop(task), "id": "01a20349-ade2-7b56-ae05-6379b9706298", "name": "by hand"}
        receiver.runs[other["id"]] = other
        found = joined(run, receiver)
    assert (whole.here, whole.there, whole.reason) == (241, 241, None)
    assert (whole.missing, whole.foreign, whole.moved) == ([], [], [])
    assert (whole.url or "").endswith("/projects/p/00000000-0000-0000-0000-000000000007")
    assert (found.here, found.there) == (241, 240)
    assert found.missing == [("task", "5-i0-v0", task)]
    assert found.foreign == [("chain", "by hand", other["id"])]
    assert found.moved == [("ChatOpenAI", "7-i0-v0", call)]


def test_not_reachable(tmp_path: Path) -> None:
    """Where LangSmith cannot be read, the reason is told and the run is looked at all the same."""
    run = write(tmp_path / "run", [make_result()], tasks=1)
    with receiving() as receiver:
        pass
    found = joined(run, receiver)
    assert (found.here, found.there, found.reason) == (3, 0, "it cannot be reached")
