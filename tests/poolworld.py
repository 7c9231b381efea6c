"""A world in simulated time around a pool: lanes that ask for calls, and servers that answer or refuse them."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.policy.pool import Grant, Never, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.policy.pool import Change, Pool

#: How long a server takes to refuse.
REFUSAL_S = 0.005


@dataclass
class Server:
    """What answers the calls of one route.

    Attributes:
        latency_s: The shortest and the longest time for an answer.
        at_once: How many calls it takes at once, at a given time.
        per_min: How many calls it takes in any sliding minute.
        fails: What a call fails with, drawn for each; None for success.
        retry_after_s: What a refusal asks for.
        jitter_s: The longest that a call takes to arrive.
    """

    latency_s: tuple[float, float] = (0.2, 1.0)
    at_once: Callable[[float], int] = lambda _now_s: 1_000_000
    per_min: int | None = None
    fails: Callable[[float, random.Random], str | None] = lambda _now_s, _rng: None
    retry_after_s: float | None = None
    jitter_s: float = 0.0
    in_flight: int = 0
    arrived_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    served_s: list[float] = field(default_factory=list)

    def is_spent(self, now_s: float) -> bool:
        """Whether so many calls were taken in the last minute as it takes."""
        if self.per_min is None or len(self.served_s) < self.per_min:
            return False
        return self.served_s[-self.per_min] > now_s - 60


class World:
    """A pool, its servers, and lanes that always have a further task.

    Args:
        pool: The pool.
        servers: One for each of its routes.
        lanes: How many calls may be under way at once.
        seed: Of all chance.
    """

    def __init__(self, pool: Pool, servers: list[Server], lanes: int, seed: int = 1) -> None:
        self.pool = pool
        self.servers = servers
        self.now_s = 1000.0
        self.begin_s = self.now_s
        self.changes: list[Change] = []
        self.never: Never | None = None
        self._rng = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._idle = deque(range(lanes))
        self._wake_s = float("inf")

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        end_s = self.now_s + seconds
        self._serve()
        while self._events and self._events[0][0] <= end_s:
            self.now_s, _, happen = heapq.heappop(self._events)
            happen()
            self._serve()
            self.changes += self.pool.take_changes()
        self.now_s = end_s

    def at(self, at_s: float, happen: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._count += 1
        heapq.heappush(self._events, (at_s, self._count, happen))

    def mean_limit(self, route: int, start: int, from_s: float, to_s: float) -> float:
        """Return the mean over time of a route's limit, which was `start` at first; times from the beginning on."""
        from_s, to_s = self.begin_s + from_s, self.begin_s + to_s
        limit, at_s, area = float(start), from_s, 0.0
        for change in self.changes:
            if change.route == route and change.kind == "limit" and change.after is not None:
                upto_s = min(max(change.at_s, from_s), to_s)
                area += limit * (upto_s - at_s)
                limit, at_s = change.after, upto_s
        return (area + limit * (to_s - at_s)) / (to_s - from_s)

    def share_refused(self, route: int, from_s: float, to_s: float) -> float:
        """Return the share of a server's calls that it refused between two times from the beginning on."""
        server = self.servers[route]
        refused, all_calls = (
            sum(self.begin_s + from_s <= at_s < self.begin_s + to_s for at_s in instants)
            for instants in (server.refused_s, server.arrived_s)
        )
        return refused / all_calls

    def _serve(self) -> None:
        while self._idle and self.never is None:
            answer = self.pool.ask(self.now_s)
            if isinstance(answer, Grant):
                lane = self._idle.popleft()
                self._send(lane, answer)
            elif isinstance(answer, Never):
                self.never = answer
            else:
                if self.now_s < answer.until_s != self._wake_s and answer.until_s != float("inf"):
                    self._wake_s = answer.until_s
                    self.at(answer.until_s, lambda: None)
                return

    def _send(self, lane: int, grant: Grant) -> None:
        delay_s = self._rng.uniform(0, self.servers[grant.route].jitter_s)
        self.at(self.now_s + delay_s, lambda: self._arrive(lane, grant, self.now_s - delay_s))

    def _arrive(self, lane: int, grant: Grant, sent_s: float) -> None:
        server = self.servers[grant.route]
        server.arrived_s.append(self.now_s)
        error = server.fails(self.now_s, self._rng)
        if server.in_flight >= server.at_once(self.now_s) or server.is_spent(self.now_s):
            server.refused_s.append(self.now_s)
            error = "rate_limited"
        held = error != "rate_limited"
        if held:
            server.in_flight += 1
            server.served_s.append(self.now_s)
        latency_s = REFUSAL_S if error else self._rng.uniform(*server.latency_s)
        self.at(self.now_s + latency_s, lambda: self._answer(lane, grant, sent_s, error, held=held))

    def _answer(self, lane: int, grant: Grant, sent_s: float, error: str | None, *, held: bool) -> None:
        server = self.servers[grant.route]
        server.in_flight -= held
        outcome = Outcome(
            status="failed" if error else "ok",
            error_type=error,  # type: ignore[arg-type] # a test draws from the closed list
            latency_s=self.now_s - sent_s,
            retry_after_s=server.retry_after_s if error == "rate_limited" else None,
        )
        self.pool.back(self.now_s, grant, outcome)
        self._idle.append(lane)
