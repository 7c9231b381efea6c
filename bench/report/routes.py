"""The tables of providers and keys of runs that did real work, and of what has changed about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench.report.numbers import NOT_AVAILABLE, count, number, of_things, percent, seconds
from bench.report.routes_load import PAUSES
from bench.report.table import Cell, Table, cells, figures, percentile_cell, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.records import RouteChange
    from bench.report.series import ShownRun
    from bench.summary.figures import RouteRow

#: Changes shown; the others are in the run's file.
_CHANGES_AT_MOST: Final = 10

#: Names, reasons and currencies come from outside.
_TEXT_AT_MOST: Final = 200

#: Kinds of changes, the most important first, with what the page calls them.
_KINDS: Final = {
    "dead": "key not accepted",
    "rest": "rest",
    "cooldown": "pause",
    "requests_per_min": "requests a minute",
    "tokens_per_min": "tokens a minute",
    "limit": "limit",
    "revived": "back",
}

_INTRO: Final = (
    "A row a provider, or a key where it has several. Times are of its successful calls, from send to end. "
    "Cost: of the answers; nobody tells what a failed call costs. Waited: the time of tasks between an attempt and one "
    "here."
)
_LEARNT: Final = " Learnt: the limits that a server said, or kept to with 429."
_RACED: Final = " Given up: another provider had the answer first; what such a call costs is not in the cost, either."


def route_tables(shown: Sequence[ShownRun]) -> tuple[Table, ...]:
    """Return the tables about routes; none where every run measured."""
    working = [item for item in shown if item.run.summary.routes]
    if not working:
        return ()
    return (_routes(working), _changes(working))


def _routes(working: Sequence[ShownRun]) -> Table:
    raced = any(item.run.summary.hedges for item in working)
    learnt = any(row.learnt for item in working for row in item.run.summary.routes)
    return Table(
        name="routes",
        title="Providers",
        intro=_INTRO + (_RACED if raced else "") + (_LEARNT if learnt else ""),
        columns=(
            *texts(*_run_column(working), "provider"),
            *figures("calls", "ok", "failed", *(("given up",) if raced else ())),
            *figures("p50", "p95", "tokens in", "tokens out", "cost", "pauses", "waited"),
            *texts(*(("learnt",) if learnt else ())),
        ),
        rows=tuple(
            (*_run(item, working), *_row(row, raced=raced), *(cells(row.learnt) if learnt else ()))
            for item in working
            for row in item.run.summary.routes
        ),
    )


def _run_column(working: Sequence[ShownRun]) -> tuple[str, ...]:
    """Return the column that tells runs apart, where there are several."""
    return ("run",) if len(working) > 1 else ()


def _run(item: ShownRun, working: Sequence[ShownRun]) -> tuple[Cell, ...]:
    return (Cell(text=item.name),) if len(working) > 1 else ()


def _row(row: RouteRow, *, raced: bool) -> tuple[Cell, ...]:
    causes = ", ".join(
        f"{count(error.calls)} {error.type}" + (f" ({error.http_status})" if error.http_status else "")
        for error in row.errors
    )
    lost = f"{seconds(row.beaten_s)}, {of_things(row.beaten_prompt_tokens, 'token')} in" if row.beaten else ""
    beside = f"{count(row.hedges)} to race, {count(row.hedges_won)} won" if row.hedges else ""
    return (
        Cell(text=visible(row.name, at_most=_TEXT_AT_MOST), note="not accepted" if row.refused_key else ""),
        Cell(text=count(row.calls), note="; ".join(filter(None, (percent(row.share) if row.calls else "", beside)))),
        Cell(text=count(row.ok)),
        Cell(text=count(row.failed), note=causes),
        *((Cell(text=count(row.beaten), note=lost),) if raced else ()),
        percentile_cell("p50", row.latency_p50_s, samples=row.ok),
        percentile_cell("p95", row.latency_p95_s, samples=row.ok),
        *cells(count(row.prompt_tokens), count(row.completion_tokens)),
        Cell(
            text=NOT_AVAILABLE if row.cost is None else number(row.cost),
            note="" if row.cost is None else visible(row.currency, at_most=_TEXT_AT_MOST),
        ),
        Cell(text=count(row.cooldowns + row.rests), note=_pauses(row)),
        Cell(text=seconds(row.wait_s)),
    )


def _pauses(row: RouteRow) -> str:
    found = ((row.cooldowns, "after 429"), (row.rests, "after failures"))
    return ", ".join(f"{count(times)} {why}" for times, why in found if times)


@dataclass
class _Change:
    """A change of one route, or of several at once; of pauses, all that follow each other without a gap.

    Attributes:
        first: Of them.
        end_s: Until when a pause lasts.
        keys: Their keys, in order.
        instants: When they came.
        repeated: How many of this kind the route had before.
    """

    first: RouteChange
    end_s: float
    keys: dict[int, None] = field(default_factory=dict)
    instants: set[float] = field(default_factory=set)
    repeated: int = 0


def _changes(working: Sequence[ShownRun]) -> Table:
    rows = []
    said = []
    for item in working:
        changes = _together(item.run.changes)
        wanted = sorted(changes, key=_importance)[:_CHANGES_AT_MOST]
        rows += [(*_run(item, working), *_change(change, item)) for change in changes if change in wanted]
        if len(changes) > len(wanted):
            kinds = Counter(change.first.kind for change in changes)
            listed = ", ".join(f"{said_kind} {count(kinds[kind])}" for kind, said_kind in _KINDS.items() if kinds[kind])
            name = f"{item.name}: the" if len(working) > 1 else "The"
            said.append(f"{name} {len(wanted)} most telling of {count(len(changes))} ({listed}).")
    return Table(
        name="route-changes",
        title="What changed about the providers",
        intro=" ".join([*said, "Each with its reason; routes.jsonl has all of them."]),
        columns=(*texts(*_run_column(working), "provider"), *figures("time (s)"), *texts("what", "change", "reason")),
        rows=tuple(rows),
        empty="Nothing: no limit was moved, no pause was asked for, and every key was accepted.",
    )


def _importance(change: _Change) -> tuple[int, int, float]:
    """Return the order in which changes are worth a row: of each kind and route the first ones before the others."""
    kinds = list(_KINDS)
    kind = change.first.kind
    return (change.repeated, kinds.index(kind) if kind in kinds else len(kinds), change.first.at_s)


def _together(changes: Sequence[RouteChange]) -> list[_Change]:
    """Return what changed, what happened to several keys at once and pauses without a gap as one, in order of time."""
    seen: Counter[tuple[str, int, str]] = Counter()
    latest: dict[tuple[str, str], _Change] = {}
    found = []
    for change in changes:
        end_s = change.at_s + (change.after or 0.0) if change.kind in PAUSES else change.at_s
        group = latest.get((change.provider, change.kind))
        if group is None or change.at_s > group.end_s or (change.kind not in PAUSES and change.key in group.keys):
            place = (change.provider, change.key, change.kind)
            group = latest[change.provider, change.kind] = _Change(first=change, end_s=end_s, repeated=seen[place])
            seen[place] += 1
            found.append(group)
        group.keys[change.key] = None
        group.instants.add(change.at_s)
        group.end_s = max(group.end_s, end_s)
    return found


def _change(change: _Change, item: ShownRun) -> tuple[Cell, ...]:
    first = change.first
    several = any(row.keys > 1 for row in item.run.summary.routes if row.provider == first.provider)
    keys = f"key {', '.join(str(key + 1) for key in list(change.keys)[:5])}" if several else ""
    often = f"{count(len(change.instants))} times" if len(change.instants) > 1 else ""
    begin_s = float(item.run.sent_s.min()) if len(item.run.sent_s) else 0.0
    return (
        Cell(text=visible(first.provider, at_most=_TEXT_AT_MOST), note=keys),
        Cell(text=number(max(0.0, first.at_s - begin_s))),
        *cells(visible(_KINDS.get(first.kind, first.kind), at_most=_TEXT_AT_MOST), _moved(change)),
        Cell(text=visible(first.reason, at_most=_TEXT_AT_MOST), note=often),
    )


def _moved(change: _Change) -> str:
    """Return `20 to 16`, or how long a pause is."""
    first = change.first
    if first.kind in PAUSES:
        return f"for {seconds(change.end_s - first.at_s)}"
    if first.after is None:
        return ""
    return f"{first.after:,.10g}" if first.before is None else f"{first.before:,.10g} to {first.after:,.10g}"
