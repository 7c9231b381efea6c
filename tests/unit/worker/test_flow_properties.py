"""What holds for every script of answers, failures and stops, whatever its length, under both drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ERROR_TYPES, RETRYABLE
from bench.policy.retry import RetryPolicy
from bench.worker import WorkerSpec
from tests.clocks import NS_PER_S
from tests.flows import World, by_loop, by_thread, make_spec
from tests.scripted_clients import Line

if TYPE_CHECKING:
    from bench.records import Attempt, TaskResult

#: Float seconds of one record are made from the same whole nanoseconds, and still differ in their last digits.
TOLERANCE_S: Final = 1e-6

seconds = st.sampled_from([0.0, 0.001, 0.1, 0.25, 1.0, 3.0, 20.0])
lines = st.builds(
    Line,
    error=st.none() | st.sampled_from(ERROR_TYPES),
    http_status=st.none() | st.sampled_from([200, 429, 503]),
    retry_after_s=st.none() | seconds,
    lasts_s=seconds,
    chunks=st.integers(0, 4),
)
specs = st.builds(
    make_spec,
    retry=st.builds(
        RetryPolicy,
        retries=st.integers(0, 6),
        delay_s=seconds,
        backoff=st.sampled_from(["fixed", "exponential"]),
        cap_s=st.sampled_from([0.5, 5.0, 60.0]),
    ),
    timeout_s=st.sampled_from([0.5, 5.0, 50.0]),
    seed=st.integers(0, 3),
    chunk_times=st.booleans(),
)
stops = st.none() | st.tuples(st.sampled_from(["drain", "cancel"]), seconds)
scripts = st.lists(lines, min_size=1, max_size=8)

Case = tuple[list[Line], WorkerSpec, tuple[str, float] | None]
cases = st.tuples(scripts, specs, stops)


def make_world(case: Case) -> World:
    """Return a world with the script, the settings and the planned stop of a case."""
    script, spec, planned = case
    world = World(script, spec)
    if planned is not None:
        stage, after_s = planned
        world.clock.plan(after_s, getattr(world.stop, stage))
    return world


def done(case: Case) -> tuple[World, TaskResult]:
    """Do a task of a case in a thread."""
    world = make_world(case)
    return world, by_thread(world, world.assignment())


def instants(attempt: Attempt) -> list[float]:
    """Return the instants of an attempt that were seen, in the order in which they must have come."""
    seen = (attempt.sent_s, attempt.headers_s, attempt.first_chunk_s, attempt.first_content_s, attempt.last_content_s)
    return [instant for instant in (*seen, attempt.end_s) if instant is not None]


@given(cases)
def test_both_drivers_make_the_same_record(case: Case) -> None:
    """A thread and a coroutine that meet the same answers, failures and stops leave the same record, byte for byte."""
    in_thread, on_loop = make_world(case), make_world(case)
    by_both = [drive(world, world.assignment()) for drive, world in ((by_thread, in_thread), (by_loop, on_loop))]
    assert msgspec.json.encode(by_both[0]) == msgspec.json.encode(by_both[1])
    assert in_thread.player.calls == on_loop.player.calls


@given(cases)
def test_times_never_run_backwards(case: Case) -> None:
    """Within a record no instant comes before its predecessor, and every duration is the difference of two instants."""
    _, result = done(case)
    row = [result.scheduled_s, result.started_s]
    for attempt in result.attempts:
        row += instants(attempt)
    row.append(result.ended_s)
    assert row == sorted(row)
    assert abs(result.queue_s - (result.started_s - result.scheduled_s)) < TOLERANCE_S
    assert abs(result.service_s - (result.ended_s - result.started_s)) < TOLERANCE_S
    assert abs(result.latency_s - result.queue_s - result.service_s) < TOLERANCE_S
    if result.ttft_s is not None:
        assert result.first_token_s is not None
        assert abs(result.ttft_s - (result.first_token_s - result.attempts[-1].sent_s)) < TOLERANCE_S


@given(cases)
def test_every_call_is_an_attempt(case: Case) -> None:
    """A record lists exactly the calls that were made, no more of them than the policy allows, and the last decides."""
    world, result = done(case)
    assert len(result.attempts) == len(world.player.calls) <= world.spec.retry.retries + 1
    last = result.attempts[-1]
    assert (result.status == "ok") == (last.status == "ok")
    assert all(attempt.error_type in RETRYABLE for attempt in result.attempts[:-1])
    if result.status == "failed":
        assert result.error is not None
        assert (result.error.type, result.error.http_status) == (last.error_type, last.http_status)


@given(cases)
def test_no_call_comes_too_early(case: Case) -> None:
    """Between two calls lies at least the wait that the record names, and at least what the server asked for."""
    _, result = done(case)
    for before, after in zip(result.attempts, result.attempts[1:], strict=False):
        gap_s = after.sent_s - before.end_s
        assert gap_s >= after.wait_before_s - TOLERANCE_S
        assert gap_s >= (before.retry_after_s or 0) - TOLERANCE_S


@given(cases)
def test_no_task_outlives_its_deadline(case: Case) -> None:
    """From its start to its record a task takes no longer than it may, retries and waits included."""
    world, result = done(case)
    assert result.service_s <= world.spec.timeout_s + TOLERANCE_S


@given(scripts, specs, st.sampled_from(["drain", "cancel"]), seconds)
def test_a_stop_is_obeyed(script: list[Line], spec: WorkerSpec, stage: str, after_s: float) -> None:
    """After a drain no call begins, after a cancellation none goes on, and a task is cancelled only if the run was."""
    world, result = done((script, spec, (stage, after_s)))
    stopped_ns = world.player.calls[0][0] + round(after_s * NS_PER_S)
    assert all(sent_ns <= stopped_ns for sent_ns, _ in world.player.calls[1:])
    if stage == "cancel":
        assert world.clock.now_ns() <= stopped_ns
    assert (result.status == "cancelled") <= world.stop.draining
