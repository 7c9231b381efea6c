"""What a worker makes of a task: attempts, waits, deadlines and stops, the same under both drivers, on virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.policy.retry import RetryPolicy
from bench.records import ErrorInfo
from bench.stop import StopSignal
from tests.clocks import NS_PER_S, PRESENT_NS
from tests.flows import WHO, World, both_drivers, by_loop, by_thread, make_spec
from tests.samples import failed_attempt, make_task
from tests.scripted_clients import AsyncScripted, Line, SyncScripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.errors import ErrorType
    from bench.records import TaskResult
    from bench.worker import Assignment

    Driver = Callable[[World, Assignment], TaskResult]

BUSY = Line(error="server_error", http_status=503)


def void(_: object) -> None:
    """Let a planned action return nothing."""


@both_drivers
def test_an_answer(drive: Driver) -> None:
    """A task whose first call is answered is ok with one attempt, and has waited for nothing."""
    world = World()
    result = drive(world, world.assignment())
    assert (result.status, result.error, result.content, result.finish_reason) == ("ok", None, "answer", "stop")
    assert [(attempt.status, attempt.wait_before_s) for attempt in result.attempts] == [("ok", 0.0)]
    assert (result.task_id, result.worker, result.cached) == ("0-i0-v0", WHO, False)


@both_drivers
def test_an_answer_after_failures(drive: Driver) -> None:
    """A task that is answered at the third call is ok, and lists all its calls with what each met and waited for."""
    world = World([BUSY, Line(error="connect"), Line()])
    result = drive(world, world.assignment())
    assert (result.status, result.content) == ("ok", "answer")
    assert [(one.status, one.error_type, one.http_status, one.wait_before_s) for one in result.attempts] == [
        ("failed", "server_error", 503, 0.0),
        ("failed", "connect", None, 1.0),
        ("ok", None, 200, 1.0),
    ]
    sent = [one.sent_s for one in result.attempts]
    assert sent == pytest.approx([10.0, 11.1, 12.2])
    assert result.error is None


@both_drivers
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_end(drive: Driver, retries: int) -> None:
    """A task that always fails is called once and then as often as there are retries, and fails with its last error."""
    world = World([BUSY], make_spec(retry=RetryPolicy(retries=retries, delay_s=0.1)))
    result = drive(world, world.assignment())
    assert len(result.attempts) == len(world.player.calls) == retries + 1
    assert result.error == ErrorInfo(type="server_error", message="as the script says", http_status=503, retryable=True)
    assert (result.status, result.content) == ("failed", None)


@both_drivers
@pytest.mark.parametrize("error", ["auth", "bad_request", "not_found", "too_large", "content_filter", "timeout_total"])
def test_a_refusal_is_not_tried_again(drive: Driver, error: ErrorType) -> None:
    """A failure that another attempt cannot mend costs one call."""
    world = World([Line(error=error, http_status=400)])
    result = drive(world, world.assignment())
    assert len(world.player.calls) == 1
    assert result.error == ErrorInfo(type=error, message="as the script says", http_status=400, retryable=False)


@both_drivers
def test_retry_after_is_waited_for(drive: Driver) -> None:
    """A call that was told to come back after 7 s is not repeated before, nor more than a tenth after."""
    world = World([Line(error="rate_limited", http_status=429, retry_after_s=7.0), Line()])
    result = drive(world, world.assignment())
    assert result.status == "ok"
    (_, refused_ns), (again_ns, _) = world.player.calls
    assert 7.0 <= (again_ns - refused_ns) / NS_PER_S <= 7.7
    assert result.attempts[0].retry_after_s == 7.0
    assert result.attempts[1].wait_before_s >= 7.0


@both_drivers
@pytest.mark.parametrize(
    ("retry_after_s", "timeout_s", "reason"),
    [
        (600.0, 1000.0, "the server asks to wait 600 s, more than the cap of 60 s"),
        (30.0, 20.0, "the server asks to wait 30 s, and the task has 19.9 s left"),
    ],
)
def test_a_retry_after_out_of_reach_fails_at_once(
    drive: Driver, retry_after_s: float, timeout_s: float, reason: str
) -> None:
    """A Retry-After beyond the cap or the deadline is not slept through: the task fails now and says what was asked."""
    world = World(
        [Line(error="rate_limited", http_status=429, retry_after_s=retry_after_s)], make_spec(timeout_s=timeout_s)
    )
    result = drive(world, world.assignment())
    assert world.clock.now_ns() == PRESENT_NS + NS_PER_S // 10
    assert result.error == ErrorInfo(
        type="rate_limited", message=f"as the script says; {reason}", http_status=429, retryable=True
    )
    assert [one.error_message for one in result.attempts] == ["as the script says"]


@both_drivers
def test_the_deadline_covers_everything(drive: Driver) -> None:
    """Calls are told the task's deadline and no wait ends beyond it, so that a task never lasts longer than allowed."""
    spec = make_spec(timeout_s=10.0, retry=RetryPolicy(retries=100, delay_s=3.0, backoff="fixed"))
    world = World([Line(error="empty", lasts_s=1.0)], spec)
    result = drive(world, world.assignment())
    assert len(result.attempts) == 3
    assert result.error is not None
    assert result.error.message.endswith("; the next attempt would start 2 s after the task's deadline")
    assert result.service_s == pytest.approx(9.0)
    slow = World([BUSY, Line(lasts_s=1000.0)], make_spec(timeout_s=10.0))
    result = drive(slow, slow.assignment())
    assert result.status == "failed"
    assert result.service_s == pytest.approx(10.0)
    assert [one.error_type for one in result.attempts] == ["server_error", "timeout_total"]


