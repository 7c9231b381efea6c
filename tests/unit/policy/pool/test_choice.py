"""Which route gets the next call: health before load before recency, nobody starved, nobody used for ever."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ErrorType
from bench.policy.pool import Grant, Never, Outcome, Pool, PoolSettings, RouteInfo, Wait
from bench.providers import RouteLimits
from bench.records import RateLimits

if TYPE_CHECKING:
    from collections.abc import Collection

OK = Outcome(status="ok", latency_s=0.5)
FIXED = PoolSettings(ceiling=64, adaptive=False)


def failed(error_type: ErrorType, retry_after_s: float | None = None) -> Outcome:
    """A call that failed."""
    return Outcome(status="failed", error_type=error_type, latency_s=0.1, retry_after_s=retry_after_s)


def pool_of(*names: str, settings: PoolSettings = FIXED) -> Pool:
    """A pool of routes without limits of their own."""
    return Pool([RouteInfo(provider=name) for name in names], settings)


def granted(pool: Pool, now_s: float, exclude: Collection[str] = ()) -> Grant:
    """Ask, and expect a grant."""
    answer = pool.ask(now_s, exclude=exclude)
    assert isinstance(answer, Grant)
    return answer


def call(pool: Pool, now_s: float, outcome: Outcome = OK, exclude: Collection[str] = ()) -> int:
    """Make a call that ends at once; return its route."""
    grant = granted(pool, now_s, exclude)
    pool.back(now_s, grant, outcome)
    return grant.route


def learn(pool: Pool, now_s: float, outcomes: dict[int, list[Outcome]]) -> None:
    """Let given routes of a pool have given outcomes, whatever the pool would choose."""
    held = []
    left = {route: list(given) for route, given in outcomes.items()}
    while any(left.values()):
        grant = granted(pool, now_s)
        if left.get(grant.route):
            pool.back(now_s, grant, left[grant.route].pop(0))
        else:
            held.append(grant)
    for grant in held:
        pool.unused(grant)


def test_the_better_success_rate_goes_first() -> None:
    """Of two idle providers the one that succeeds more often is chosen, not the one that fails more often."""
    pool = pool_of("bad", "good")
    learn(pool, 0.0, {0: [failed("server_error"), OK] * 4, 1: [OK] * 8})
    assert {call(pool, 1.0) for _ in range(5)} == {1}


def test_failures_in_a_row_go_last() -> None:
    """A provider whose last calls failed comes after one whose last call succeeded, whichever succeeds more often."""
    pool = pool_of("failing", "fine")
    learn(pool, 0.0, {0: [failed("connect")] * 3, 1: [failed("connect"), OK]})
    assert call(pool, 0.1) == 1
    pool = pool_of("good until now", "good again")
    learn(pool, 0.0, {0: [OK] * 20 + [failed("connect")] * 2, 1: [failed("connect"), OK] * 4})
    assert call(pool, 0.1) == 1


def test_a_route_that_was_never_used_gets_its_chance() -> None:
    """A route without any call is tried before one that serves well is used again."""
    pool = pool_of("known", "new")
    assert call(pool, 0.0) == 0
    assert call(pool, 0.1) == 1


def test_equal_routes_share_the_load() -> None:
    """Calls that are all under way at once are spread evenly: no herd on the best one."""
    pool = pool_of("a", "b", "c", "d")
    shares = Counter(granted(pool, 0.0).route for _ in range(64))
    assert set(shares.values()) == {16}


def test_load_counts_against_the_limit() -> None:
    """A route with three times the places of another has three times its calls under way."""
    routes = [
        RouteInfo(provider="small", limits=RouteLimits(in_flight=10)),
        RouteInfo(provider="large", limits=RouteLimits(in_flight=30)),
    ]
    pool = Pool(routes, FIXED)
    shares = Counter(granted(pool, 0.0).route for _ in range(20))
    assert shares == {0: 5, 1: 15}


def test_keys_are_used_alike() -> None:
    """Tasks that come one at a time go over the keys of a provider in turn: none of them is the hot one."""
    pool = Pool([RouteInfo(provider="a", key=key) for key in range(3)], FIXED)
    assert Counter(call(pool, float(now_s)) for now_s in range(30)) == {0: 10, 1: 10, 2: 10}


def test_old_failures_are_forgotten() -> None:
    """Failures of an hour ago count no more, whatever their number: counters are not for a lifetime."""
    pool = pool_of("once_bad", "good")
    learn(pool, 0.0, {0: [failed("server_error"), OK] * 4, 1: [OK] * 8})
    routes = [call(pool, 3600.0 + second) for second in range(10)]
    assert Counter(routes) == {0: 5, 1: 5}


def test_old_successes_are_forgotten() -> None:
    """A thousand successes of an hour ago do not hide that every second call fails now."""
    pool = pool_of("was_good", "new")
    learn(pool, 0.0, {0: [OK] * 1000, 1: [OK]})
    learn(pool, 3600.0, {0: [failed("server_error"), OK] * 3, 1: [OK] * 6})
    assert {call(pool, 3601.0) for _ in range(5)} == {1}
    assert pool.snapshot(3601.0)[0].success_share == pytest.approx(0.5, abs=0.05)


def test_a_resting_provider_is_left_alone_and_tried_again() -> None:
    """After failures in a row a provider rests, then one call at a time tries it, each rest longer than the last."""
    pool = pool_of("a")
    now_s, rests = 0.0, []
    for _ in range(FIXED.failures):
        call(pool, now_s, failed("timeout_ttft"))
    for _ in range(3):
        answer = pool.ask(now_s)
        assert isinstance(answer, Wait)
        rests.append(answer.until_s - now_s)
        now_s = answer.until_s
        probe = granted(pool, now_s)
        assert pool.ask(now_s) == Wait(math.inf), "one call finds out"
        pool.back(now_s, probe, failed("timeout_ttft"))
    assert rests == [5.0, 10.0, 20.0]
    call(pool, now_s + 60, OK)
    assert [granted(pool, now_s + 60).route for _ in range(8)] == [0] * 8
    changes = pool.take_changes()
    assert [change.kind for change in changes] == ["rest"] * 4 + ["revived"]
    reasons = ["a failed 5 times in a row: timeout_ttft", *["a still fails: timeout_ttft"] * 3, "a answers again"]
    assert [change.reason for change in changes] == reasons


def test_failures_from_before_a_rest_do_not_make_it_longer() -> None:
    """Sixty calls that fail together are one failure of the server, and rest it once."""
    pool = pool_of("a")
    grants = [granted(pool, 0.0) for _ in range(60)]
    for grant in grants:
        pool.back(1.0, grant, failed("connect"))
    assert pool.ask(1.0) == Wait(6.0)
    assert len(pool.take_changes()) == 1


def test_a_due_provider_is_tried_though_others_are_well() -> None:
    """A provider whose rest is over gets a call even while healthy ones have places: it is not forgotten for ever."""
    pool = pool_of("a", "b")
    learn(pool, 0.0, {0: [failed("connect")] * 5, 1: [OK]})
    assert {call(pool, 1.0) for _ in range(10)} == {1}
    assert call(pool, 6.0) == 0


def test_failing_often_rests_where_others_can_do_the_work() -> None:
    """A provider that fails every second call rests if there is another, and goes on if it is the only one."""
    half = [failed("server_error"), OK] * 10
    pool = pool_of("a", "b")
    learn(pool, 0.0, {0: half[:11]})
    assert [(change.kind, change.reason) for change in pool.take_changes()] == [
        ("rest", "a failed too often: server_error")
    ]
    alone = pool_of("a")
    learn(alone, 0.0, {0: half})
    assert alone.take_changes() == []


@pytest.mark.parametrize("error_type", ["cancelled", "bad_request", "content_filter", "too_large", "internal"])
def test_what_is_not_the_servers_fault_does_not_rest_it(error_type: ErrorType) -> None:
    """A request that is wrong by itself, or a call that was cancelled, says nothing about the provider."""
    pool = pool_of("a")
    for _ in range(50):
        call(pool, 0.0, failed(error_type))
    call(pool, 0.0, Outcome(status="cancelled", latency_s=1.0))
    assert isinstance(pool.ask(0.0), Grant)
    assert pool.snapshot(0.0)[0].success_share is None


def test_a_probe_that_says_nothing_is_followed_by_another() -> None:
    """A trying call that was cancelled or refused leaves the provider to be tried by the next one."""
    pool = pool_of("a")
    for _ in range(5):
        call(pool, 0.0, failed("connect"))
    pool.back(5.0, granted(pool, 5.0), Outcome(status="cancelled", latency_s=1.0))
    pool.unused(granted(pool, 5.0))
    pool.back(5.0, granted(pool, 5.0), failed("rate_limited", 1.0))
    assert pool.ask(5.0) == Wait(6.0)
    assert call(pool, 6.0) == 0


def test_excluded_providers_are_avoided() -> None:
    """All providers that failed a task are passed by, not only one of them."""
    pool = pool_of("a", "b", "c")
    assert {call(pool, 0.0, exclude={"a", "c"}) for _ in range(5)} == {1}


def test_an_excluded_provider_serves_again_where_no_other_can() -> None:
    """Where all others rest for long a task goes back to the provider that failed it; for a full one it waits."""
    pool = pool_of("a", "b")
    learn(pool, 0.0, {1: [failed("connect")] * 5})
    assert call(pool, 0.0, exclude={"a"}) == 0
    full = Pool([RouteInfo(provider="a"), RouteInfo(provider="b", limits=RouteLimits(in_flight=1))], FIXED)
    granted(full, 0.0, {"a"})
    assert full.ask(0.0, exclude={"a"}) == Wait(math.inf)
    assert call(pool_of("only"), 0.0, exclude={"only"}) == 0


def test_all_cooling_waits_for_the_earliest() -> None:
    """With every provider paused the answer is when the first pause ends, and no failure."""
    pool = pool_of("a", "b")
    learn(pool, 0.0, {0: [failed("rate_limited", 30.0)]})
    learn(pool, 0.0, {1: [failed("rate_limited", 12.0)]})
    assert pool.ask(0.0) == Wait(12.0)
    assert call(pool, 12.0) == 1


def test_a_dead_key_is_used_no_more_and_told_once() -> None:
    """A key that is refused gets no further call for minutes, and its calls in flight say the same only once."""
    pool = Pool([RouteInfo(provider="a", key=key) for key in range(2)], FIXED)
    grants = [granted(pool, 0.0) for _ in range(10)]
    for grant in grants:
        pool.back(0.1, grant, failed("auth") if grant.route else OK)
    assert {call(pool, second) for second in range(1, 500)} == {0}
    changes = pool.take_changes()
    assert [(change.kind, change.route) for change in changes] == [("dead", 1)]
    assert pool.snapshot(500.0)[1].is_dead
    assert call(pool, 700.0, failed("auth")) == 1, "it may have been renewed"
    assert pool.take_changes() == []
    assert call(pool, 2000.0) == 1
    assert [change.kind for change in pool.take_changes()] == ["revived"]


def test_only_dead_keys_are_never() -> None:
    """Where every key was refused there is nothing to wait for, and the reason names them."""
    pool = pool_of("a", "b")
    learn(pool, 0.0, {0: [failed("auth")], 1: [failed("auth")]})
    answer = pool.ask(1.0)
    assert isinstance(answer, Never)
    assert "key 1 of a" in answer.reason
    assert "key 1 of b" in answer.reason


def test_one_quota_pauses_together() -> None:
    """Keys that share a quota share a 429's pause; a key with a quota of its own goes on."""
    shared = RouteLimits(quota="account")
    routes = [RouteInfo(provider="a", key=key, limits=shared) for key in (0, 1)]
    pool = Pool([*routes, RouteInfo(provider="a", key=2)], FIXED)
    grant = granted(pool, 0.0)
    pool.back(0.0, grant, failed("rate_limited", 9.0))
    assert grant.route == 0
    assert {call(pool, 1.0) for _ in range(6)} == {2}
    assert [(change.kind, change.route, change.after) for change in pool.take_changes()] == [
        ("cooldown", 0, 9.0),
        ("cooldown", 1, 9.0),
    ]


