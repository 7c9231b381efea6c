"""How replies become records: golden numbers on scripted instants, and what stays unknown."""

from __future__ import annotations

from typing import Final

import pytest

from bench.clients._base import Reply
from bench.errors import CallError
from bench.records import Attempt, ErrorInfo
from bench.worker import Assignment
from bench.worker.record import Recorder, error_info
from tests.clocks import NS_PER_S, PRESENT_NS
from tests.flows import WHO, make_spec
from tests.samples import failed_attempt, make_task

#: The run's clock has its zero 10 s before the present: an instant of 10.0 s is the present.
MS: Final = NS_PER_S // 1000


def at(after_ms: int) -> int:
    """Return an instant on the machine's clock, some time after the present."""
    return PRESENT_NS + after_ms * MS


#: Five tokens in three chunks: two at 500 ms, two at 600 ms, one at 1000 ms; head at 100 ms, end 400 ms after the last.
STREAMED: Final = Reply(
    sent_ns=at(0),
    end_ns=at(1400),
    http_status=200,
    content="一 二 三 四 五",
    finish_reason="stop",
    prompt_tokens=12,
    completion_tokens=5,
    reasoning_tokens=2,
    token_source="server",
    headers_ns=at(100),
    first_chunk_ns=at(200),
    content_ns=(at(500), at(600), at(1000)),
    connect_ns=30 * MS,
    parse_ns=2 * MS,
)


def result_of(reply: Reply, **changes: object) -> dict[str, object]:
    """Return the fields of the record of a task that was asked for 1 s and begun 0.25 s before the present."""
    recorder = Recorder(make_spec(**changes))
    error = None if reply.error is None else error_info(reply.error)
    result = recorder.result(
        Assignment(task=make_task(4, iteration=1, version=2, topic="AI"), scheduled_ns=at(-1000)),
        reply,
        status="ok" if error is None else "failed",
        error=error,
        attempts=[recorder.attempt(reply, 0.0)],
        started_ns=at(-250),
        ended_ns=at(1500),
        who=WHO,
    )
    return {name: getattr(result, name) for name in result.__struct_fields__}


def test_r13_the_times_of_a_stream() -> None:
    """The first token is the first content, not the first chunk; per-token time counts tokens, gaps count chunks."""
    fields = result_of(STREAMED)
    expected = {
        "scheduled_s": 9.0,
        "started_s": 9.75,
        "first_token_s": 10.5,
        "last_token_s": 11.0,
        "ended_s": 11.5,
        "queue_s": 0.75,
        "ttft_s": 0.5,
        "latency_s": 2.5,
        "service_s": 1.75,
        "tpot_s": 0.5 / 4,
        "chunks": 3,
        "icl_p50_s": 0.25,
        "icl_p99_s": 0.397,
        "icl_max_s": 0.4,
    }
    assert {name: fields[name] for name in expected} == pytest.approx(expected)


def test_r12_the_times_of_an_attempt() -> None:
    """An attempt has the instants that its client saw on the run's clock, its durations, and the wait before it."""
    attempt = Recorder(make_spec()).attempt(STREAMED, 2.5)
    assert attempt == Attempt(
        provider="alpha",
        status="ok",
        http_status=200,
        wait_before_s=2.5,
        connect_s=0.03,
        sent_s=10.0,
        headers_s=10.1,
        first_chunk_s=10.2,
        first_content_s=10.5,
        last_content_s=11.0,
        end_s=11.4,
        parse_s=0.002,
    )


def test_the_labels_of_a_result() -> None:
    """A record says which task it was, how often it was asked, who did it with what, and when in UTC."""
    fields = result_of(STREAMED, segment=1, mode="threading")
    expected = {
        "task_id": "4-i1-v2",
        "segment": 1,
        "index": 4,
        "iteration": 1,
        "version": 2,
        "topic": "AI",
        "mode": "threading",
        "client": "scripted",
        "transport": "none",
        "provider": "alpha",
        "model": "m-1",
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "reasoning_tokens": 2,
        "token_source": "server",
        # 9.75 s after the origin, 2026-11-22 03:05:06 UTC.
        "started_at": "2026-11-22T03:05:15.750Z",
        "worker": WHO,
    }
    assert {name: fields[name] for name in expected} == expected


