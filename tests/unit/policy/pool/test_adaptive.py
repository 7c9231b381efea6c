"""A limit of calls under way that follows the server: how it grows, what cuts it, and what leaves it alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.policy.pool import Grant, Outcome, Pool, PoolSettings, RouteInfo, Wait
from bench.policy.pool.adaptive import AdaptiveLimit, Step
from bench.providers import RouteLimits

REFUSED = Outcome(status="failed", error_type="rate_limited", latency_s=0.01)


def clean_round(limit: AdaptiveLimit, now_s: float = 1e6, number: int = 10**6) -> int:
    """Let a full round of calls succeed; return the limit after it."""
    limit.began(limit.limit)
    for _ in range(limit.limit):
        limit.accepted(now_s, number, limit.limit)
    return limit.limit


def refusal(limit: AdaptiveLimit, now_s: float, number: int = 10**6, upcoming: int = 0) -> Step | None:
    """Let one of as many calls as the limit allows be refused."""
    return limit.refused(now_s, number, upcoming, in_flight=limit.limit - 1)


def test_it_doubles_until_the_first_refusal() -> None:
    """Each clean round doubles the limit up to the ceiling; after a refusal rounds add 5 %, at least 1."""
    limit = AdaptiveLimit(start=8, floor=1, ceiling=100)
    assert [clean_round(limit) for _ in range(5)] == [16, 32, 64, 100, 100]
    assert refusal(limit, 0.0, 1, 10) is not None
    assert [clean_round(limit) for _ in range(3)] == [84, 88, 92]


def test_a_refused_limit_is_approached_and_tried_ever_later() -> None:
    """After a refusal at 21 the limit climbs to 20, and tries 21 again after 1, 2, 4, 8 and 8 clean rounds there."""
    limit = AdaptiveLimit(start=21, floor=1, ceiling=100)
    held = []
    for trial in range(6):
        assert refusal(limit, trial * 100.0) is not None
        assert limit.limit == 17
        rounds = []
        while limit.limit < 21:
            rounds.append(clean_round(limit))
        assert rounds[:3] == [18, 19, 20]
        held.append(rounds.count(20))
    assert held == [1, 2, 4, 8, 8, 8]


def test_a_limit_that_is_accepted_after_all_goes_on_growing() -> None:
    """When what was refused is accepted the refusal is forgotten, and growth goes on past it."""
    limit = AdaptiveLimit(start=10, floor=1, ceiling=100)
    refusal(limit, 0.0)
    assert [clean_round(limit) for _ in range(8)] == [9, 10, 11, 12, 13, 14, 15, 16]
    refusal(limit, 100.0)
    assert [clean_round(limit) for _ in range(4)] == [14, 15, 16, 17]


def test_one_overshoot_is_one_cut() -> None:
    """Calls that were sent before a cut do not cut again, however late they come back."""
    limit = AdaptiveLimit(start=64, floor=1, ceiling=64)
    steps = [refusal(limit, now_s, number, 64) for number, now_s in enumerate([0.0, 0.1, 5.0, 50.0])]
    assert [step is not None for step in steps] == [True, False, False, False]
    assert limit.limit == 51


@pytest.mark.parametrize(("median_s", "pause_s"), [(None, 2.0), (0.5, 2.0), (30.0, 30.0)])
def test_cuts_keep_their_distance(median_s: float | None, pause_s: float) -> None:
    """From one cut to the next the effect is waited for: the median latency, at least 2 s."""
    limit = AdaptiveLimit(start=50, floor=1, ceiling=50)
    steps = [
        limit.refused(now_s, number, number + 1, in_flight=49, median_s=median_s)
        for number, now_s in enumerate([0.0, pause_s - 0.01, pause_s])
    ]
    assert [step is not None for step in steps] == [True, False, True]


def test_a_limit_that_is_held_back_does_not_grow() -> None:
    """Rounds with no more calls than were taken beside a refused one say nothing about a limit above that."""
    limit = AdaptiveLimit(start=25, floor=1, ceiling=100)
    limit.refused(0.0, 0, 1, in_flight=19)
    assert limit.limit == 20
    assert [clean_round(limit, now_s) for now_s in (0.5, 1.0, 2.0, 2.5)] == [20, 20, 21, 22]


@pytest.mark.parametrize("floor", [2, 8])
def test_sustained_refusal_reaches_the_floor_and_comes_back(floor: int) -> None:
    """Under lasting refusals the limit does not freeze: it falls to the floor, and rises again when they end."""
    limit = AdaptiveLimit(start=64, floor=floor, ceiling=64)
    for second in range(0, 200, 2):
        refusal(limit, float(second), second, second + 1)
    assert limit.limit == floor
    assert clean_round(limit) > floor


def test_an_unused_limit_does_not_grow() -> None:
    """Without at least 80 % of the limit under way its successes prove nothing."""
    limit = AdaptiveLimit(start=10, floor=1, ceiling=100)
    for _ in range(100):
        limit.began(7)
        limit.accepted(0.0, 1, 7)
    assert limit.limit == 10
    for _ in range(10):
        limit.began(8)
        limit.accepted(0.0, 1, 7)
    assert limit.limit == 20


def test_long_calls_grow_the_limit_like_short_ones() -> None:
    """Latency as such neither raises nor lowers the limit: calls of ten minutes double it as calls of a second do."""

    def limits(latency_s: float) -> list[int]:
        pool, seen, now_s = Pool([RouteInfo(provider="a")], PoolSettings(ceiling=100)), [], 0.0
        for _ in range(5):
            grants = []
            while isinstance(answer := pool.ask(now_s), Grant):
                grants.append(answer)
            now_s += latency_s
            for grant in grants:
                pool.back(now_s, grant, Outcome(status="ok", latency_s=latency_s))
            seen.append(pool.snapshot(now_s)[0].limit)
        return seen

    assert limits(600.0) == limits(1.0) == [16, 32, 64, 100, 100]


@pytest.mark.parametrize("error_type", ["bad_request", "server_error", "timeout_total", "auth"])
def test_only_a_refusal_cuts(error_type: str) -> None:
    """Failures other than 429 leave the limit alone: a wrong request is no sign of too many."""
    pool = Pool([RouteInfo(provider="a")], PoolSettings(ceiling=64))
    grant = pool.ask(0.0)
    assert isinstance(grant, Grant)
    failed = Outcome(status="failed", error_type=error_type, latency_s=0.1)  # type: ignore[arg-type] # of the closed list
    pool.back(0.1, grant, failed)
    assert pool.snapshot(0.1)[0].limit == 8


def test_successes_after_a_refusal_of_the_same_task_are_neutral() -> None:
    """A call that followed a 429 of its task does not count for growth when it succeeds."""
    pool = Pool([RouteInfo(provider="a")], PoolSettings(ceiling=64))
    for retried, expected in ((True, 8), (False, 16)):
        grants = [pool.ask(0.0) for _ in range(8)]
        for grant in grants:
            assert isinstance(grant, Grant)
            pool.back(1.0, grant, Outcome(status="ok", latency_s=1.0, retried=retried))
        assert pool.snapshot(1.0)[0].limit == expected


def test_a_bound_of_the_route_leaves_it_adaptive() -> None:
    """A route's own bound on calls under way is a ceiling, below which its limit still follows the server."""
    pool = Pool([RouteInfo(provider="a", limits=RouteLimits(in_flight=20))], PoolSettings(ceiling=64, start=64))
    assert pool.snapshot(0.0)[0].limit == 20
    grant = pool.ask(0.0)
    assert isinstance(grant, Grant)
    pool.back(0.0, grant, REFUSED)
    assert pool.snapshot(0.0)[0].limit == 16


