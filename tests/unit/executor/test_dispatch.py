"""What becomes of tasks between the ledger and the slots, in virtual time."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cache import Cache
from bench.errors import ERROR_TYPES
from bench.executor.known import KnownAnswers
from bench.policy.retry import RetryPolicy
from bench.providers import RouteLimits
from tests.dispatching import Came, DispatchWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.records import Task

TWO = (("a", 0), ("b", 0))
NO_RETRY = RetryPolicy(retries=0, delay_s=1.0, backoff="fixed")

failures = st.sampled_from([name for name in ERROR_TYPES if name not in {"cancelled", "dropped"}])
comings = st.builds(
    Came,
    error=st.none() | failures,
    lasts_s=st.sampled_from([0.0, 0.1, 1.0, 7.0]),
    retry_after_s=st.none() | st.sampled_from([0.0, 0.5, 30.0]),
)


@contextmanager
def kept_answers(groups: int) -> Iterator[KnownAnswers]:
    """Open a cache in which tasks whose numbers leave the same rest are one question."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Cache(Path(folder) / "cache.sqlite", max_bytes=1 << 20, max_age_s=None) as cache,
    ):
        yield KnownAnswers(cache, lambda task: f"{task.index % groups}")


@settings(max_examples=60)
@given(
    script=st.lists(comings, min_size=1, max_size=12),
    routes=st.sampled_from([(("a", 0),), TWO, (("a", 0), ("a", 1)), (*TWO, ("c", 0))]),
    slots=st.integers(1, 6),
    adaptive=st.booleans(),
    race=st.booleans(),
    stops_s=st.none() | st.sampled_from([0.0, 0.05, 2.0, 9.0]),
    is_cancelled=st.booleans(),
    groups=st.none() | st.integers(1, 4),
)
def test_no_task_is_lost_or_doubled(
    *,
    script: list[Came],
    routes: tuple[tuple[str, int], ...],
    slots: int,
    adaptive: bool,
    race: bool,
    stops_s: float | None,
    is_cancelled: bool,
    groups: int | None,
) -> None:
    """Whatever calls come to, and whenever the run is stopped, each task that was drawn has one record in the end."""
    with kept_answers(groups or 100) as known:
        world = DispatchWorld(
            tasks=12,
            comes=lambda _task, _provider, _key, number: script[number % len(script)],
            routes=routes,
            slots=slots,
            adaptive=adaptive,
            race=race,
            known=None if groups is None else known,
            timeout_s=20.0,
        )
        if stops_s is not None:
            world.plan(stops_s, world.stop.cancel if is_cancelled else world.stop.drain)
        world.run()
        world.check_whole()
    if stops_s is None and world.ledger.error is None:
        assert len(world.results) == 12
        assert all(result.status != "cancelled" for result in world.results)


def test_a_task_that_waits_holds_no_slot() -> None:
    """While a task waits for its next attempt its slot does the others; then it goes on where it was."""

    def comes(task: Task, _provider: str, _key: int, number: int) -> Came:
        return Came(error="server_error" if task.index == 0 and number == 0 else None)

    retry = RetryPolicy(retries=1, delay_s=5.0, backoff="fixed")
    world = DispatchWorld(tasks=3, comes=comes, slots=1, retry=retry)
    world.run()
    world.check_whole()
    assert [call.index for call in world.made] == [0, 1, 2, 0]
    again = world.results[-1]
    assert (again.index, again.status, len(again.attempts)) == (0, "ok", 2)
    assert again.attempts[1].wait_before_s == pytest.approx(5.0, abs=0.3)


def test_no_more_is_drawn_than_may_wait() -> None:
    """While tasks wait for their next attempt, new ones are drawn up to eight for each slot, and then no further."""
    retry = RetryPolicy(retries=1, delay_s=60.0, backoff="fixed")
    world = DispatchWorld(
        tasks=40, comes=lambda _t, _p, _k, _n: Came(error="worker_lost", lasts_s=0.1), slots=1, retry=retry
    )
    drawn: list[int] = []
    world.plan(50.0, lambda: drawn.append(len(world.journal.tasks)))
    world.run()
    world.check_whole()
    assert drawn == [8]
    assert len(world.results) == 40


