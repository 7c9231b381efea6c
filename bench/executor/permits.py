"""Over which route an attempt of a task goes, and over which other one as well where several race for its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.clock import NS_PER_S
from bench.executor.answers import estimated_tokens, outcome_of
from bench.policy.pool import Grant
from bench.summary.races import is_beaten
from bench.worker.spec import Rival

if TYPE_CHECKING:
    from bench.executor.known import Waiting
    from bench.policy.pool import Never, Pool, Wait
    from bench.records import TaskResult
    from bench.worker import Assignment, WorkerSpec


class Permits:
    """Asks the pool for what attempts need, and tells it what came of them. Not thread-safe.

    Args:
        pool: The routes, and which of them may be used.
        spec: What the workers share.
        race: Whether a call that takes long is made elsewhere as well.
        hedge_delay_s: How long such a call is waited for; None for what its provider usually takes.
    """

    def __init__(self, pool: Pool, spec: WorkerSpec, *, race: bool, hedge_delay_s: float | None) -> None:
        self._pool = pool
        self._race = race
        self._hedge_delay_s = hedge_delay_s
        self._providers = [endpoint.provider for endpoint in spec.endpoints]
        self._route_of = {(endpoint.provider, endpoint.key): n for n, endpoint in enumerate(spec.endpoints)}

    def __repr__(self) -> str:
        """Show whose routes there are."""
        return f"<Permits {self._providers}>"

    def ask(self, waiting: Waiting, now_ns: int) -> Assignment | Wait | Never:
        """Return a task with the routes of its next attempt, or what the pool says instead."""
        now_s, tokens = now_ns / NS_PER_S, estimated_tokens(waiting.assignment.task)
        grant = self._pool.ask(now_s, tokens=tokens, exclude=waiting.failed_on)
        if not isinstance(grant, Grant):
            return grant
        waiting.grants = [grant]
        rivals: tuple[Rival, ...] = ()
        if self._race and (rival := self._rival(grant, tokens, now_s)) is not None:
            rivals = (rival[0],)
            waiting.grants.append(rival[1])
        return msgspec.structs.replace(waiting.assignment, route=grant.route, rivals=rivals)

    def back(self, waiting: Waiting, ended: TaskResult, now_ns: int) -> None:
        """Tell the pool what came of each call that was granted; one that was not made cost nothing."""
        now_s = now_ns / NS_PER_S
        prior = waiting.assignment.prior
        made = {self._route_of[each.provider, each.key]: each for each in ended.attempts[len(prior) :]}
        retried = any(each.error_type == "rate_limited" for each in prior)
        for place, grant in enumerate(waiting.grants):
            is_first = place == 0
            attempt = made.get(grant.route)
            if attempt is not None:
                decided = ended if attempt is ended.attempts[-1] else None
                beaten = is_first and is_beaten(attempt, ended.status)
                self._pool.back(now_s, grant, outcome_of(attempt, decided, retried=retried, beaten=beaten))
                continue
            self._pool.unused(grant)
            if not is_first:
                self._pool.not_hedged()
        waiting.grants = []

    def _rival(self, first: Grant, tokens: int, now_s: float) -> tuple[Rival, Grant] | None:
        """Return who else is asked if the first one takes long, if anybody may be."""
        if not self._pool.may_hedge(now_s):
            return None
        second = self._pool.ask(now_s, tokens=tokens, exclude={self._providers[first.route]})
        if not isinstance(second, Grant):
            self._pool.not_hedged()
            return None
        if self._providers[second.route] == self._providers[first.route]:
            self._pool.unused(second)
            self._pool.not_hedged()
            return None
        delay_s = self._hedge_delay_s
        if delay_s is None:
            # Of a provider that is not known yet nobody can say when it takes long.
            delay_s = self._pool.hedge_delay_s(now_s, first.route) or 0.0
        return Rival(second.route, delay_s), second
