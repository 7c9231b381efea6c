"""One route of a pool: what is known of it, and how it compares with the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

from bench.policy.pool.adaptive import AdaptiveLimit
from bench.policy.pool.breaker import Breaker
from bench.policy.pool.health import NEEDED, Recent, Successes
from bench.policy.pool.values import RouteState

if TYPE_CHECKING:
    from bench.policy.pool.quota import Quota
    from bench.policy.pool.values import PoolSettings, RouteInfo

#: A key that stays refused is tried again after ever longer, up to so many times the first rest.
LONGEST_DEAD: Final = 8

#: Success rates are compared in tenths: a finer order would send every call to whichever is ahead by one call.
RATE_STEPS: Final = 10

#: Of fewer calls nobody can say how quick a route is, for the first one may have made a connection.
PACE_NEEDED: Final = 3

#: A call that was given up for another one's answer would have taken longer, nobody knows by how much: it counts as
#: one that takes so many times as long as it had, which is another pace.
BEATEN_TIMES: Final = 2

#: A place in the order of choice, the smallest first: False where a rest is over and one call is to find out whether
#: the route is back; its provider's recent failures in a row; the tenths of its calls that are expected to fail; its
#: pace, if that counts; calls under way as a share of its limit; the number of its last grant, -1 if it was never used.
Rank: TypeAlias = tuple[bool, int, int, float, float, int]


class Route:
    """A route and everything that decides whether it gets the next call.

    Args:
        place: In the pool.
        info: Whose it is and what it is allowed.
        settings: How the pool decides.
        quota: Shared with the routes of one quota.
        server: The breaker shared with the routes of one provider.
    """

    __slots__ = (
        "_by_pace", "_is_cold", "_paces", "at_once", "calls", "in_flight", "info", "key", "last_number", "last_used_s",
        "latencies", "place", "quota", "server", "successes", "ttfts",
    )  # fmt: skip

    def __init__(self, place: int, info: RouteInfo, settings: PoolSettings, quota: Quota, server: Breaker) -> None:
        self.place = place
        self.info = info
        self.quota = quota
        self.server = server
        self.key = Breaker(failures=1, first_s=settings.dead_s, cap_s=LONGEST_DEAD * settings.dead_s)
        bound = min(settings.ceiling, info.limits.in_flight or settings.ceiling)
        self.at_once = AdaptiveLimit(
            start=settings.start, floor=settings.floor if settings.adaptive else bound, ceiling=bound
        )
        self.calls = 0
        self.in_flight = 0
        self.last_number = -1
        self.last_used_s: float | None = None
        self.successes = Successes()
        self.latencies = Recent()
        self.ttfts = Recent()
        self._paces = Recent()
        self._by_pace = settings.by_pace
        self._is_cold = settings.warm_first

    @property
    def name(self) -> str:
        """Which key of whom, for messages."""
        return f"key {self.info.key + 1} of {self.info.provider}"

    def opens_s(self, now_s: float, tokens: int) -> float:
        """Return from when on it may be called, were there a place; infinity while it is being tried."""
        if self.server.until_s is None and self.key.until_s is None:
            return self.quota.ready_s(now_s, tokens)
        return max(self.server.ready_s(), self.key.ready_s(), self.quota.ready_s(now_s, tokens))

    def free_s(self) -> float:
        """Return from when on it has a place for one more call; infinity where another has to come back first."""
        return math.inf if self._is_cold and self.in_flight else self.at_once.free_s(self.in_flight)

    def granted(self, now_s: float, number: int) -> None:
        """Note that a call goes out."""
        self.in_flight += 1
        self.calls += 1
        self.last_number = number
        self.last_used_s = now_s
        self.at_once.began(self.in_flight)
        self.server.granted(number)
        self.key.granted(number)

    def said_nothing(self, number: int) -> None:
        """Note an outcome that says neither how the server is nor whether the key is accepted."""
        self.server.said_nothing(number)
        self.key.said_nothing(number)

    def answered(self, now_s: float, latency_s: float, ttft_s: float | None) -> None:
        """Note a success: how long it took, and to the first token."""
        self._is_cold = False
        self.successes.add(now_s, ok=True)
        self.latencies.add(now_s, latency_s)
        self._paces.add(now_s, latency_s)
        if ttft_s is not None:
            self.ttfts.add(now_s, ttft_s)

    def beaten(self, now_s: float, after_s: float) -> None:
        """Note a call that was given up after so long, because another route had the answer."""
        self._paces.add(now_s, BEATEN_TIMES * after_s)

    def rank(self, now_s: float) -> Rank:
        """Return its place in the order of choice."""
        server = self.server
        return (
            server.until_s is None and self.key.until_s is None,
            server.recent_failures(now_s) if server.in_row else 0,
            round(RATE_STEPS * self.successes.fear(now_s)),
            self._pace(now_s) if self._by_pace else 0.0,
            self.in_flight / self.at_once.limit,
            self.last_number,
        )

    def is_dead(self, now_s: float) -> bool:
        """Whether its key was not accepted, and is not due to be tried again."""
        return self.key.until_s is not None and self.key.ready_s() > now_s

    def state(self, now_s: float) -> RouteState:
        """Return what is known of it now."""
        until_s, reason = self._pause(now_s)
        requests, tokens = self.quota.requests.per_min, self.quota.tokens.per_min
        return RouteState(
            route=self.place,
            provider=self.info.provider,
            key=self.info.key,
            calls=self.calls,
            in_flight=self.in_flight,
            limit=self.at_once.limit,
            success_share=self.successes.share(),
            failures_in_row=self.server.in_row,
            latency_p50_s=self.latencies.percentile(now_s, 0.5),
            latency_p95_s=self.latencies.percentile(now_s, 0.95, NEEDED),
            ttft_p50_s=self.ttfts.percentile(now_s, 0.5),
            last_used_s=self.last_used_s,
            requests_per_min=None if math.isinf(requests) else requests,
            tokens_per_min=None if math.isinf(tokens) else tokens,
            pause_until_s=until_s,
            pause_reason=reason,
            is_dead=self.key.until_s is not None,
        )

    def _pace(self, now_s: float) -> float:
        """Return how long its calls take, in doublings, so that those alike share the load; the unknown is tried."""
        median_s = self._paces.percentile(now_s, 0.5, PACE_NEEDED)
        return round(math.log2(median_s)) if median_s else -math.inf

    def _pause(self, now_s: float) -> tuple[float | None, str]:
        if self.key.until_s is not None:
            return self.key.until_s, "its key was not accepted"
        if self.server.until_s is not None:
            return self.server.until_s, f"{self.server.in_row} failures in a row"
        if self.quota.until_s > now_s:
            return self.quota.until_s, "the server refused a call (429)"
        return None, ""
