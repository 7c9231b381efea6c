"""Tasks that are taken out of a dispatcher while they wait, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import CallError
from bench.policy.retry import RetryPolicy
from tests.dispatching import Came, DispatchWorld

if TYPE_CHECKING:
    from bench.records import Task

WHY = CallError("cancelled", "nobody wants it any more")


def test_a_task_that_waits_is_taken_out_with_what_it_has_come_to() -> None:
    """One that waits for another attempt is recorded as given up at once, with the attempts that it has made; the
    others are done as ever, and one that is under way or unknown is left alone.
    """

    def comes(task: Task, _provider: str, _key: int, _calls: int) -> Came:
        return Came(error="connect" if task.index == 0 else None, lasts_s=5.0 if task.index else 1.0)

    retry = RetryPolicy(retries=3, delay_s=20.0, backoff="fixed")
    world = DispatchWorld(tasks=3, comes=comes, slots=2, retry=retry)
    said: list[bool] = []
    world.plan(3.0, lambda: said.extend(world.dispatcher.withdraw(f"{index}-i0-v0", WHY) for index in (1, 9, 0, 0)))
    world.run()
    world.check_whole()
    assert said == [False, False, True, False]
    given_up = next(result for result in world.results if result.index == 0)
    assert given_up.error is not None
    assert (given_up.status, given_up.error.message, len(given_up.attempts)) == ("cancelled", WHY.message, 1)
    # After its one attempt of a second it waited for two more, instead of the twenty of its backoff.
    assert given_up.service_s == 3.0
    assert {result.status for result in world.results if result.index} == {"ok"}