@both_drivers
def test_a_drain_ends_a_backoff(drive: Driver) -> None:
    """A run that drains waits for no further attempt: the task is cancelled there and then, its attempts listed."""
    world = World([BUSY])
    world.clock.plan(0.6, world.stop.drain)
    result = drive(world, world.assignment())
    assert result.status == "cancelled"
    assert result.error == ErrorInfo(type="cancelled", message="the run was stopped")
    assert [(one.status, one.error_type) for one in result.attempts] == [("failed", "server_error")]
    assert result.service_s == pytest.approx(0.6)


@both_drivers
def test_a_drain_lets_a_call_end(drive: Driver) -> None:
    """A run that drains does not give up a call under way, nor forget that a failed one is final."""
    for line, status in ((Line(lasts_s=5.0), "ok"), (Line(lasts_s=5.0, error="auth"), "failed")):
        world = World([line])
        world.clock.plan(1.0, world.stop.drain)
        result = drive(world, world.assignment())
        assert result.status == status
        assert result.service_s == pytest.approx(5.0)


@both_drivers
def test_a_drain_before_a_retry(drive: Driver) -> None:
    """A call that fails while the run drains is not repeated, however short the wait would be."""
    world = World([Line(error="empty", lasts_s=5.0)], make_spec(retry=RetryPolicy(delay_s=0.0)))
    world.clock.plan(1.0, world.stop.drain)
    result = drive(world, world.assignment())
    assert (result.status, len(result.attempts)) == ("cancelled", 1)


@both_drivers
def test_a_cancellation_ends_a_call(drive: Driver) -> None:
    """A run that is cancelled gives up the call under way: the task is cancelled, and so is its last attempt."""
    world = World([BUSY, Line(lasts_s=50.0)])
    world.clock.plan(2.5, world.stop.cancel)
    result = drive(world, world.assignment())
    assert (result.status, result.content) == ("cancelled", None)
    assert result.error == ErrorInfo(type="cancelled", message="the run was stopped")
    assert [(one.status, one.error_type) for one in result.attempts] == [
        ("failed", "server_error"),
        ("cancelled", "cancelled"),
    ]
    assert result.service_s == pytest.approx(2.5)


@both_drivers
def test_a_cancellation_ends_a_backoff(drive: Driver) -> None:
    """A run that is cancelled while a task waits cancels the task as a drain does."""
    world = World([BUSY])
    world.clock.plan(0.6, world.stop.cancel)
    result = drive(world, world.assignment())
    assert (result.status, len(result.attempts)) == ("cancelled", 1)
    assert result.service_s == pytest.approx(0.6)


def test_a_worker_with_a_stop_of_its_own() -> None:
    """A worker that was given a stop of its own ends with it, its attempt kept; the one that it was made of goes on."""
    world = World([BUSY, Line()])
    own = StopSignal()
    world.clock.plan(0.6, own.cancel)
    stopped = world.worker.stopped_by(own).run(world.assignment(0), SyncScripted(world.player), WHO)
    assert (stopped.status, len(stopped.attempts)) == ("cancelled", 1)
    assert by_thread(world, world.assignment(1)).status == "ok"


def test_a_foreign_cancellation_passes_through() -> None:
    """A coroutine that somebody else cancels ends as cancelled: its worker does not pass it off as a result."""
    world = World([Line(lasts_s=50.0)])

    async def do() -> None:
        slot = asyncio.create_task(world.worker.arun(world.assignment(), AsyncScripted(world.player), WHO))
        world.clock.plan(1.0, lambda: void(slot.cancel()))
        with pytest.raises(asyncio.CancelledError):
            await slot

    asyncio.run(do())


def test_a_cancellation_is_cleared() -> None:
    """A coroutine whose task was cancelled with the run can go on: what it awaits next is not cancelled too."""
    world = World([Line(lasts_s=50.0)])
    world.clock.plan(1.0, world.stop.cancel)

    async def slot() -> list[str]:
        this = asyncio.current_task()
        assert this is not None
        with world.stop.watched(lambda: void(this.cancel())):
            statuses = [(await world.worker.arun(world.assignment(), AsyncScripted(world.player), WHO)).status]
            await asyncio.sleep(0)
            return [*statuses, str(this.cancelling())]

    assert asyncio.run(slot()) == ["cancelled", "0"]