def test_pauses_without_retry_after_grow() -> None:
    """Refusals that follow each other without a word on how long pause longer each time, up to the cap."""
    pool = pool_of("a")
    now_s, pauses = 0.0, []
    for _ in range(12):
        call(pool, now_s, failed("rate_limited"))
        answer = pool.ask(now_s)
        assert isinstance(answer, Wait)
        pauses.append(answer.until_s - now_s)
        now_s = answer.until_s
    assert pauses[:4] == pytest.approx([0.5, 1.0, 2.0, 4.0])
    assert max(pauses) == pytest.approx(FIXED.cooldown_cap_s)
    call(pool, now_s)
    call(pool, now_s, failed("rate_limited"))
    assert pool.ask(now_s) == Wait(now_s + 0.5)


def test_a_reset_stands_in_for_retry_after() -> None:
    """A refusal that says when its used-up quota is whole again pauses until then."""
    pool = pool_of("a")
    said = RateLimits(remaining_tokens=0, reset_tokens_s=7.0, remaining_requests=5, reset_requests_s=30.0)
    used_up = Outcome(status="failed", error_type="rate_limited", latency_s=0.1, said=said)
    call(pool, 0.0, used_up)
    assert pool.ask(0.0) == Wait(7.0)


steps = st.lists(
    st.tuples(
        st.floats(0, 20), st.integers(0, 3), st.sampled_from(["ok", "cancelled", *get_args(ErrorType)]), st.booleans()
    ),
    max_size=60,
)


