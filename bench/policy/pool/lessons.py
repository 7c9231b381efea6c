"""What the end of a call teaches about its route, and about the provider and the quota behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.errors import SERVERS_FAULT
from bench.policy.pool.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.policy.pool.breaker import Breaker
    from bench.policy.pool.route import Route
    from bench.policy.pool.values import Outcome
    from bench.records import RateLimits


class Ended(NamedTuple):
    """A call that ended: when, over which route, its number, that of the next call, and what came of it."""

    at_s: float
    route: Route
    number: int
    upcoming: int
    outcome: Outcome


class Lessons:
    """Tells each part of a pool what came of a call, and notes what is different from then on.

    Args:
        routes: All routes of the pool.

    Attributes:
        changes: What has changed about them.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self.changes = Changes()

    def take(self, ended: Ended) -> None:
        """Learn from a call; it is no longer under way."""
        outcome, route = ended.outcome, ended.route
        if outcome.said is not None:
            self._told(ended, outcome.said)
        if outcome.status == "ok":
            self._answered(ended)
        elif outcome.status == "failed" and outcome.error_type == "rate_limited":
            self._refused(ended)
        elif outcome.status == "failed" and outcome.error_type == "auth":
            self._key_failed(ended)
        elif outcome.status == "failed" and outcome.error_type in SERVERS_FAULT:
            self._server_failed(ended)
        else:
            route.said_nothing(ended.number)
            if outcome.beaten:
                route.beaten(ended.at_s, outcome.latency_s)

    def _told(self, ended: Ended, said: RateLimits) -> None:
        for kind, before, after in ended.route.quota.learn(ended.at_s, said):
            reason = f"the server allows {after:,.10g} {kind.removesuffix('_per_min')} a minute"
            self.changes.add(ended.at_s, self._sharing(ended.route), kind, reason, before=before, after=after)

    def _answered(self, ended: Ended) -> None:
        at_s, route, number, _, outcome = ended
        route.answered(at_s, outcome.latency_s, outcome.ttft_s)
        route.quota.accepted(number)
        if route.server.succeeded(number):
            self.changes.add(at_s, self._siblings(route), "revived", f"{route.info.provider} answers again")
        if route.key.succeeded(number):
            self.changes.add(at_s, [route], "revived", f"{route.name} is accepted again")
        step = None if outcome.retried else route.at_once.accepted(at_s, number, route.in_flight)
        if step is not None:
            self.changes.add(at_s, [route], "limit", step.reason, before=step.before, after=step.after)

    def _refused(self, ended: Ended) -> None:
        at_s, route, number, upcoming, outcome = ended
        route.said_nothing(number)
        median_s = route.latencies.percentile(at_s, 0.5)
        step = route.at_once.refused(at_s, number, upcoming, in_flight=route.in_flight, median_s=median_s)
        if step is not None:
            self.changes.add(at_s, [route], "limit", step.reason, before=step.before, after=step.after)
        pause = route.quota.refused(at_s, number, upcoming, outcome, is_alone=not route.in_flight)
        if pause is not None:
            self.changes.add(at_s, self._sharing(route), "cooldown", pause.reason, after=pause.length_s)

    def _key_failed(self, ended: Ended) -> None:
        at_s, route, number, upcoming, _ = ended
        route.successes.add(at_s, ok=False)
        route.server.said_nothing(number)
        was_dead = route.key.until_s is not None
        rest_s = route.key.failed(at_s, number, upcoming)
        if rest_s is not None and not was_dead:
            reason = f"{route.name} is not accepted (401 or 403): check it; it is left alone for {rest_s:g} s"
            self.changes.add(at_s, [route], "dead", reason, after=rest_s)

    def _server_failed(self, ended: Ended) -> None:
        at_s, route, number, upcoming, outcome = ended
        route.successes.add(at_s, ok=False)
        route.key.said_nothing(number)
        others = (other for other in self._routes if other.server is not route.server)
        has_others = any(other.opens_s(at_s, 0) <= at_s for other in others)
        was_resting = route.server.until_s is not None
        rest_s = route.server.failed(at_s, number, upcoming, has_others=has_others)
        if rest_s is not None:
            how = "still fails" if was_resting else _how(route.server)
            reason = f"{route.info.provider} {how}: {outcome.error_type}"
            self.changes.add(at_s, self._siblings(route), "rest", reason, after=rest_s)

    def _sharing(self, route: Route) -> list[Route]:
        return [other for other in self._routes if other.quota is route.quota]

    def _siblings(self, route: Route) -> list[Route]:
        return [other for other in self._routes if other.server is route.server]


def _how(server: Breaker) -> str:
    """Say how a server failed that is to rest for the first time."""
    return f"failed {server.in_row} times in a row" if server.in_row >= server.failures else "failed too often"