def test_another_provider_is_asked_at_once() -> None:
    """A call that fails goes to another provider without a wait, and not to the one that failed it."""
    world = DispatchWorld(
        tasks=6,
        comes=lambda _task, provider, _key, _number: Came(error="server_error" if provider == "a" else None),
        routes=TWO,
        slots=2,
    )
    world.run()
    world.check_whole()
    assert {result.status for result in world.results} == {"ok"}
    again = [result for result in world.results if len(result.attempts) > 1]
    assert again
    for result in again:
        assert [attempt.provider for attempt in result.attempts] == ["a", "b"]
        assert result.attempts[1].wait_before_s == pytest.approx(0.0, abs=1e-6)


def test_a_provider_that_rests_is_no_way_out() -> None:
    """Where the only other provider is not to be asked soon, the one that failed is asked again after a wait, and not
    at once over and over.
    """

    def comes(_task: Task, provider: str, _key: int, _number: int) -> Came:
        if provider == "b":
            return Came(error="rate_limited", retry_after_s=60.0, lasts_s=0.1)
        return Came(error="server_error", lasts_s=0.2)

    world = DispatchWorld(tasks=2, comes=comes, routes=TWO, slots=2)
    world.run()
    world.check_whole()
    on_a = sorted(call.begun_s for call in world.made if call.provider == "a" and call.index == 0)
    assert len(on_a) > 1
    assert all(later - sooner >= 0.9 for sooner, later in itertools.pairwise(on_a))


def test_whoever_waits_for_a_provider_lets_the_others_by() -> None:
    """A task that failed at one provider and waits for a busy other one keeps nobody from the first."""

    def comes(task: Task, provider: str, _key: int, _number: int) -> Came:
        if provider == "b":
            return Came(lasts_s=50.0)
        return Came(error="bad_sse" if task.index == 0 else None, lasts_s=0.1)

    world = DispatchWorld(tasks=30, comes=comes, routes=TWO, slots=2, limits={"b": RouteLimits(in_flight=1)})
    world.run()
    world.check_whole()
    assert sum(call.provider == "a" and call.ended_s < 30 for call in world.made) > 20


def test_whoever_failed_a_task_is_passed_by() -> None:
    """A task that two of three providers have failed waits for the third, though only the first two have places."""

    def comes(task: Task, provider: str, _key: int, _number: int) -> Came:
        if provider == "c":
            return Came(lasts_s=20.0)
        return Came(error="bad_sse" if task.index == 0 else None, lasts_s=0.1)

    routes = (*TWO, ("c", 0))
    world = DispatchWorld(tasks=30, comes=comes, routes=routes, slots=3, limits={"c": RouteLimits(in_flight=1)})
    world.run()
    world.check_whole()
    (tried,) = [result for result in world.results if result.index == 0]
    assert [attempt.provider for attempt in tried.attempts] == ["a", "b", "c"]


def test_a_429_costs_no_attempt() -> None:
    """Calls that are refused for their rate are not counted against the retries: the task waits as it was asked to."""
    world = DispatchWorld(
        tasks=1,
        comes=lambda _t, _p, _k, number: Came(error="rate_limited" if number < 5 else None, retry_after_s=3.0),
        retry=NO_RETRY,
    )
    world.run()
    world.check_whole()
    (result,) = world.results
    assert (result.status, len(result.attempts)) == ("ok", 6)
    assert all(attempt.wait_before_s >= 3.0 for attempt in result.attempts[1:])


def test_the_deadline_holds_while_a_task_waits() -> None:
    """A task whose time runs out while it waits fails then, with what its last attempt met."""
    world = DispatchWorld(
        tasks=1, comes=lambda _t, _p, _k, _n: Came(error="rate_limited", lasts_s=0.1), retry=NO_RETRY, timeout_s=10.0
    )
    world.run()
    world.check_whole()
    (result,) = world.results
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.type == "rate_limited"
    assert 9.0 <= result.service_s <= 10.5


def test_a_key_that_is_refused_leaves_the_others() -> None:
    """Of two keys the one that is not accepted costs each task at most one call, and the other does the work."""
    world = DispatchWorld(
        tasks=20,
        comes=lambda _t, _p, key, _n: Came(error="auth" if key == 0 else None, lasts_s=0.1),
        routes=(("a", 0), ("a", 1)),
        slots=3,
    )
    world.run()
    world.check_whole()
    assert world.ledger.error is None
    assert {result.status for result in world.results} == {"ok"}
    assert sum(call.key == 0 for call in world.made) <= 3


