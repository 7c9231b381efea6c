"""What goes into a pool of routes and what comes out of it: plain values."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.errors import ErrorType
from bench.providers import RouteLimits
from bench.records import RateLimits

#: What a quota bounds in a minute.
RateKind = Literal["requests_per_min", "tokens_per_min"]

#: What a change of a pool is about: calls under way, a rate of the quota, a pause asked for by 429, a key that is not
#: accepted, a pause after failures, and the first success after either of the last two.
ChangeKind = Literal["limit", "cooldown", "dead", "rest", "revived"] | RateKind


class RouteInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A route as the pool sees it.

    Attributes:
        provider: Its name; the routes of one name fail together.
        key: Which of the provider's keys, from 0; never the key.
        limits: What it is allowed.

    Raises:
        ValueError: A limit that leaves no call.
    """

    provider: str
    key: int = 0
    limits: RouteLimits = RouteLimits()

    def __post_init__(self) -> None:
        """Refuse limits that leave no call."""
        limits = self.limits
        bounds = (limits.in_flight, limits.requests_per_min, limits.tokens_per_min)
        if any(bound is not None and bound <= 0 for bound in bounds):
            msg = f"the limits of a route are above 0 or not given, got {limits} for {self.provider}"
            raise ValueError(msg)


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a pool decides.

    Attributes:
        ceiling: The most calls under way on one route: the run's own bound, at least 1.
        floor: The fewest that a route is lowered to.
        adaptive: Whether calls under way follow what the server accepts; otherwise they are bounded by `ceiling` and
            the route's own `in_flight` alone.
        start: Calls under way on a route at its beginning, if adaptive.
        failures: A provider rests after so many failures in a row.
        cooldown_s: Its first rest; each further one is twice as long.
        cooldown_cap_s: The longest rest, of a provider or after a 429 without Retry-After.
        refusal_s: The first pause after a 429 without Retry-After; each further one is twice as long.
        dead_s: How long a key that was not accepted is left alone.
        patience_s: How long a call waits for another provider before it goes back to one that failed it.
        jitter_s: By how much the time between two calls may shrink on the way to the server.
        retry_share: The largest share of all calls that may be retries.
        hedge_share: The largest share of all calls that may be extra calls of a race.
        by_pace: Whether of two healthy routes the quicker one comes before the one with less load.
        warm_first: Whether a route's first call is made alone, until one has succeeded.

    Raises:
        ValueError: Bounds that leave no call.
    """

    ceiling: int
    floor: int = 1
    adaptive: bool = True
    start: int = 8
    failures: int = 5
    cooldown_s: float = 5.0
    cooldown_cap_s: float = 120.0
    refusal_s: float = 0.5
    dead_s: float = 600.0
    patience_s: float = 2.0
    jitter_s: float = 0.6
    retry_share: float = 0.2
    hedge_share: float = 0.1
    by_pace: bool = False
    warm_first: bool = False

    def __post_init__(self) -> None:
        """Refuse bounds that leave no call."""
        if not 1 <= self.floor <= self.ceiling:
            msg = f"a limit lies between a floor of at least 1 and its ceiling, got {self.floor} and {self.ceiling}"
            raise ValueError(msg)


class Grant(msgspec.Struct, frozen=True, gc=False):
    """Leave to make one call; it comes back to the pool once, with what came of the call.

    Attributes:
        route: Over which route, by its place in the pool.
        number: Of the grant, from 0 in the order they were given.
        at_s: When it was given.
        tokens: How many were charged for it.
    """

    route: int
    number: int
    at_s: float
    tokens: int


class Wait(msgspec.Struct, frozen=True, gc=False):
    """No call now, and none before `until_s`; infinity where the return of another call has to come first."""

    until_s: float


class Never(msgspec.Struct, frozen=True, gc=False):
    """No call at all, and why in words."""

    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came of one call; None where the server said nothing or nothing was measured.

    Attributes:
        status: `cancelled` says nothing about the server (a race's loser, a run that is stopped).
        error_type: Why it failed.
        retry_after_s: What the server asked to wait.
        latency_s: From the grant's use to the end of the call.
        ttft_s: To the first token.
        tokens: Tokens of prompt and answer together, as the server counts them.
        retried: Whether the call followed a 429 of the same task: its success does not raise a limit.
        beaten: Whether the call was the first of a race, and was given up because another one had the answer.
        said: What the server says of its limits.
    """

    status: Literal["ok", "failed", "cancelled"]
    latency_s: float
    error_type: ErrorType | None = None
    retry_after_s: float | None = None
    ttft_s: float | None = None
    tokens: int | None = None
    retried: bool = False
    beaten: bool = False
    said: RateLimits | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something about a route that is different from now on, and why.

    Attributes:
        at_s: When.
        route: The route's place in the pool.
        kind: What is different.
        before: The limit (calls under way) or the rate (a minute) until then; None for pauses and what was not known.
        after: The limit or the rate from then on; the length of a pause in seconds; None where a route is back.
        reason: Why, in words.
    """

    at_s: float
    route: int
    kind: ChangeKind
    before: float | None
    after: float | None
    reason: str


class RouteState(msgspec.Struct, frozen=True, kw_only=True):
    """A route at one moment; what was not measured is None.

    Attributes:
        route: Its place in the pool.
        provider: Its provider's name.
        key: Which of the provider's keys.
        calls: Calls granted since the beginning.
        in_flight: Calls under way.
        limit: The most calls under way that it has now.
        success_share: Of its recent calls, where the older count less.
        failures_in_row: Of its provider.
        latency_p50_s: Median of its recent successes.
        latency_p95_s: The same at 95 %.
        ttft_p50_s: Median time to the first token of its recent successes.
        last_used_s: When its last call was granted.
        requests_per_min: The bound that its quota keeps to, given or learnt.
        tokens_per_min: The same in tokens.
        pause_until_s: Until when it gets no calls (or no more than one to try it).
        pause_reason: Why, in words; empty without a pause.
        is_dead: Whether its key was not accepted.
    """

    route: int
    provider: str
    key: int
    calls: int
    in_flight: int
    limit: int
    success_share: float | None
    failures_in_row: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    ttft_p50_s: float | None
    last_used_s: float | None
    requests_per_min: float | None
    tokens_per_min: float | None
    pause_until_s: float | None
    pause_reason: str
    is_dead: bool
