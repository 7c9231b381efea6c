"""Which route the next call goes over, when it may, and what is learnt from how it went.

A `Pool` belongs to one thread at a time, has no clock and never sleeps: the caller says what time it is (seconds on any
clock that only goes forward) and waits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.policy.pool.breaker import Breaker
from bench.policy.pool.budget import Budget
from bench.policy.pool.changes import Changes
from bench.policy.pool.health import NEEDED
from bench.policy.pool.quota import Quota, how_long
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

    from bench.errors import ErrorType
    from bench.policy.pool.rates import Charge
    from bench.policy.pool.values import Change

#: Failures that tell about the server. All others tell about the request, or about this side of the line.
SERVERS_FAULT: Final[frozenset[ErrorType]] = frozenset(
    {
        "connect",
        "dns",
        "tls",
        "timeout_connect",
        "timeout_ttft",
        "timeout_idle",
        "timeout_total",
        "stream_reset",
        "truncated",
        "bad_sse",
        "bad_content_type",
        "error_in_200",
        "empty",
        "not_found",
        "server_error",
    }
)

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
        self._now_s = 0.0
        self._changes = Changes()
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
        self._now_s = now_s
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
        route, (_, tokens) = self._taken_back(now_s, grant)
        if outcome.tokens is not None:
            route.quota.tokens.correct(tokens, outcome.tokens)
        self._learn(now_s, route, outcome)
        if outcome.status == "ok":
            self._succeeded(now_s, route, grant.number, outcome)
        elif outcome.status == "failed" and outcome.error_type == "rate_limited":
            self._refused(now_s, route, grant.number, outcome)
        elif outcome.status == "failed" and outcome.error_type == "auth":
            self._key_failed(now_s, route, grant.number)
        elif outcome.status == "failed" and outcome.error_type in SERVERS_FAULT:
            self._server_failed(now_s, route, grant.number, outcome.error_type)
        else:
            route.server.said_nothing(grant.number)
            route.key.said_nothing(grant.number)

    def unused(self, now_s: float, grant: Grant) -> None:
        """Take a grant back whose call was never made: it costs nothing and says nothing.

        Raises:
            ValueError: As `back`.
        """
        route, (request, tokens) = self._taken_back(now_s, grant)
        route.calls -= 1
        route.quota.requests.correct(request, 0)
        route.quota.tokens.correct(tokens, 0)
        route.server.said_nothing(grant.number)
        route.key.said_nothing(grant.number)

    def hedge_delay_s(self, route: int) -> float | None:
        """Return after how long a call over a route is slow: the 95 % point of its latencies; None for too few."""
        return self._routes[route].latencies.percentile(self._now_s, 0.95, NEEDED)

    def may_hedge(self, now_s: float) -> bool:
        """Take an extra call of a race out of the budget; False without one, or without a second provider to ask."""
        ready = {route.info.provider for route in self._routes if route.opens_s(now_s, 0) <= now_s}
        return len(ready) > 1 and self._hedges.take()

    def not_hedged(self) -> None:
        """Put an extra call that was not made back into the budget."""
        self._hedges.put_back()

    def may_retry(self, error_type: ErrorType | None = None) -> bool:
        """Take a retry out of the budget; False without one. After a 429 it is free: pauses keep those back."""
        return error_type == "rate_limited" or self._retries.take()

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
        return self._changes.take()

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
            if route.in_flight >= route.limit:
                continue
            if opens_s > now_s:
                soonest_s = min(soonest_s, opens_s)
                continue
            rank = route.rank(now_s)
            if best_rank is None or rank < best_rank:
                best, best_rank = route, rank
        return best, soonest_s, is_near

    def _taken_back(self, now_s: float, grant: Grant) -> tuple[Route, tuple[Charge, Charge]]:
        self._now_s = now_s
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
        route.in_flight += 1
        route.calls += 1
        route.last_number = number
        route.last_used_s = now_s
        if route.adaptive is not None:
            route.adaptive.began(route.in_flight)
        route.server.granted(number)
        route.key.granted(number)
        self._retries.add_call()
        self._hedges.add_call()
        return Grant(route.place, number, now_s, tokens)

    def _learn(self, now_s: float, route: Route, outcome: Outcome) -> None:
        for what, before, after in route.quota.learn(now_s, outcome):
            self._changes.add(
                now_s, [route], "rate", f"the server allows {after:g} {what} a minute", before=before, after=after
            )

    def _succeeded(self, now_s: float, route: Route, number: int, outcome: Outcome) -> None:
        route.successes.add(now_s, ok=True)
        route.latencies.add(now_s, outcome.latency_s)
        if outcome.ttft_s is not None:
            route.ttfts.add(now_s, outcome.ttft_s)
        route.quota.accepted(number)
        if route.server.succeeded(number):
            self._changes.add(now_s, self._siblings(route), "revived", f"{route.info.provider} answers again")
        if route.key.succeeded(number):
            self._changes.add(now_s, [route], "revived", f"{route.name} is accepted again")
        if route.adaptive is None or outcome.retried:
            return
        step = route.adaptive.accepted(number, route.in_flight)
        if step is not None:
            self._changes.add(now_s, [route], "limit", step.reason, before=step.before, after=step.after)

    def _refused(self, now_s: float, route: Route, number: int, outcome: Outcome) -> None:
        route.server.said_nothing(number)
        route.key.said_nothing(number)
        step = None
        if route.adaptive is not None:
            median_s = route.latencies.percentile(now_s, 0.5)
            step = route.adaptive.refused(now_s, number, self._number, median_s)
        if step is not None:
            self._changes.add(now_s, [route], "limit", step.reason, before=step.before, after=step.after)
        pause_s = route.quota.refused(now_s, number, self._number, outcome, was_cut=step is not None)
        if pause_s > 0:
            sharing = [other for other in self._routes if other.quota is route.quota]
            words = how_long(outcome.retry_after_s, pause_s)
            self._changes.add(now_s, sharing, "cooldown", f"the server refused a call (429), {words}", after=pause_s)

    def _key_failed(self, now_s: float, route: Route, number: int) -> None:
        route.successes.add(now_s, ok=False)
        route.server.said_nothing(number)
        was_dead = route.key.until_s is not None
        rest_s = route.key.failed(now_s, number, self._number)
        if rest_s is not None and not was_dead:
            reason = f"{route.name} is not accepted (401 or 403): check it; it is left alone for {rest_s:g} s"
            self._changes.add(now_s, [route], "dead", reason, after=rest_s)

    def _server_failed(self, now_s: float, route: Route, number: int, error_type: ErrorType) -> None:
        route.successes.add(now_s, ok=False)
        route.key.said_nothing(number)
        others = (other for other in self._routes if other.server is not route.server)
        has_others = any(other.opens_s(now_s, 0) <= now_s for other in others)
        rest_s = route.server.failed(now_s, number, self._number, has_others=has_others)
        if rest_s is not None:
            reason = f"{route.info.provider} failed {route.server.in_row} times in a row, or too often: {error_type}"
            self._changes.add(now_s, self._siblings(route), "rest", reason, after=rest_s)

    def _siblings(self, route: Route) -> list[Route]:
        return [other for other in self._routes if other.server is route.server]

    def _why_never(self) -> str:
        names = ", ".join(route.name for route in self._routes)
        return f"no key is accepted any more (401 or 403): {names}"
