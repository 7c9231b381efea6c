"""What is stored: the form that other programs read, and records that refuse to contradict themselves."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.manifest import HarnessCost, RunManifest, Segment
from bench.records import SCHEMA_VERSION, Attempt, ErrorInfo, Glimpse, JsonObject, Task, TaskResult
from tests.samples import cancelled_result, failed_result, make_attempt, make_manifest, make_result, make_task

#: The published form of a line of tasks.jsonl. A new field is appended with a new schema version; none goes away.
RESULT_FIELDS: Final = """
schema_version task_id segment fingerprint index topic chapter iteration version custom_id mode client transport
provider model status content finish_reason error attempts cached prompt_tokens completion_tokens
reasoning_tokens token_source scheduled_s started_s first_token_s last_token_s ended_s queue_s ttft_s latency_s
service_s tpot_s chunks icl_p50_s icl_p99_s icl_max_s chunk_times_s started_at worker trace_id server_model"""

ATTEMPT_FIELDS: Final = """
provider status sent_s end_s http_status error_type error_message retry_after_s key wait_before_s connect_s headers_s
first_chunk_s first_content_s last_content_s parse_s"""

#: Any text that JSON can carry; half of a surrogate pair is no text.
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]))

JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def as_json(record: msgspec.Struct) -> JsonObject:
    """Return what another program reads of a record."""
    decoded: JsonObject = msgspec.json.decode(msgspec.json.encode(record))
    return decoded


def test_the_form_of_a_result() -> None:
    """A TaskResult in JSON has exactly the published fields, in order, and its parts theirs."""
    seen = as_json(failed_result())
    assert list(seen) == RESULT_FIELDS.split()
    assert seen["schema_version"] == SCHEMA_VERSION == 1
    assert seen["error"] == {"type": "server_error", "message": "busy", "http_status": 503, "retryable": False}
    assert seen["worker"] == {"pid": 42, "thread": "MainThread", "slot": 0}
    assert isinstance(seen["attempts"], list)
    assert [list(attempt) for attempt in seen["attempts"]] == [ATTEMPT_FIELDS.split()]


def test_not_measured_is_null() -> None:
    """Of a task that was never answered every figure of the answer is null, neither absent nor 0."""
    seen = as_json(cancelled_result())
    unknown = {name for name, value in seen.items() if value is None}
    assert unknown >= {"content", "finish_reason", "ttft_s", "tpot_s", "first_token_s", "last_token_s", "chunks"}
    assert unknown >= {"prompt_tokens", "completion_tokens", "reasoning_tokens", "token_source", "icl_p50_s"}
    attempt = as_json(make_attempt())
    assert [attempt[name] for name in ("connect_s", "headers_s", "first_chunk_s", "first_content_s")] == [None] * 4
    assert set(as_json(HarnessCost()).values()) == {None}


@given(
    index=st.integers(0, 2**60),
    iteration=st.integers(0, 2**31),
    version=st.integers(0, 9),
    content=TEXTS,
    params=st.dictionaries(TEXTS, JSON_VALUES, max_size=3),
    topic=st.none() | TEXTS,
)
def test_tasks_round_trip(
    index: int, iteration: int, version: int, content: str, params: JsonObject, topic: str | None
) -> None:
    """Any task comes out of its line as it went in, and its line holds no line feed."""
    task = Task(
        index=index,
        iteration=iteration,
        version=version,
        messages=({"role": "user", "content": content},),
        params=params,
        topic=topic,
    )
    line = msgspec.json.encode(task)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Task) == task
    assert task.task_id == f"{index}-i{iteration}-v{version}"


@given(TEXTS.filter(bool), st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9))
def test_results_round_trip(content: str, queue_s: float, service_s: float, scheduled_s: float) -> None:
    """Any result comes out of its line as it went in, to the last bit of its times, and its line holds no line feed."""
    started_s = scheduled_s + queue_s
    result = make_result(
        content=content, scheduled_s=scheduled_s, started_s=started_s, ended_s=started_s + service_s, queue_s=queue_s
    )
    line = msgspec.json.encode(result)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=TaskResult) == result


def test_manifests_round_trip() -> None:
    """A manifest with several segments and their costs comes out as it went in."""
    cost = HarnessCost(startup_s=0.2, cpu_s=1.5, peak_pss_bytes=90_000_000)
    segments = (
        Segment(started_at="2026-11-22T03:05:06Z", host="a", pid=1, ended_at="2026-11-22T03:05:09Z", cost=cost),
        Segment(started_at="2026-11-22T04:05:06Z", host="b", pid=2),
    )
    manifest = make_manifest(segments=segments, status="interrupted")
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=RunManifest) == manifest


@pytest.mark.parametrize("place", ["index", "iteration", "version"])
def test_a_task_counts_from_0(place: str) -> None:
    """A negative place is refused, and the message says which values were given."""
    with pytest.raises(ValueError, match=r"count from 0, got .*-1"):
        make_task(**{place: -1})


def test_a_task_says_something() -> None:
    """A task without messages is refused by its id."""
    with pytest.raises(ValueError, match="task 3-i0-v0 has no messages"):
        make_task(3, messages=())


def test_tasks_share_no_parameters() -> None:
    """Two tasks made without parameters do not share one dictionary."""
    assert make_task(0).params is not make_task(1).params


ERROR: Final = ErrorInfo(type="empty", message="nothing came")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"error": ERROR}, "status ok with error"),
        ({"status": "failed"}, "status failed with error None"),
        ({"status": "cancelled"}, "status cancelled with error None"),
        ({"content": None}, "ok without content"),
        ({"content": ""}, "ok without content"),
        ({"started_s": -0.1}, "run backwards"),
        ({"ended_s": -0.1}, "run backwards"),
        ({"scheduled_s": 0.5, "started_s": 0.4}, "run backwards"),
        ({"ended_s": math.nan}, "run backwards"),
    ],
)
def test_a_result_does_not_contradict_itself(changes: dict[str, object], message: str) -> None:
    """A result whose status, error, content and times do not fit is refused at birth, by its task's id."""
    with pytest.raises(ValueError, match=f"^task 7-i0-v0: .*{message}"):
        make_result(7, **changes)


