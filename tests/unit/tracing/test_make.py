"""Spans made of records: times of the records, one inside the other, an id each, and nothing that is to be hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.trace_ids import trace_id
from bench.records import ErrorInfo
from bench.tracing.make import Iteration, Shown, SpanMaker
from bench.tracing.span import order_part, time_text
from tests.samples import (
    cancelled_result,
    failed_attempt,
    failed_result,
    make_attempt,
    make_manifest,
    make_result,
    make_segment,
    make_task,
)

if TYPE_CHECKING:
    from bench.records import Attempt, TaskResult
    from bench.tracing.span import Span

ORIGIN_US: Final = 1_795_316_706_000_123

MANIFEST: Final = make_manifest(
    10,
    segments=(make_segment(origin_utc_us=ORIGIN_US), make_segment(origin_utc_us=ORIGIN_US + 60_000_000)),
    routes=(
        {"provider": "alpha", "model": "m-1"},
        {"provider": "beta", "model": "m-2", "key": 1},
    ),
)


@st.composite
def records(draw: st.DrawFn) -> TaskResult:
    """Records of any number of calls, one after the other or side by side, within their task."""
    scheduled_s = draw(st.floats(0, 1e6))
    started_s = scheduled_s + draw(st.floats(0, 1e3))
    attempts: list[Attempt] = []
    ended_s = started_s
    for number in range(draw(st.integers(0, 4))):
        sent_s = started_s + draw(st.floats(0, 1e3))
        end_s = sent_s + draw(st.floats(0, 1e3))
        first_s = draw(st.none() | st.floats(sent_s, end_s))
        made = make_attempt if draw(st.booleans()) else failed_attempt
        attempts.append(made(sent_s=sent_s, end_s=end_s, first_content_s=first_s, wait_before_s=float(number)))
        ended_s = max(ended_s, end_s)
    index, iteration, segment = draw(st.integers(0, 9)), draw(st.integers(0, 3)), draw(st.integers(0, 1))
    return make_result(
        index,
        task_id=f"{index}-i{iteration}-v0",
        iteration=iteration,
        segment=segment,
        attempts=tuple(attempts),
        scheduled_s=scheduled_s,
        started_s=started_s,
        ended_s=ended_s,
        queue_s=started_s - scheduled_s,
        latency_s=ended_s - scheduled_s,
    )


def spans_of(record: TaskResult, shown: Shown | None = None) -> list[Span]:
    """The spans of a record whose root begins with it."""
    maker = SpanMaker(MANIFEST, shown or Shown())
    return maker.of_record(record, make_task(record.index), maker.at_us(record.segment, record.scheduled_s))


@given(records())
def test_tree(record: TaskResult) -> None:
    """A task is in its iteration and calls are in their task, by id, by order and by time; no two have one id."""
    maker = SpanMaker(MANIFEST, Shown())
    start_us = maker.at_us(record.segment, record.scheduled_s)
    root = maker.root(
        Iteration(number=record.iteration, start_us=start_us, end_us=maker.at_us(record.segment, record.ended_s))
    )
    task, *calls = spans_of(record)
    assert (root.id, root.parent_id, root.trace_id) == (trace_id(MANIFEST.run_id, record.iteration), None, root.id)
    assert len(calls) == len(record.attempts)
    assert len({root.id, task.id, *(call.id for call in calls)}) == 2 + len(calls)
    for parent, child in [(root, task), *((task, call) for call in calls)]:
        assert (child.parent_id, child.trace_id) == (parent.id, root.id)
        assert child.order == f"{parent.order}.{order_part(child.start_us, child.id)}"
        assert parent.start_us <= child.start_us <= child.end_us <= parent.end_us
        assert all(child.start_us <= at_us <= child.end_us for _, at_us in child.events)
    assert [spans_of(record)] == [[task, *calls]], "the same record gives the same spans"


def test_times() -> None:
    """Spans begin and end when the record says, on the clock of its own segment, to the microsecond."""
    attempt = make_attempt(sent_s=1.25, first_content_s=1.5, end_s=2.125)
    record = make_result(segment=1, attempts=(attempt,), scheduled_s=1.0, started_s=1.125, ended_s=2.25)
    task, call = spans_of(record)
    zero_us = ORIGIN_US + 60_000_000
    assert (task.start_us, task.end_us) == (zero_us + 1_000_000, zero_us + 2_250_000)
    assert (call.start_us, call.end_us) == (zero_us + 1_250_000, zero_us + 2_125_000)
    assert call.events == (("new_token", zero_us + 1_500_000),)
    assert time_text(ORIGIN_US) == "2026-11-22T03:05:06.000123+00:00"


def test_older_records() -> None:
    """The zero of a segment that was written to the millisecond alone is used as it is."""
    manifest = make_manifest(segments=(make_segment(started_at="2026-11-22T03:05:06.789Z"),))
    assert SpanMaker(manifest, Shown()).at_us(0, 1.0) == 1_795_316_707_789_000


def test_retries() -> None:
    """Every attempt says whom it asked, why it failed, and how long it had waited; only the last has the answer."""
    attempts = (
        failed_attempt("rate_limited", http_status=429, retry_after_s=2.0, provider="beta", key=1, sent_s=0, end_s=1),
        make_attempt(sent_s=3.0, end_s=4.0, wait_before_s=2.0),
    )
    task, first, second = spans_of(make_result(attempts=attempts, ended_s=4.0, latency_s=4.0, service_s=4.0))
    assert (first.error, second.error, task.error) == ("rate_limited: busy", None, None)
    named = ("attempt", "provider", "key", "ls_model_name", "http_status", "retry_after_s", "wait_before_s")
    assert [first.metadata.get(name) for name in named] == [0, "beta", 1, "m-2", 429, 2.0, 0.0]
    assert [second.metadata.get(name) for name in named] == [1, "alpha", 0, "m-1", 200, None, 2.0]
    assert [name for name, _ in task.events] == ["retry"]
    assert task.metadata["retries"] == 1
    assert first.outputs is None
    assert second.outputs is not None
    assert second.outputs["usage_metadata"] == {
        "input_tokens": 5,
        "output_tokens": 10,
        "total_tokens": 15,
        "output_token_details": {},
    }


def test_without_calls() -> None:
    """An answer from the cache and a task that was given up have a span, and none for a call."""
    (cached,) = spans_of(make_result(cached=True, attempts=()))
    (given_up,) = spans_of(cancelled_result())
    assert "cached" in cached.tags
    assert (cached.error, given_up.error) == (None, "cancelled: busy")


def test_labels() -> None:
    """A task may be searched by run, mode, N, client, topic, chapter, version and iteration."""
    record = make_result(topic="新能源", chapter="第一章", version=2, iteration=1, task_id="0-i1-v2")
    task, call = spans_of(record)
    wanted = {
        "run_id": MANIFEST.run_id,
        "mode": "asyncio",
        "concurrency": 8,
        "client": "openai",
        "topic": "新能源",
        "chapter": "第一章",
        "version": 2,
        "iteration": 1,
    }
    assert {name: task.metadata[name] for name in wanted} == wanted
    assert call.metadata["task_id"] == "0-i1-v2"
    assert task.tags == ("asyncio", "N=8", "ok")


def test_hidden() -> None:
    """What is hidden is in no field: neither prompt, topic nor answer, nor a server's message that may repeat them."""
    record = failed_result(topic="geheim", chapter="geheim", content="geheim")
    record = msgspec.structs.replace(
        record,
        error=ErrorInfo(type="server_error", message="geheim"),
        attempts=(failed_attempt(error_message="geheim"),),
    )
    maker = SpanMaker(MANIFEST, Shown(inputs=False, outputs=False))
    task = make_task(0, messages=({"role": "user", "content": "geheim"},))
    spans = [*maker.of_record(record, task, 0), maker.root(Iteration(number=0, start_us=0, end_us=1))]
    assert b"geheim" not in msgspec.json.encode(spans)
    assert [span.error for span in spans] == ["server_error", "server_error", None]
    bare = SpanMaker(MANIFEST, Shown(metadata=False)).of_record(record, task, 0)
    assert [span.metadata for span in bare] == [{}, {}]


def test_root() -> None:
    """A root counts its tasks, and has failed where one of them did not succeed."""
    maker = SpanMaker(MANIFEST, Shown())
    good = maker.root(Iteration(number=1, start_us=5, end_us=9, counts={"ok": 3}))
    bad = maker.root(Iteration(number=1, start_us=5, end_us=9, counts={"ok": 3, "failed": 1}))
    assert (good.error, bad.error) == (None, "1 of 4 tasks did not succeed")
    assert (bad.start_us, bad.end_us, bad.outputs) == (5, 9, {"failed": 1, "ok": 3})
