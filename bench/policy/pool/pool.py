"""Which route the next call goes over, and when it may.

A `Pool` belongs to one thread at a time, has no clock and never sleeps: the caller says what time it is (seconds on any
clock that only goes forward) and waits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.policy.pool.breaker import Breaker
from bench.policy.pool.budget import Budget
from bench.policy.pool.health import NEEDED
from bench.policy.pool.lessons import Ended, Lessons
from bench.policy.pool.quota import Quota
from bench.policy.pool.route import Rank, Route
from bench.policy.pool.values import (
    Grant,
    Never,
    Outcome,
    PoolSettings,
    RouteInfo,
    RouteState,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bench.policy.pool.rates import Charge
    from bench.policy.pool.values import Change

#: Extra calls that a small run may make before its own calls have earned any.
LEAST_RESERVE: Final = 10


class Pool:
    """The routes of a run, and the choice between them.

    Args:
        routes: At least one, in order of preference where nothing else decides.
        settings: How it decides.

    Raises:
        ValueError: No route.
    """

    def __init__(self, routes: Sequence[RouteInfo], settings: PoolSettings) -> None:
        if not routes:
            raise ValueError("a pool needs at least one route, got none")
        self._settings = settings
        self._servers = {
            info.provider: Breaker(
                failures=settings.failures, first_s=settings.cooldown_s, cap_s=settings.cooldown_cap_s
            )
            for info in routes
        }
        names = [info.limits.quota or f"\0{place}" for place, info in enumerate(routes)]
        quotas = {
            name: Quota(settings, [info.limits for info, of in zip(routes, names, strict=True) if of == name])
            for name in names
        }
        self._routes = [
            Route(place, info, settings, quotas[name], self._servers[info.provider])
            for place, (info, name) in enumerate(zip(routes, names, strict=True))
        ]
        self._outstanding: dict[int, tuple[Charge, Charge]] = {}
        self._number = 0
        self._lessons = Lessons(self._routes)
        self._retries = Budget(share=settings.retry_share, reserve=LEAST_RESERVE + 2 * settings.ceiling)
        self._hedges = Budget(share=settings.hedge_share, reserve=LEAST_RESERVE)

    def ask(self, now_s: float, *, tokens: int = 0, exclude: Collection[str] = ()) -> Grant | Wait | Never:
        """Ask for leave to make a call.

        Args:
            now_s: Now.
            tokens: How many the call is expected to cost, prompt and answer together.
            exclude: Providers that failed this task. They serve again if no other can within `patience_s`.

        Returns:
            A grant, which `back` takes once; or until when to wait; or why there will be none.
        """
        best, soonest_s, is_near = self._look(now_s, tokens, exclude)
        if exclude and best is None and not is_near:
            best, soonest_s, _ = self._look(now_s, tokens, ())
        if best is not None:
            return self._grant(best, now_s, tokens)
        if all(route.is_dead(now_s) for route in self._routes):
            return Never(self._why_never())
        return Wait(soonest_s)

    def back(self, now_s: float, grant: Grant, outcome: Outcome) -> None:
        """Take a grant back, with what came of its call.

        Raises:
            ValueError: A grant that is not out: it came back before, or belongs to another pool.
        """
        route, (_, tokens) = self._taken_back(grant)
        if outcome.tokens is not None:
            route.quota.tokens.correct(tokens, outcome.tokens)
        self._lessons.take(Ended(now_s, route, grant.number, self._number, outcome))

    def unused(self, grant: Grant) -> None:
        """Take a grant back whose call was never made: it costs nothing and says nothing.

        Raises:
            ValueError: As `back`.
        """
        route, (request, tokens) = self._taken_back(grant)
        route.calls -= 1
        route.quota.requests.correct(request, 0)
        route.quota.tokens.correct(tokens, 0)
        route.said_nothing(grant.number)

    def hedge_delay_s(self, now_s: float, route: int) -> float | None:
        """Return after how long a call over a route is slow: the 95 % point of its latencies; None for too few."""
        return self._routes[route].latencies.percentile(now_s, 0.95, NEEDED)

    def may_hedge(self, now_s: float) -> bool:
        """Take an extra call of a race out of the budget; False without one, or without a second provider to ask."""
        ready = {route.info.provider for route in self._routes if route.opens_s(now_s, 0) <= now_s}
        return len(ready) > 1 and self._hedges.take()

    def not_hedged(self) -> None:
        """Put an extra call that was not made back into the budget."""
        self._hedges.put_back()

    def may_retry(self) -> bool:
        """Take a retry out of the budget; False without one."""
        return self._retries.take()

    def providers(self, now_s: float) -> dict[str, bool]:
        """Return the providers with a key that is accepted, and whether each opens within `patience_s`."""
        near_s = now_s + self._settings.patience_s
        opens: dict[str, bool] = {}
        for route in self._routes:
            if not route.is_dead(now_s):
                name = route.info.provider
                opens[name] = opens.get(name, False) or route.opens_s(now_s, 0) <= near_s
        return opens

    def snapshot(self, now_s: float) -> tuple[RouteState, ...]:
        """Return the state of every route."""
        return tuple(route.state(now_s) for route in self._routes)

    def take_changes(self) -> list[Change]:
        """Return what has changed since it was last asked for, in order."""
        return self._lessons.changes.take()

    def _look(self, now_s: float, tokens: int, exclude: Collection[str]) -> tuple[Route | None, float, bool]:
        """Return the route to take, if any, when the first will be free, and whether any opens within the patience."""
        best: Route | None = None
        best_rank: Rank | None = None
        soonest_s = math.inf
        is_near = False
        near_s = now_s + self._settings.patience_s
        for route in self._routes:
            if route.info.provider in exclude:
                continue
            opens_s = route.opens_s(now_s, tokens)
            is_near = is_near or opens_s <= near_s
            from_s = max(opens_s, route.free_s())
            if from_s > now_s:
                soonest_s = min(soonest_s, from_s)
                continue
            rank = route.rank(now_s)
            if best_rank is None or rank < best_rank:
                best, best_rank = route, rank
        return best, soonest_s, is_near

    def _taken_back(self, grant: Grant) -> tuple[Route, tuple[Charge, Charge]]:
        charges = self._outstanding.pop(grant.number, None)
        if charges is None:
            msg = f"grant {grant.number} is not out: a grant comes back once, to the pool that gave it"
            raise ValueError(msg)
        route = self._routes[grant.route]
        route.in_flight -= 1
        return route, charges

    def _grant(self, route: Route, now_s: float, tokens: int) -> Grant:
        number = self._number
        self._number += 1
        self._outstanding[number] = route.quota.spend(now_s, tokens)
        route.granted(now_s, number)
        self._retries.add_call()
        self._hedges.add_call()
        return Grant(route.place, number, now_s, tokens)

    def _why_never(self) -> str:
        names = ", ".join(route.name for route in self._routes)
        return f"no key is accepted any more (401 or 403): {names}"