@both_drivers
@pytest.mark.parametrize("bug", [RuntimeError("boom"), StopIteration("boom"), KeyError("boom")], ids=repr)
def test_a_bug_costs_its_task_alone(drive: Driver, bug: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A client that raises where it must not fails its task as `internal`, attempts kept; the next task is done."""
    world = World([BUSY, Line(raises=bug), Line()])
    with caplog.at_level(logging.INFO, logger="bench.worker"):
        broken = drive(world, world.assignment(0))
    assert (broken.status, broken.error and broken.error.type) == ("failed", "internal")
    assert broken.error is not None
    assert broken.error.message.startswith("a bug in the worker: ")
    assert not broken.error.retryable
    assert [one.error_type for one in broken.attempts] == ["server_error"]
    assert [broken.started_s, broken.service_s] == pytest.approx([10.0, 1.2])
    assert any("boom" in (record.exc_text or "") for record in caplog.records)
    assert drive(world, world.assignment(1)).status == "ok"


@both_drivers
def test_a_bug_shows_no_key(drive: Driver) -> None:
    """The record of a bug holds no key, and can be written, whatever the exception quoted."""
    world = World([Line(raises=ValueError("bad header b'Bearer sk-canary-0123456789' \ud83d"))])
    line = msgspec.json.encode(drive(world, world.assignment()))
    assert b"sk-canary" not in line
    assert rb"Bearer ****" in line


@both_drivers
def test_an_impossible_reply_is_a_bug(drive: Driver) -> None:
    """A client that calls an empty answer a success does not get it into the records as one."""
    world = World([Line(content="")])
    result = drive(world, world.assignment())
    assert (result.status, result.error and result.error.type) == ("failed", "internal")


@both_drivers
def test_what_is_sent(drive: Driver) -> None:
    """A request carries the task's messages and parameters, over the endpoint's own, and asks for the task's model."""
    endpoint = msgspec.structs.replace(make_spec().endpoints[0], extra_body={"cache_prompt": False, "seed": 1})
    world = World(spec=make_spec(endpoints=(endpoint,), stream=False))
    plain, special = make_task(0), make_task(1, params={"seed": 2, "max_tokens": 9}, model="m-2")
    results = [drive(world, world.assignment(task=task)) for task in (plain, special)]
    assert [request.messages for request in world.player.requests] == [plain.messages, special.messages]
    assert [request.model for request in world.player.requests] == ["m-1", "m-2"]
    assert [result.model for result in results] == ["m-1", "m-2"]
    assert [request.params for request in world.player.requests] == [
        {"cache_prompt": False, "seed": 1},
        {"cache_prompt": False, "seed": 2, "max_tokens": 9},
    ]
    assert {request.stream for request in world.player.requests} == {False}


@both_drivers
def test_attempts_of_lost_workers_count(drive: Driver) -> None:
    """A task whose first worker was lost goes on where it was: same start, same deadline, its attempts counted."""
    world = World([BUSY], make_spec(retry=RetryPolicy(retries=2, delay_s=1.0, backoff="fixed")))
    lost = failed_attempt("worker_lost", sent_s=4.0, end_s=9.0)
    begun = world.assignment(
        started_ns=PRESENT_NS - 6 * NS_PER_S, scheduled_ns=PRESENT_NS - 7 * NS_PER_S, prior=(lost,)
    )
    result = drive(world, begun)
    assert [one.error_type for one in result.attempts] == ["worker_lost", "server_error", "server_error"]
    assert (result.scheduled_s, result.started_s, result.queue_s) == (3.0, 4.0, 1.0)
    late = World([BUSY], make_spec(timeout_s=6.5))
    result = drive(late, late.assignment(started_ns=begun.started_ns, scheduled_ns=begun.scheduled_ns, prior=(lost,)))
    assert result.error is not None
    assert result.error.message.endswith("after the task's deadline")


def test_jitter_is_repeatable() -> None:
    """The same seed gives the same waits; another seed, another task and another attempt draw anew."""
    spec = make_spec(retry=RetryPolicy(retries=3))

    def waits(index: int, seed: int) -> list[float]:
        world = World([BUSY], msgspec.structs.replace(spec, seed=seed))
        return [one.wait_before_s for one in by_thread(world, world.assignment(index)).attempts]

    assert waits(0, 0) == waits(0, 0)
    assert len({tuple(waits(index, seed)) for index in range(3) for seed in range(3)}) == 9
    shares = [wait_s / 2**number for number, wait_s in enumerate(waits(0, 0)[1:])]
    assert len(set(shares)) == 3


def test_log_lines_name_their_task(caplog: pytest.LogCaptureFixture) -> None:
    """A failed attempt and a failed task are logged with what happened, and without the key."""
    world = World([BUSY], make_spec(retry=RetryPolicy(retries=1, delay_s=2.0, backoff="fixed")))
    with caplog.at_level(logging.INFO, logger="bench.worker"):
        by_loop(world, world.assignment())
    assert [record.getMessage() for record in caplog.records] == [
        "attempt 1 failed, the next in 2.00 s: server_error: as the script says",
        "failed after 2 attempts: server_error: as the script says",
    ]