def test_a_stored_contradiction_is_refused() -> None:
    """A line that contradicts itself is refused on reading as it would be at birth."""
    line = msgspec.json.encode(make_result()).replace(b'"status":"ok"', b'"status":"failed"')
    with pytest.raises(msgspec.ValidationError, match="status failed with error None"):
        msgspec.json.decode(line, type=TaskResult)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"status":"ok"', b'"status":"fine"'),
        (b'"mode":"asyncio"', b'"mode":"magic"'),
        (b'"segment":0', b'"segment":"0"'),
    ],
)
def test_lists_of_names_are_closed(before: bytes, after: bytes) -> None:
    """A status, a mode or a type that is not ours is refused on reading."""
    line = msgspec.json.encode(make_result())
    assert before in line
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line.replace(before, after), type=TaskResult)


@pytest.mark.parametrize("record", [make_task(), make_attempt(), make_result(), make_manifest()])
def test_records_are_immutable(record: msgspec.Struct) -> None:
    """Nobody changes a record after it was made."""
    with pytest.raises(AttributeError, match="immutable"):
        setattr(record, record.__struct_fields__[0], None)


def test_partial_text_of_a_failure_is_kept() -> None:
    """A failure may carry what had arrived, and is a failure all the same."""
    result = failed_result(0, "truncated", content="half an ans")
    assert (result.status, result.content) == ("failed", "half an ans")


@pytest.mark.parametrize(
    "result", [make_result(), failed_result(1), cancelled_result(2)], ids=lambda result: result.status
)
def test_a_glimpse_is_taken_of_any_line(result: TaskResult) -> None:
    """What a live view shows is read from any journal line, and agrees with the record."""
    glimpse = msgspec.json.decode(msgspec.json.encode(result), type=Glimpse)
    assert (glimpse.task_id, glimpse.status, glimpse.error) == (result.task_id, result.status, result.error)
    assert (glimpse.latency_s, glimpse.ttft_s) == (result.latency_s, result.ttft_s)
    assert [attempt.status for attempt in glimpse.attempts] == [attempt.status for attempt in result.attempts]


def test_an_attempt_needs_its_instants() -> None:
    """An attempt without its start and its end is no attempt."""
    with pytest.raises(msgspec.ValidationError, match="sent_s"):
        msgspec.json.decode(b'{"provider":"a","status":"ok","end_s":1.0}', type=Attempt)