@given(steps, st.integers(1, 6), st.booleans())
def test_what_holds_whatever_happens(
    events: list[tuple[float, int, str, bool]],
    ceiling: int,
    adaptive: bool,  # noqa: FBT001 - drawn
) -> None:
    """Calls under way keep to every limit, a wait has an end or a call to wait for, and Never means dead keys only."""
    shared = RouteLimits(in_flight=4, requests_per_min=30, quota="q")
    infos = [*(RouteInfo(provider="a", key=key, limits=shared) for key in (0, 1)), RouteInfo(provider="b")]
    pool = Pool(infos, PoolSettings(ceiling=ceiling, adaptive=adaptive))
    now_s, out = 0.0, list[Grant]()
    for step_s, which, what, avoid in events:
        now_s += step_s
        answer = pool.ask(now_s, exclude={"a"} if avoid else ())
        if isinstance(answer, Grant):
            out.append(answer)
        elif isinstance(answer, Wait):
            assert answer.until_s > now_s
            assert out or answer.until_s < math.inf, "nothing would ever wake it"
        else:
            assert all(state.is_dead for state in pool.snapshot(now_s))
        for state in pool.snapshot(now_s):
            assert state.in_flight == sum(grant.route == state.route for grant in out)
            assert 1 <= state.limit <= min(ceiling, infos[state.route].limits.in_flight or ceiling)
        if out and which:
            pool.back(now_s, out.pop(which % len(out)), OK if what == "ok" else _ended(what))


