"""What is sent, field by field beside what LangSmith's own client posts for the same tree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langsmith import Client, tracing_context
from langsmith.run_trees import RunTree

from bench.journal import read_manifest
from bench.tracing.make import Iteration, Shown, SpanMaker
from tests.langsmith_receiver import Receiver, receiving
from tests.samples import failed_attempt, make_attempt, make_result, make_task
from tests.tracing_runs import KEY, push, write

if TYPE_CHECKING:
    from pathlib import Path

    from bench.tracing.span import Span

#: What each client says of itself and of its own surroundings.
OWN_METADATA: Final = ("LANGSMITH_", "revision_id", "ls_method", "ls_agent_type")


def at(instant_us: int) -> datetime:
    """An instant as the client takes it."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant_us)


def post(span: Span, parent: RunTree | None, client: Client) -> RunTree:
    """Post a span by LangSmith's own means."""
    tree = RunTree(
        id=UUID(span.id),
        name=span.name,
        run_type=span.kind,
        start_time=at(span.start_us),
        end_time=at(span.end_us),
        inputs=span.inputs or {},
        outputs=span.outputs,
        error=span.error,
        tags=list(span.tags),
        extra={"metadata": dict(span.metadata)},
        events=[{"name": name, "time": at(instant_us).isoformat()} for name, instant_us in span.events],
        serialized={"name": span.name} if span.kind == "llm" else None,
        parent_run=parent,
        project_name="bench",
        ls_client=client,
    )
    tree.post()
    return tree


def plain(run: dict[str, Any]) -> dict[str, Any]:
    """A run as it arrived, without what a client says of itself and what says nothing."""
    metadata = {name: value for name, value in run["extra"]["metadata"].items() if not name.startswith(OWN_METADATA)}
    times = {name: datetime.fromisoformat(run[name]) for name in ("start_time", "end_time")}
    whole = {**run, **times, "extra": {"metadata": metadata}}
    return {name: value for name, value in whole.items() if value is not None and (name, value) != ("outputs", {})}


def test_field_by_field(tmp_path: Path) -> None:
    """A tree of an iteration, a task and two calls, one of which failed, arrives as LangSmith's client sends it."""
    attempts = (
        failed_attempt(sent_s=0.25, end_s=1.0),
        make_attempt(sent_s=1.5, end_s=2.0, first_content_s=1.75, wait_before_s=0.5),
    )
    record = make_result(attempts=attempts, ended_s=2.0, latency_s=2.0, service_s=2.0, topic="新能源", chapter="一")
    run = write(tmp_path / "run", [record], tasks=1)
    manifest = read_manifest(run)
    maker = SpanMaker(manifest, Shown())
    start_us, end_us = maker.at_us(0, record.scheduled_s), maker.at_us(0, record.ended_s)
    root = maker.root(Iteration(number=0, start_us=start_us, end_us=end_us, counts={"ok": 1}))
    task, *calls = maker.of_record(record, make_task(0), start_us)
    with receiving() as ours:
        push(run, ours)
    theirs = posted_by_langsmith(root, task, calls)
    assert set(ours.runs) == set(theirs.runs)
    for span_id, run_of_ours in ours.runs.items():
        assert plain(run_of_ours) == plain(theirs.runs[span_id])
    assert {path.partition("?")[0] for path in ours.paths} - {"GET /sessions"} == {"POST /runs/multipart"}
    assert "POST /runs/multipart" in theirs.paths


def posted_by_langsmith(root: Span, task: Span, calls: list[Span]) -> Receiver:
    """Send a tree with LangSmith's own client, and return the receiver with what came."""
    with receiving() as receiver, tracing_context(enabled=True):
        client = Client(receiver.url, api_key=KEY)
        root_tree = post(root, None, client)
        task_tree = post(task, root_tree, client)
        for call in calls:
            post(call, task_tree, client)
        client.flush(10)
        client.close(10)
    return receiver
