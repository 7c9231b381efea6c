"""What went over each route of a run: a provider with one of its keys."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import ErrorType, JournalError
from bench.journal import MANIFEST, iter_last_results, iter_route_changes
from bench.policy.intervals import united
from bench.policy.statistics import distribution
from bench.records import Status
from bench.summary.figures import CallError, RouteRow
from bench.summary.races import hedges, is_beaten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.manifest import RunManifest
    from bench.records import RouteChange

#: Prices are of so many tokens.
_TOKENS_PER_PRICE: Final = 1_000_000


class RouteFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` says of a route; what is not known is None."""

    provider: str
    key: int = 0
    in_flight: int | None = None
    price_in: float | None = None
    price_out: float | None = None
    currency: str = ""


class _Call(msgspec.Struct, frozen=True, gc=False):
    """What is read of an attempt."""

    provider: str
    status: Status
    sent_s: float
    end_s: float
    key: int = 0
    http_status: int | None = None
    error_type: ErrorType | None = None
    wait_before_s: float = 0.0


class _Task(msgspec.Struct, frozen=True, gc=False):
    """What is read of a record."""

    status: Status
    attempts: tuple[_Call, ...]
    cached: bool
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass
class _Tally:
    """Counts of one route."""

    calls: int = 0
    ok: int = 0
    failed: int = 0
    beaten: int = 0
    beaten_s: float = 0.0
    beaten_prompt_tokens: int = 0
    cancelled: int = 0
    hedges: int = 0
    hedges_won: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    wait_s: float = 0.0
    last_ok_s: float = float("-inf")
    errors: Counter[tuple[ErrorType, int | None]] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))

    def add(self, call: _Call, task: _Task, *, is_hedge: bool) -> None:
        """Count a call in."""
        self.calls += 1
        self.wait_s += call.wait_before_s
        self.hedges += is_hedge
        if call.status == "ok":
            self._add_success(call, task, is_hedge=is_hedge)
        elif is_beaten(call, task.status):
            self.beaten += 1
            self.beaten_s += call.end_s - call.sent_s
            self.beaten_prompt_tokens += task.prompt_tokens or 0
        elif call.status == "cancelled":
            self.cancelled += 1
        else:
            self.failed += 1
            if call.error_type is not None:
                self.errors[call.error_type, call.http_status] += 1

    def _add_success(self, call: _Call, task: _Task, *, is_hedge: bool) -> None:
        self.ok += 1
        self.hedges_won += is_hedge
        self.latencies.append(call.end_s - call.sent_s)
        self.last_ok_s = max(self.last_ok_s, call.end_s)
        self.prompt_tokens += task.prompt_tokens or 0
        self.completion_tokens += task.completion_tokens or 0


def route_facts(run: Path, manifest: RunManifest) -> tuple[RouteFacts, ...]:
    """Return what the manifest says of the routes, in order; nothing of a run that measures.

    Raises:
        JournalError: It is damaged.
    """
    try:
        return msgspec.convert(manifest.routes, tuple[RouteFacts, ...])
    except msgspec.ValidationError as error:
        raise JournalError(f"{run / MANIFEST} is damaged: routes: {error}") from error


def route_figures(run: Path, manifest: RunManifest) -> tuple[RouteRow, ...]:
    """Count what went over each route, in the manifest's order; nothing of a run that measures.

    Memory is 8 bytes a successful call.

    Raises:
        JournalError: The records or the changes cannot be read, or are damaged.
    """
    facts = route_facts(run, manifest)
    if not facts:
        return ()
    # A damaged run may name others, which are left out.
    tallies = {(each.provider, each.key): _Tally() for each in facts}
    for task in iter_last_results(run, _Task):
        for call, is_hedge in zip(task.attempts, hedges(task.attempts), strict=True):
            tally = tallies.get((call.provider, call.key))
            if tally is not None:
                tally.add(call, task, is_hedge=is_hedge)
    changes = list(iter_route_changes(run))
    total = sum(tally.calls for tally in tallies.values())
    keys = Counter(each.provider for each in facts)
    return tuple(_row(each, tallies[each.provider, each.key], changes, total, keys[each.provider]) for each in facts)


def _row(facts: RouteFacts, tally: _Tally, changes: Sequence[RouteChange], total: int, keys: int) -> RouteRow:
    own = [change for change in changes if (change.provider, change.key) == (facts.provider, facts.key)]
    refused_s = max((change.at_s for change in own if change.kind == "dead"), default=float("-inf"))
    latency_s = distribution(tally.latencies)
    return RouteRow(
        provider=facts.provider,
        key=facts.key,
        keys=keys,
        calls=tally.calls,
        share=tally.calls / total if total else None,
        ok=tally.ok,
        failed=tally.failed,
        beaten=tally.beaten,
        beaten_s=tally.beaten_s,
        beaten_prompt_tokens=tally.beaten_prompt_tokens,
        cancelled=tally.cancelled,
        hedges=tally.hedges,
        hedges_won=tally.hedges_won,
        errors=tuple(
            CallError(type=kind, http_status=status, calls=calls)
            for (kind, status), calls in sorted(
                tally.errors.items(), key=lambda item: (-item[1], item[0][0], item[0][1] or 0)
            )
        ),
        latency_p50_s=latency_s.p50,
        latency_p95_s=latency_s.p95,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        cost=_cost(facts, tally),
        currency=facts.currency,
        cooldowns=_pauses(own, "cooldown"),
        rests=_pauses(own, "rest"),
        wait_s=tally.wait_s,
        refused_key=tally.last_ok_s < refused_s,
        learnt_in_flight=_learnt_in_flight(own),
        learnt_requests_per_min=_last(own, "requests_per_min"),
        learnt_tokens_per_min=_last(own, "tokens_per_min"),
    )


def _pauses(own: Sequence[RouteChange], kind: str) -> int:
    """Return how often a route paused; a pause that was made longer while it lasted is one."""
    return len(united((change.at_s, change.at_s + (change.after or 0.0)) for change in own if change.kind == kind))


def _last(own: Sequence[RouteChange], kind: str) -> float | None:
    """Return what a bound was changed to last; None where it never was."""
    return next((change.after for change in reversed(own) if change.kind == kind), None)


def _learnt_in_flight(own: Sequence[RouteChange]) -> int | None:
    """Return where the limit of requests at once stood in the end; None where no refusal had lowered it."""
    was_cut = any(
        change.before is not None and change.after is not None and change.after < change.before
        for change in own
        if change.kind == "limit"
    )
    last = _last(own, "limit")
    return int(last) if was_cut and last is not None else None


def _cost(facts: RouteFacts, tally: _Tally) -> float | None:
    if facts.price_in is None or facts.price_out is None:
        return None
    return (tally.prompt_tokens * facts.price_in + tally.completion_tokens * facts.price_out) / _TOKENS_PER_PRICE
