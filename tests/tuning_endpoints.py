"""Endpoints that exist in numbers alone: a closed loop of N slots against places, limits and chance, as a probe."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bench.tuning.answer import next_step
from bench.tuning.records import Answer, Held, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.tuning.asking import Ask
    from bench.tuning.records import Goal

#: How long a refusal takes.
REFUSAL_S = 1e-3


class Served(NamedTuple):
    """A request that is over: when it ended and began, its slot, and whether it was refused."""

    ended_s: float
    begun_s: float
    slot: int
    refused: bool = False

    @property
    def latency_s(self) -> float:
        """From its beginning to its end."""
        return self.ended_s - self.begun_s


class _Places:
    """The places of an endpoint during one probe."""

    def __init__(self, endpoint: SyntheticEndpoint) -> None:
        self._endpoint = endpoint
        self._chance = random.Random(endpoint.seed)
        self._taken = 0
        self._waiting: deque[tuple[int, float]] = deque()
        self.under_way: list[Served] = []

    def come(self, slot: int, now_s: float) -> None:
        """Take a request in, let it wait, or refuse it."""
        limit = self._endpoint.limit
        if limit is not None and self._taken + len(self._waiting) >= limit:
            heapq.heappush(self.under_way, Served(now_s + REFUSAL_S, now_s, slot, refused=True))
        elif self._taken < self._endpoint.places:
            self._begin(slot, now_s, now_s)
        else:
            self._waiting.append((slot, now_s))

    def next_over(self) -> Served:
        """End the request that is over next, and begin with one that waits for its place."""
        over = heapq.heappop(self.under_way)
        self._taken -= not over.refused
        if self._waiting and not over.refused:
            self._begin(*self._waiting.popleft(), over.ended_s)
        return over

    def _begin(self, slot: int, came_s: float, now_s: float) -> None:
        endpoint = self._endpoint
        chance = 1 + endpoint.jitter * self._chance.uniform(-1, 1)
        slower = 1 + endpoint.slowing * self._taken / endpoint.places
        self._taken += 1
        heapq.heappush(self.under_way, Served(now_s + endpoint.service_s * chance * slower, came_s, slot))


@dataclass
class SyntheticEndpoint:
    """`places` requests are worked on at once, each for `service_s` with a uniform spread; the rest wait in order.

    More than `limit` at once are refused. With `slowing` each request takes the longer the more places are taken. A
    success counts as good within `good_within_s`; `p95_within_s` is an objective on the 95th percentile. More than
    `holds` in flight the machine of the client cannot hold. `cpu_us` is what a task costs the client, by mode.
    """

    places: int
    service_s: float = 0.2
    jitter: float = 0.0
    limit: int | None = None
    slowing: float = 0.0
    good_within_s: float = math.inf
    p95_within_s: float | None = None
    holds: int = 100_000
    cpu_us: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    probes: list[Probe] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Requests that were sent."""
        return sum(probe.requests for probe in self.probes)

    def tune(self, goal: Goal) -> Answer:
        """Answer probes until there is an answer."""
        while not isinstance(step := next_step(self.probes, goal), Answer):
            self.probes.append(self.probe(step))
        return step

    def probe(self, ask: Ask) -> Probe:
        """Answer a probe."""
        self.seed += 1
        if ask.concurrency > self.holds:
            return Probe(mode=ask.mode, concurrency=ask.concurrency, purpose=ask.purpose, error="too many open files")
        inside, span_s, steady = _inside(self._served(ask.concurrency, ask.requests), ask.concurrency)
        latencies = [one.latency_s for one, _ in inside if not one.refused]
        return Probe(
            mode=ask.mode,
            concurrency=ask.concurrency,
            purpose=ask.purpose,
            requests=ask.requests,
            run=f"run-{self.seed}",
            steady=steady,
            throughput_per_s=sum(share for one, share in inside if not one.refused) / span_s,
            goodput_per_s=sum(share for one, share in inside if self._is_good(one)) / span_s,
            attempted=len(inside),
            attained=sum(self._is_good(one) for one, _ in inside),
            refused=sum(one.refused for one, _ in inside),
            latency_mean_s=statistics.fmean(latencies) if latencies else None,
            latency_sd_s=statistics.stdev(latencies) if len(latencies) > 1 else None,
            held=self._held(latencies),
            cpu_us_per_task=self.cpu_us.get(ask.mode, 100.0),
            peak_pss_mb=100.0,
        )

    def _held(self, latencies: Sequence[float]) -> tuple[Held, ...]:
        bound_s = self.p95_within_s
        if bound_s is None:
            return ()
        met = sum(latency < bound_s for latency in latencies)
        return (Held(objective=f"latency_p95<{bound_s:g}s", share=0.95, met=met, of=len(latencies)),)

    def _is_good(self, one: Served) -> bool:
        return not one.refused and one.latency_s < self.good_within_s

    def _served(self, n: int, requests: int) -> list[Served]:
        """Serve a closed loop of n slots until the requests are used up."""
        places = _Places(self)
        for slot in range(min(n, requests)):
            places.come(slot, slot * 1e-6)
        done: list[Served] = []
        while places.under_way:
            over = places.next_over()
            done.append(over)
            if n + len(done) <= requests:
                places.come(over.slot, over.ended_s)
        return done


def _inside(served: Sequence[Served], n: int) -> tuple[list[tuple[Served, float]], float, bool]:
    """Return the requests that count, each with the share of it in the steady part, and how long that is.

    The last value tells whether there is a steady part; without one all but each slot's first request count.
    """
    slots: dict[int, list[Served]] = {}
    for one in sorted(served, key=lambda one: one.begun_s):
        slots.setdefault(one.slot, []).append(one)
    begin_s = max(next((one.ended_s for one in done if not one.refused), math.inf) for done in slots.values())
    end_s = min(done[-1].ended_s for done in slots.values())
    if len(slots) < n or begin_s >= end_s:
        later = [one for done in slots.values() for one in done[1:]] or list(served)
        return [(one, 1.0) for one in later], sum(one.latency_s for one in later) / n, False
    shares = [(one, (min(one.ended_s, end_s) - max(one.begun_s, begin_s)) / one.latency_s) for one in served]
    return [(one, share) for one, share in shares if share > 0], end_s - begin_s, True
