"""What the pool is told of a race: who was asked first and lost, and what was not asked at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.executor.known import Waiting
from bench.executor.permits import Permits
from bench.policy.pool import Pool, PoolSettings, RouteInfo
from bench.providers import Endpoint
from bench.worker import Assignment
from tests.clocks import NS_PER_S
from tests.flows import make_spec
from tests.samples import make_attempt, make_result, make_task

if TYPE_CHECKING:
    from bench.records import Attempt

NAMES = ("a", "b")


def make_permits() -> Permits:
    """Permits over two providers, of which the quicker one is asked first, and both at once."""
    spec = make_spec(endpoints=tuple(Endpoint(provider=name, base_url="none", model="m") for name in NAMES))
    settings = PoolSettings(ceiling=4, adaptive=False, by_pace=True)
    pool = Pool([RouteInfo(provider=name) for name in NAMES], settings)
    return Permits(pool, spec, race=True, hedge_delay_s=0.0)


def asked(permits: Permits, now_s: int) -> tuple[Waiting, list[str]]:
    """A task on its way, and who is asked for it, in order."""
    waiting = Waiting(Assignment(task=make_task(), scheduled_ns=0))
    answer = permits.ask(waiting, now_s * NS_PER_S)
    assert isinstance(answer, Assignment)
    return waiting, [NAMES[answer.route], *(NAMES[rival.route] for rival in answer.rivals)]


def lost(name: str, end_s: float = 0.1) -> Attempt:
    """A call that was given up because another provider answered first."""
    return make_attempt(provider=name, end_s=end_s, status="cancelled", error_type="cancelled", http_status=None)


def test_who_was_asked_first_and_lost_comes_second() -> None:
    """A provider that was asked first three times and lost is asked second from then on."""
    permits = make_permits()
    orders = []
    for now_s in range(12):
        waiting, order = asked(permits, now_s)
        won = make_attempt(provider="b", end_s=0.1)
        attempts = [lost(each) if each == "a" else won for each in order]
        permits.back(waiting, make_result(attempts=tuple(attempts), provider="b"), now_s * NS_PER_S)
        orders.append(order)
    assert {tuple(order) for order in orders[8:]} == {("b", "a")}
    assert 3 <= sum(order == ["a", "b"] for order in orders) <= 4


def test_who_was_asked_second_and_lost_is_no_quicker_for_it() -> None:
    """Of a call that was given up soon after it began, because it was asked second, nothing is learnt."""
    permits = make_permits()
    for now_s in range(6):
        waiting, (first, _) = asked(permits, now_s)
        alone = make_attempt(provider=first, end_s=0.1 if first == "a" else 1.0)
        permits.back(waiting, make_result(attempts=(alone,), provider=first), now_s * NS_PER_S)
    for now_s in range(6, 16):
        waiting, order = asked(permits, now_s)
        assert order == ["a", "b"]
        attempts = (lost("b", 0.01), make_attempt(provider="a", end_s=0.1))
        permits.back(waiting, make_result(attempts=attempts, provider="a"), now_s * NS_PER_S)


def test_a_call_that_was_not_made_costs_nothing() -> None:
    """A second provider that was not needed has no call to its name, and its extra call may be made for another."""
    permits = make_permits()
    for now_s in range(40):
        waiting, order = asked(permits, now_s)
        assert len(order) == 2, "the extra calls of a small run are ten"
        made = make_result(attempts=(make_attempt(provider=order[0], end_s=0.1),), provider=order[0])
        permits.back(waiting, made, now_s * NS_PER_S)
