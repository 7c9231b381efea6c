"""A task whose time is given: waited for, begun late, or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from bench.records import ErrorInfo
from tests.clocks import NS_PER_S, PRESENT_NS
from tests.flows import World, both_drivers, make_spec
from tests.scripted_clients import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.records import TaskResult

    Driver = Callable[[World, object], TaskResult]

OPEN: Final = make_spec(max_wait_s=2.0)


@both_drivers
def test_a_task_waits_for_its_time(drive: Driver) -> None:
    """A task drawn before its time is sent at its time: it waited for no slot, and its latency has no wait in it."""
    world = World([Line(lasts_s=1.5)], OPEN)
    result = drive(world, world.assignment(scheduled_ns=PRESENT_NS + 3 * NS_PER_S))
    assert [result.scheduled_s, result.started_s, result.ended_s] == [13.0, 13.0, 14.5]
    assert [result.attempts[0].sent_s, result.queue_s, result.latency_s] == [13.0, 0.0, 1.5]


@both_drivers
def test_a_late_task_begins_at_once(drive: Driver) -> None:
    """A task drawn after its time begins at once; the wait is its queue, and is in its latency."""
    world = World([Line(lasts_s=1.5)], OPEN)
    result = drive(world, world.assignment(scheduled_ns=PRESENT_NS - 2 * NS_PER_S))
    assert [result.scheduled_s, result.started_s, result.ended_s] == [8.0, 10.0, 11.5]
    assert [result.queue_s, result.service_s, result.latency_s] == [2.0, 1.5, 3.5]
    assert result.status == "ok"


@both_drivers
def test_a_task_that_waited_too_long_is_dropped(drive: Driver) -> None:
    """A task that got no slot in time is not sent: it is cancelled as dropped, after the wait that its record tells."""
    world = World(spec=OPEN)
    result = drive(world, world.assignment(scheduled_ns=PRESENT_NS - 2 * NS_PER_S - 1))
    assert (result.status, result.attempts, result.content) == ("cancelled", (), None)
    assert result.error == ErrorInfo(type="dropped", message="no slot was free within 2 s of its time")
    assert result.queue_s == pytest.approx(2.0)
    assert (result.service_s, world.player.calls) == (0.0, [])


@both_drivers
def test_without_times_of_their_own_no_task_is_dropped(drive: Driver) -> None:
    """In a closed loop a task is sent however long it took from the asking to the worker."""
    world = World()
    assert drive(world, world.assignment(scheduled_ns=PRESENT_NS - 10**6 * NS_PER_S)).status == "ok"


@both_drivers
def test_the_time_of_a_task_runs_from_its_start(drive: Driver) -> None:
    """Neither the wait for the arrival nor that for a slot takes anything from the task's own time."""
    for scheduled_ns in (PRESENT_NS + 50 * NS_PER_S, PRESENT_NS - 2 * NS_PER_S):
        world = World([Line(lasts_s=5.0)], make_spec(max_wait_s=2.0, timeout_s=6.0))
        assert drive(world, world.assignment(scheduled_ns=scheduled_ns)).status == "ok"


@both_drivers
@pytest.mark.parametrize("stage", ["drain", "cancel"])
def test_a_stop_ends_the_wait_for_an_arrival(drive: Driver, stage: str) -> None:
    """A run that stops before a task's time cancels the task then, with no attempt and no latency below zero."""
    world = World(spec=OPEN)
    world.clock.plan(1.0, getattr(world.stop, stage))
    result = drive(world, world.assignment(scheduled_ns=PRESENT_NS + 3 * NS_PER_S))
    assert (result.status, result.error and result.error.type) == ("cancelled", "cancelled")
    assert (result.attempts, world.player.calls) == ((), [])
    assert [result.scheduled_s, result.ended_s, result.latency_s, result.queue_s] == [11.0, 11.0, 0.0, 0.0]


@both_drivers
def test_a_task_of_a_lost_worker_is_not_dropped(drive: Driver) -> None:
    """A task that had begun in time goes on when its worker is lost, however late that is."""
    world = World(spec=OPEN)
    begun_ns = PRESENT_NS - 30 * NS_PER_S
    assert drive(world, world.assignment(scheduled_ns=begun_ns, started_ns=begun_ns)).status == "ok"