def _ended(what: str) -> Outcome:
    if what == "cancelled":
        return Outcome(status="cancelled", latency_s=0.1)
    return Outcome(status="failed", error_type=what, latency_s=0.1)  # type: ignore[arg-type] # of the closed list


def test_a_grant_comes_back_once() -> None:
    """A grant that is given back twice is an error, and frees no second place."""
    pool = pool_of("a")
    grant = granted(pool, 0.0)
    pool.back(0.0, grant, OK)
    with pytest.raises(ValueError, match="grant 0 is not out"):
        pool.back(0.0, grant, OK)
    with pytest.raises(ValueError, match="grant 0 is not out"):
        pool.unused(grant)
    assert pool.snapshot(0.0)[0].in_flight == 0


@pytest.mark.parametrize(("floor", "ceiling"), [(0, 5), (6, 5)])
def test_bounds_that_leave_no_call_are_refused(floor: int, ceiling: int) -> None:
    """A floor below 1 or above the ceiling is an error that names both."""
    with pytest.raises(ValueError, match=f"got {floor} and {ceiling}"):
        PoolSettings(floor=floor, ceiling=ceiling)


def test_routes_that_leave_no_call_are_refused() -> None:
    """No route, or a limit of nothing, is an error."""
    with pytest.raises(ValueError, match="at least one route"):
        Pool([], FIXED)
    with pytest.raises(ValueError, match="for a"):
        RouteInfo(provider="a", limits=RouteLimits(requests_per_min=0))


def test_it_tells_who_may_be_asked_soon() -> None:
    """Of the providers whose keys are accepted it is told whether each opens within the patience; a dead key's
    provider is not among them.
    """
    pool = Pool([RouteInfo(provider=name) for name in ("a", "b", "c")], PoolSettings(ceiling=4))
    assert pool.providers(0.0) == {"a": True, "b": True, "c": True}
    for outcome in (
        Outcome(status="failed", latency_s=0.1, error_type="auth"),
        Outcome(status="failed", latency_s=0.1, error_type="rate_limited", retry_after_s=30.0),
    ):
        grant = pool.ask(0.0)
        assert isinstance(grant, Grant)
        pool.back(0.1, grant, outcome)
    assert pool.providers(0.2) == {"b": False, "c": True}
    assert pool.providers(29.0) == {"b": True, "c": True}