def test_no_key_left_ends_the_run() -> None:
    """Once no key is accepted the run takes nothing up any more and says why."""
    world = DispatchWorld(
        tasks=50, comes=lambda _t, _p, _k, _n: Came(error="auth", lasts_s=0.1), routes=(("a", 0), ("a", 1)), slots=3
    )
    world.run()
    world.check_whole()
    assert "no key is accepted any more" in str(world.ledger.error)
    assert len(world.made) <= 6
    assert {result.status for result in world.results} <= {"failed", "cancelled"}
    assert any(result.error is not None and result.error.type == "auth" for result in world.results)


def test_repeated_calls_are_a_share_of_all() -> None:
    """However many attempts a task may have, where everything fails few more calls are made than there are tasks."""
    retry = RetryPolicy(retries=50, delay_s=0.0, backoff="fixed")
    world = DispatchWorld(tasks=300, comes=lambda _t, _p, _k, _n: Came(error="worker_lost", lasts_s=0.1), retry=retry)
    world.run()
    world.check_whole()
    # What is saved up at the beginning is 10 and two for each slot.
    assert 300 < len(world.made) <= (300 * 1.0 + 18) / 0.8


def test_equal_questions_are_one_call() -> None:
    """Tasks with the same question wait for the first one's answer, which costs no call and holds no slot."""
    with kept_answers(2) as known:
        world = DispatchWorld(tasks=10, comes=lambda _t, _p, _k, _n: Came(), slots=3, known=known)
        world.run()
        world.check_whole()
    assert len(world.made) == 2
    assert [result.cached for result in sorted(world.results, key=lambda each: each.index)] == [False] * 2 + [True] * 8
    assert {result.content for result in world.results} == {"an answer"}


def test_whose_answer_fails_asks_itself() -> None:
    """Where the one that others wait for fails, the next one asks, and so on: no task fails with another's failure."""
    with kept_answers(1) as known:
        world = DispatchWorld(
            tasks=4,
            comes=lambda task, _p, _k, _n: Came(error="bad_request" if task.index < 2 else None),
            slots=4,
            known=known,
        )
        world.run()
        world.check_whole()
    assert [call.index for call in world.made] == [0, 1, 2]
    assert Counter(result.status for result in world.results) == {"failed": 2, "ok": 2}


def test_many_equal_questions_leave_all_slots() -> None:
    """More tasks that wait for one answer than are kept waiting at once cost the run no slot."""
    with kept_answers(1000) as known:
        shared = KnownAnswers(known._cache, lambda task: "same" if task.index < 100 else f"{task.index}")
        world = DispatchWorld(tasks=140, comes=lambda _t, _p, _k, _n: Came(), slots=4, known=shared)
        world.run()
        world.check_whole()
    assert len(world.made) == 41
    assert world.most_at_once == 4


def test_a_rival_that_was_not_needed_costs_nothing() -> None:
    """A race whose second call was never made takes nothing from the share of extra calls, nor from the other
    provider's rate.
    """
    limits = {"b": RouteLimits(requests_per_min=6000)}
    world = DispatchWorld(tasks=100, comes=lambda _t, _p, _k, _n: Came(), routes=TWO, slots=2, race=True, limits=limits)
    world.run()
    world.check_whole()
    assert world.raced == 100
    assert len(world.made) == 100


def test_what_waits_when_the_run_drains_is_cancelled() -> None:
    """A run that drains records what waits as cancelled, with its attempts, and lets what is under way end."""

    def comes(task: Task, _provider: str, _key: int, _number: int) -> Came:
        return Came(error="server_error", lasts_s=0.1) if task.index == 0 else Came(lasts_s=5.0)

    retry = RetryPolicy(retries=3, delay_s=60.0, backoff="fixed")
    world = DispatchWorld(tasks=9, comes=comes, slots=2, retry=retry)
    world.plan(2.0, world.stop.drain)
    world.run()
    world.check_whole()
    by_index = {result.index: result for result in world.results}
    assert (by_index[0].status, len(by_index[0].attempts)) == ("cancelled", 1)
    assert {by_index[index].status for index in by_index if index} == {"ok"}


def test_what_nobody_draws_for_any_more_is_recorded() -> None:
    """Where the slots end in their pauses, without another draw, what waits is recorded at the close."""
    world = DispatchWorld(
        tasks=1, comes=lambda _t, _p, _k, _n: Came(error="server_error", lasts_s=0.0), slots=1, timeout_s=1000.0
    )
    world.plan(0.1, world.dispatcher.close)
    world.run()
    assert [result.status for result in world.results] == ["cancelled"]
