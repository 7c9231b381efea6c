"""The routes of a run as its chart needs them: when each call began and ended, and what has changed about the route."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from bench.errors import ErrorType, JournalError
from bench.journal import ROUTES, iter_last_results, iter_route_changes
from bench.policy.intervals import united
from bench.policy.pool import PoolSettings
from bench.summary.routes import RouteFacts, route_facts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.manifest import RunManifest
    from bench.records import RouteChange

#: No run lasts 30 years, and no limit or pause is as large: such a number is damage, and would only break the chart.
_LARGEST: Final = 1e9

#: Kinds of changes during which nothing goes over a route.
PAUSES: Final = frozenset({"cooldown", "rest", "dead"})


class _Call(msgspec.Struct, frozen=True, gc=False):
    """What is read of an attempt."""

    provider: str
    sent_s: float
    end_s: float
    key: int = 0
    error_type: ErrorType | None = None


class _Task(msgspec.Struct, frozen=True, gc=False):
    """What is read of a record."""

    attempts: tuple[_Call, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedRoute:
    """One route over the time of its run, in seconds on the run's clock.

    Attributes:
        facts: What the manifest says of it.
        sent_s: When each call began, with `ended_s` when it ended.
        refused_s: When calls ended that the server refused with 429.
        limits: From when on how many calls might be under way; the first is from the beginning.
        pauses: From when to when nothing was to go over it.
    """

    facts: RouteFacts
    sent_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    refused_s: NDArray[np.float64]
    limits: tuple[tuple[float, float], ...]
    pauses: tuple[tuple[float, float], ...]


class _Columns:
    """Instants of one route's calls."""

    def __init__(self) -> None:
        self.sent_s = array("d")
        self.ended_s = array("d")
        self.refused_s = array("d")

    def add(self, call: _Call) -> None:
        self.sent_s.append(call.sent_s)
        self.ended_s.append(call.end_s)
        if call.error_type == "rate_limited":
            self.refused_s.append(call.end_s)


def load_routes(run: Path, manifest: RunManifest) -> tuple[tuple[LoadedRoute, ...], tuple[RouteChange, ...]]:
    """Read the routes of a run and what has changed about them; nothing of a run that measures.

    Raises:
        JournalError: The records or the changes cannot be read, or are damaged.
    """
    facts = route_facts(run, manifest)
    if not facts:
        return (), ()
    columns = {(each.provider, each.key): _Columns() for each in facts}
    for task in iter_last_results(run, _Task):
        for call in task.attempts:
            found = columns.get((call.provider, call.key))
            if found is not None:
                found.add(call)
    changes = tuple(iter_route_changes(run))
    for change in changes:
        _check(run, change)
    return tuple(_route(each, columns[each.provider, each.key], changes, manifest) for each in facts), changes


def _check(run: Path, change: RouteChange) -> None:
    for value in (change.at_s, change.before, change.after):
        if value is not None and not abs(value) <= _LARGEST:
            raise JournalError(f"{run / ROUTES} is damaged: a number is {value:g}")


def _route(
    facts: RouteFacts, columns: _Columns, changes: tuple[RouteChange, ...], manifest: RunManifest
) -> LoadedRoute:
    own = [change for change in changes if (change.provider, change.key) == (facts.provider, facts.key)]
    steps = [change for change in own if change.kind == "limit" and change.after is not None]
    first = steps[0].before if steps else None
    return LoadedRoute(
        facts=facts,
        sent_s=np.array(columns.sent_s),
        ended_s=np.array(columns.ended_s),
        refused_s=np.array(columns.refused_s),
        limits=(
            (0.0, _first_limit(facts, manifest) if first is None else first),
            *((change.at_s, change.after) for change in steps if change.after is not None),
        ),
        pauses=_pauses(own),
    )


def _first_limit(facts: RouteFacts, manifest: RunManifest) -> float:
    """Return how many calls a route might have under way at first, where no change says it."""
    bound = min(manifest.concurrency, facts.in_flight or manifest.concurrency)
    if manifest.config.get("adaptive") is False:
        return bound
    return min(bound, PoolSettings(ceiling=manifest.concurrency).start)


def _pauses(own: list[RouteChange]) -> tuple[tuple[float, float], ...]:
    """Return when nothing was to go over a route; one that is back before its time is back."""
    back = [change.at_s for change in own if change.kind == "revived"]
    found = []
    for change in own:
        if change.kind in PAUSES:
            end_s = change.at_s + (change.after or 0.0)
            # A pause that the server asked for is not cut short by an answer.
            revived = [at_s for at_s in back if at_s > change.at_s] if change.kind != "cooldown" else []
            found.append((change.at_s, min([end_s, *revived[:1]])))
    return tuple(united(found))