def test_a_new_limit_holds_at_once() -> None:
    """After a cut nothing goes out before enough calls have come back: the limit is not only a number."""
    pool = Pool([RouteInfo(provider="a")], PoolSettings(ceiling=64, start=10))
    grants = [pool.ask(0.0) for _ in range(10)]
    outcomes = [REFUSED] + [Outcome(status="ok", latency_s=1.0)] * 9
    allowed = []
    for grant, outcome in zip(grants, outcomes, strict=True):
        assert isinstance(grant, Grant)
        pool.back(1.0, grant, outcome)
        allowed.append(isinstance(answer := pool.ask(1.0), Grant))
        if isinstance(answer, Grant):
            pool.unused(answer)
    assert allowed == [False, False] + [True] * 8
    change = pool.take_changes()[0]
    assert (change.kind, change.before, change.after) == ("limit", 10, 8)
    assert "429" in change.reason


@pytest.mark.parametrize(("adaptive", "later"), [(True, 26), (False, 32)])
def test_no_more_go_out_than_were_taken(adaptive: bool, later: int) -> None:  # noqa: FBT001 - a case
    """Beside a call that was refused go as many as were not, until the limit may be cut again: then as many as it says,
    whether it moves or not.
    """
    pool = Pool([RouteInfo(provider="a")], PoolSettings(ceiling=32, start=32, adaptive=adaptive))
    grants = [pool.ask(0.0) for _ in range(32)]
    for grant in grants[20:]:
        assert isinstance(grant, Grant)
        pool.back(0.1, grant, REFUSED)
    assert pool.ask(0.1) == Wait(2.1)
    assert isinstance(grants[0], Grant)
    pool.back(1.0, grants[0], Outcome(status="ok", latency_s=1.0))
    assert isinstance(pool.ask(1.0), Grant)
    assert pool.ask(1.0) == Wait(2.1)
    assert sum(isinstance(pool.ask(2.1), Grant) for _ in range(32)) == later - 20
    assert [change.kind for change in pool.take_changes()] == ["limit"] * adaptive


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=300), st.integers(1, 10), st.integers(0, 90))
def test_it_stays_between_floor_and_ceiling(events: list[tuple[bool, float]], floor: int, above: int) -> None:
    """Whatever is accepted and refused, in whatever order, the limit keeps to its bounds and moves as its steps say."""
    limit = AdaptiveLimit(start=8, floor=floor, ceiling=floor + above)
    now_s = 0.0
    for number, (is_refused, later_s) in enumerate(events):
        now_s += later_s
        before = limit.limit
        limit.began(before)
        step = refusal(limit, now_s, number, number + 1) if is_refused else limit.accepted(now_s, number, before)
        assert floor <= limit.limit <= floor + above
        assert (step is None) == (limit.limit == before)
        if step is not None:
            assert (step.before, step.after) == (before, limit.limit)
            assert is_refused == (step.after < step.before)