def test_what_a_whole_answer_does_not_show() -> None:
    """An answer that was not streamed has no token times, no chunks and no gaps: null, not 0 and not its own end."""
    fields = result_of(
        Reply(sent_ns=at(0), end_ns=at(1400), content="whole", completion_tokens=5, token_source="server"), stream=False
    )
    unknown = ("first_token_s", "last_token_s", "ttft_s", "tpot_s", "chunks", "icl_p50_s", "icl_p99_s", "icl_max_s")
    assert {fields[name] for name in unknown} == {None}
    assert fields["latency_s"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("tokens", "instants", "tpot_s"),
    [
        (1, (at(500),), None),
        (1, (at(500), at(600)), None),
        (5, (at(500),), None),
        (None, (at(500), at(600)), None),
        (2, (at(500), at(600)), 0.1),
    ],
)
def test_r13_per_token_time_needs_two_tokens(
    tokens: int | None, instants: tuple[int, ...], tpot_s: float | None
) -> None:
    """Time per token is known only with a token count of at least two and content at two instants."""
    reply = Reply(sent_ns=at(0), end_ns=at(1400), content="x", completion_tokens=tokens, content_ns=instants)
    assert result_of(reply)["tpot_s"] == (None if tpot_s is None else pytest.approx(tpot_s))


def test_one_chunk_has_no_gap() -> None:
    """A stream of one content chunk has a first token and no gaps; one that failed before any content has neither."""
    one = result_of(Reply(sent_ns=at(0), end_ns=at(1400), content="x", content_ns=(at(500),)))
    assert (one["chunks"], one["ttft_s"], one["icl_p50_s"]) == (1, 0.5, None)
    none = result_of(Reply(sent_ns=at(0), end_ns=at(1400), error=CallError("stream_reset", "gone")))
    assert (none["chunks"], none["ttft_s"], none["icl_p50_s"]) == (0, None, None)


def test_chunk_times_are_kept_on_request() -> None:
    """Every chunk's instant is kept if asked for, on the run's clock, and only then."""
    assert result_of(STREAMED)["chunk_times_s"] is None
    assert result_of(STREAMED, chunk_times=True)["chunk_times_s"] == pytest.approx((10.5, 10.6, 11.0))


def test_a_failed_attempt_says_what_it_met() -> None:
    """A failed attempt keeps type, message, status and Retry-After; one given up with the run is cancelled."""
    error = CallError("rate_limited", "slow down", 429, 12.5)
    recorder = Recorder(make_spec())
    failed = recorder.attempt(Reply(sent_ns=at(0), end_ns=at(100), error=error, http_status=429), 0.0)
    assert (failed.status, failed.error_type, failed.error_message) == ("failed", "rate_limited", "slow down")
    assert (failed.http_status, failed.retry_after_s) == (429, 12.5)
    given_up = Reply(sent_ns=at(0), end_ns=at(100), error=CallError("cancelled", "stopped"), cancelled=True)
    assert recorder.attempt(given_up, 0.0).status == "cancelled"


def test_errors_as_data() -> None:
    """An error in a record has the type, status and retryability of the error met, and why it was not tried again."""
    error = CallError("rate_limited", "slow down", 429)
    assert error_info(error) == ErrorInfo(type="rate_limited", message="slow down", http_status=429, retryable=True)
    assert error_info(error, "too late").message == "slow down; too late"


def test_a_lost_task() -> None:
    """A task that no worker finished has the attempts that were made, the time since its start, and no answer."""
    recorder = Recorder(make_spec())
    begun = Assignment(task=make_task(), scheduled_ns=at(-1000), started_ns=at(-250), prior=(failed_attempt(),))
    lost = recorder.lost(begun, at(500), CallError("worker_lost", "killed by SIGKILL"), WHO)
    assert (lost.status, lost.error) == (
        "failed",
        ErrorInfo(type="worker_lost", message="killed by SIGKILL", retryable=True),
    )
    assert (lost.attempts, lost.content, lost.ttft_s) == ((failed_attempt(),), None, None)
    assert (lost.queue_s, lost.service_s, lost.latency_s) == (0.75, 0.75, 1.5)
    never = Assignment(task=make_task(), scheduled_ns=at(-1000))
    stopped = recorder.lost(never, at(500), CallError("cancelled", "the run was stopped"), WHO)
    assert (stopped.status, stopped.service_s, stopped.latency_s) == ("cancelled", 0.0, 1.5)


def test_a_lost_attempt() -> None:
    """What a dead worker did is an attempt, from when it was given the task to when its death was seen."""
    recorder = Recorder(make_spec())
    lost_before = failed_attempt("worker_lost", sent_s=9.75, end_s=10.25)
    for begun, sent_s in (
        (Assignment(task=make_task(), scheduled_ns=at(-1000)), 9.0),
        (Assignment(task=make_task(), scheduled_ns=at(-1000), started_ns=at(-250)), 9.75),
        (Assignment(task=make_task(), scheduled_ns=at(-1000), started_ns=at(-250), prior=(lost_before,)), 10.25),
    ):
        attempt = recorder.lost_attempt(begun, at(500), "killed")
        assert (attempt.status, attempt.error_type, attempt.error_message) == ("failed", "worker_lost", "killed")
        assert (attempt.sent_s, attempt.end_s) == (sent_s, 10.5)
