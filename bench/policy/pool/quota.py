"""What routes share that draw on one quota: rates, and the pauses that a 429 asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from bench.policy.pool.breaker import growing_s
from bench.policy.pool.rates import MINUTE_S, Charge, Meter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.policy.pool.values import Outcome, PoolSettings, RateKind
    from bench.providers import RouteLimits
    from bench.records import RateLimits


class Pause(NamedTuple):
    """For how many seconds nothing goes out, and why."""

    length_s: float
    reason: str


class Learnt(NamedTuple):
    """A rate that is another from now on; before it was unknown or given, or had been learnt."""

    kind: RateKind
    before: float | None
    after: float


class Quota:
    """One quota: the requests and tokens a minute, and until when it is exhausted.

    Args:
        settings: How pauses grow, and how far apart calls are kept.
        routes: What each of its routes is allowed; the tightest holds.
    """

    __slots__ = ("_cap_s", "_first_s", "_refusals", "_since", "requests", "tokens", "until_s")

    def __init__(self, settings: PoolSettings, routes: list[RouteLimits]) -> None:
        self.requests = Meter(_tightest(limits.requests_per_min for limits in routes), settings.jitter_s)
        self.tokens = Meter(_tightest(limits.tokens_per_min for limits in routes), settings.jitter_s)
        self.until_s = -math.inf
        self._first_s = settings.refusal_s
        self._cap_s = settings.cooldown_cap_s
        self._refusals = 0
        self._since = 0

    def ready_s(self, now_s: float, tokens: int) -> float:
        """Return from when on a call of so many tokens may be made; not after `now_s` where it may be now."""
        ready_s = self.until_s
        # Every call asks this of every route, and most know no bound.
        if self.requests.is_bound:
            ready_s = max(ready_s, self.requests.ready_s(now_s, 1))
        if self.tokens.is_bound:
            ready_s = max(ready_s, self.tokens.ready_s(now_s, tokens))
        return ready_s

    def spend(self, now_s: float, tokens: int) -> tuple[Charge, Charge]:
        """Count a call; return what was charged for it in requests and in tokens, to be corrected later."""
        return self.requests.spend(now_s, 1), self.tokens.spend(now_s, tokens)

    def accepted(self, number: int) -> None:
        """Note a success: the next pause is a first one, if the call began after the last refusal."""
        if number >= self._since:
            self._refusals = 0

    def refused(self, now_s: float, number: int, upcoming: int, outcome: Outcome, *, is_alone: bool) -> Pause | None:
        """Note a 429 and return the pause that follows from now on, if one does.

        The server's own figure decides. Where it took no other call beside the one that it refused, fewer at once would
        not help: without a figure, or once it was kept to in vain, the pause is a first one and then twice the one
        before. Calls from before such a refusal say nothing new, but for what they ask for.

        Args:
            now_s: Now.
            number: The call's.
            upcoming: The number that the next call will have.
            outcome: What came back.
            is_alone: Whether no other call was under way.
        """
        asked_s = _asked_s(outcome)
        pause_s = asked_s
        if is_alone and number >= self._since:
            self._since = upcoming
            self._refusals += 1
            if self._refusals > 1 or not asked_s:
                pause_s = max(asked_s, growing_s(self._first_s, self._refusals, self._cap_s))
        if now_s + pause_s <= max(now_s, self.until_s):
            return None
        self.until_s = now_s + pause_s
        return Pause(pause_s, f"the server refused a call (429), {_how_long(asked_s, pause_s)}")

    def learn(self, now_s: float, said: RateLimits) -> list[Learnt]:
        """Take over what the server says about its limits; return what is new."""
        learnt: list[Learnt] = []
        of_requests = self.requests, said.limit_requests, said.remaining_requests, said.reset_requests_s
        of_tokens = self.tokens, said.limit_tokens, said.remaining_tokens, said.reset_tokens_s
        kinds: tuple[RateKind, RateKind] = ("requests_per_min", "tokens_per_min")
        for kind, (meter, per_min, left, reset_s) in zip(kinds, (of_requests, of_tokens), strict=True):
            # A quota of a minute is whole again within one: what takes longer is another one, of a day for instance.
            if per_min is not None and per_min > 0 and per_min != meter.per_min and (reset_s or 0) <= MINUTE_S:
                learnt.append(Learnt(kind, meter.per_min if meter.is_bound else None, per_min))
                meter.bound(per_min)
            if left is not None and left < 1 and reset_s is not None:
                meter.hold(now_s, reset_s)
        return learnt


def _asked_s(outcome: Outcome) -> float:
    """Return what a refusal asks to wait, 0 for nothing: Retry-After, else until what is used up is whole again."""
    if outcome.retry_after_s is not None or outcome.said is None:
        return outcome.retry_after_s or 0.0
    said = outcome.said
    resets = [
        reset_s
        for left, reset_s in (
            (said.remaining_requests, said.reset_requests_s),
            (said.remaining_tokens, said.reset_tokens_s),
        )
        if left is not None and left < 1 and reset_s is not None
    ]
    return max(resets, default=0.0)


def _tightest(bounds: Iterable[float | None]) -> float:
    return min((bound for bound in bounds if bound is not None), default=math.inf)


def _how_long(asked_s: float, pause_s: float) -> str:
    """Say how long a pause after a refusal is, against what the server asked for."""
    if not asked_s:
        return "without saying for how long"
    return "as it asked" if pause_s <= asked_s else f"again, though it was left alone for the {asked_s:g} s it asked"
