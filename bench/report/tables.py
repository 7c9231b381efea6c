"""The tables of a report: every figure of the charts and more, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.policy.statistics import SAMPLES_NEEDED
from bench.report.nodes import node_tables
from bench.report.numbers import (
    NOT_AVAILABLE,
    count,
    fixed,
    in_unit,
    interval,
    mebibytes,
    number,
    percent,
    seconds,
    unit_for,
)
from bench.report.routes import route_tables
from bench.report.table import Cell, Table, cells, figures, texts
from bench.report.versions import version_tables
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.policy.statistics import Distribution
    from bench.report.series import ShownRun
    from bench.summary import Summary
    from bench.summary.figures import ProviderRow, WorkerRow

#: Rows of workers shown; the rest is added up in one row.
_WORKERS_AT_MOST: Final = 20

#: Server messages can be whole pages.
_MESSAGE_AT_MOST: Final = 400

#: The times that a summary describes: field, title, and from where to where.
_TIMES: Final = (
    ("latency_s", "Latency", "from a slot asking for the task to its answer, retries and waits included"),
    ("ttft_s", "Time to first token", "from the send of the last attempt to its first token"),
    ("tpot_s", "Time per output token", "from the first token to the last, by the tokens after the first"),
    ("icl_s", "Inter-chunk latency", "each task's median gap between chunks with content"),
    ("service_s", "Service", "from the worker's start to the answer"),
    ("queue_s", "Queue", "from a slot asking for the task to its worker's start"),
    ("failed_latency_s", "Latency of failures", "kept apart from that of successes"),
)

#: Times that most readers came for stand open; the others are folded where there is a table for each.
_OPEN: Final = frozenset({"latency_s", "ttft_s"})


def tables(shown: Sequence[ShownRun]) -> tuple[Table, ...]:
    """Return the tables of a report in the order of the page."""
    return (
        _runs(shown),
        *(_times_of_one(shown[0]) if len(shown) == 1 else _times_of_many(shown)),
        _errors(shown),
        *version_tables(shown),
        *(route_tables(shown) or (_providers(shown),)),
        *node_tables(shown),
        *(_workers(place, item, alone=len(shown) == 1) for place, item in enumerate(shown, 1)),
        _harness(shown),
    )


def _runs(shown: Sequence[ShownRun]) -> Table:
    return Table(
        name="runs",
        title="Runs",
        intro="Success with its Wilson 95 % interval. Wall: from the first request to the last answer. "
        "Attempts: calls made; again: those that followed others of their task.",
        columns=(
            *texts("run"),
            *figures("tasks", "ok", "failed", "not done", "success", "wall (s)", "tasks/s", "tokens/s"),
            *figures("attempts", "most in flight"),
        ),
        rows=tuple(_run(item) for item in shown),
    )


def _run(item: ShownRun) -> tuple[Cell, ...]:
    summary = item.run.summary
    tasks = summary.tasks
    undone = tasks.cancelled + tasks.dropped + tasks.not_started
    status = item.run.manifest.status
    return (
        Cell(text=item.name, note="" if status == "completed" else status),
        *cells(count(tasks.total), count(tasks.ok), count(tasks.failed), count(undone)),
        Cell(text=percent(summary.success_rate.value), note=interval(summary.success_rate)),
        *cells(
            number(summary.wall_s),
            number(summary.throughput_tasks_per_s if tasks.ok else None),
            number(summary.throughput_tokens_per_s if summary.tokens.completion else None),
        ),
        Cell(text=count(summary.attempts), note=_beside_first(summary)),
        Cell(text=count(summary.in_flight.peak), note=f"mean {number(summary.in_flight.mean)}"),
    )


def _beside_first(summary: Summary) -> str:
    """Return how many calls were not the first of their task, and why."""
    found = ((summary.retries, "again"), (summary.hedges, "to race another provider"))
    return ", ".join(f"{count(calls)} {why}" for calls, why in found if calls)


_OF_TIMES: Final = ("n", "mean", "sd", "min", "p50", "p90", "p95", "p99", "max")


def _times_of_one(item: ShownRun) -> tuple[Table, ...]:
    rows = []
    for field, title, what in _TIMES:
        values: Distribution = getattr(item.run.summary, field)
        rows.append((Cell(text=title, note=what), *_time_cells(values, None)))
    table = Table(
        name="times",
        title="Times",
        intro="Of successful tasks, unless the row says otherwise.",
        columns=(*texts("time"), *figures(*_OF_TIMES)),
        rows=tuple(rows),
    )
    return (table,)


def _times_of_many(shown: Sequence[ShownRun]) -> tuple[Table, ...]:
    made = []
    for field, title, what in _TIMES:
        named: list[tuple[str, Distribution]] = [(item.name, getattr(item.run.summary, field)) for item in shown]
        unit, _ = unit_for(values.max for _, values in named)
        measured = any(values.n for _, values in named)
        made.append(
            Table(
                name=field.removesuffix("_s"),
                title=f"{title} ({unit})" if measured else title,
                intro=f"{what[0].upper()}{what[1:]}.",
                columns=(*texts("run"), *figures(*_OF_TIMES)),
                rows=tuple((Cell(text=name), *_time_cells(values, unit)) for name, values in named) if measured else (),
                folded=field not in _OPEN,
                empty="No run has any.",
            )
        )
    return tuple(made)


def _time_cells(values: Distribution, unit: str | None) -> tuple[Cell, ...]:
    """Return the fields of `_OF_TIMES`, each with its own unit where no common one is given."""

    def said(value_s: float | None) -> str:
        return seconds(value_s) if unit is None else in_unit(value_s, unit)

    def percentile(name: str) -> Cell:
        value_s: float | None = getattr(values, name)
        return Cell(
            text=said(value_s), note="" if value_s is not None or not values.n else f"needs n = {SAMPLES_NEEDED[name]}"
        )

    return (
        *cells(count(values.n), said(values.mean), said(values.sd), said(values.min)),
        *(percentile(name) for name in SAMPLES_NEEDED),
        Cell(text=said(values.max)),
    )


def _errors(shown: Sequence[ShownRun]) -> Table:
    rows = tuple(
        cells(
            item.name,
            row.type,
            NOT_AVAILABLE if row.http_status is None else str(row.http_status),
            count(row.tasks),
            count(row.attempts),
            visible(row.message, at_most=_MESSAGE_AT_MOST),
        )
        for item in shown
        for row in item.run.summary.errors
    )
    return Table(
        name="errors",
        title="Errors",
        intro="Tasks that ended with an error, and attempts that met one: "
        "an attempt that failed may have been mended by the next.",
        columns=(*texts("run", "error", "HTTP status"), *figures("tasks", "attempts"), *texts("first message")),
        rows=rows,
        empty="No attempt met an error.",
    )


def _providers(shown: Sequence[ShownRun]) -> Table:
    return Table(
        name="providers",
        title="Providers",
        columns=(*texts("run", "provider"), *figures("tasks", "ok", "failed", "attempts", "latency p50")),
        rows=tuple(
            (
                *cells(item.name, visible(row.provider, at_most=_MESSAGE_AT_MOST)),
                *cells(count(row.tasks), count(row.ok), count(row.failed), count(row.attempts)),
                _median(row),
            )
            for item in shown
            for row in item.run.summary.providers
        ),
        folded=len(shown) > 1,
        empty="No provider was asked.",
    )


def _median(row: ProviderRow) -> Cell:
    """Return a provider's median latency, where it has samples enough."""
    needed = SAMPLES_NEEDED["p50"]
    if row.ok < needed:
        return Cell(text=NOT_AVAILABLE, note=f"n = {count(row.ok)}, needs {needed}")
    return Cell(text=seconds(row.latency_p50_s))


def _workers(place: int, item: ShownRun, *, alone: bool) -> Table:
    workers = sorted(item.run.summary.workers, key=lambda row: (-row.tasks, row.slot, row.pid))
    rest = workers[_WORKERS_AT_MOST:]
    rows = [_worker(row) for row in workers[:_WORKERS_AT_MOST]]
    if rest:
        rows.append(_other_workers(rest))
    return Table(
        name=f"workers-{place}",
        title="Workers" if alone else f"Workers of {item.name}",
        intro="The busiest first. Busy: time spent on tasks." if workers else "",
        columns=(
            *texts("slot", "process", "thread"),
            *figures("tasks", "ok", "failed", "busy (s)", "first start (s)", "last end (s)"),
        ),
        rows=tuple(rows),
        folded=not alone,
        empty="No worker did a task.",
    )


def _worker(row: WorkerRow) -> tuple[Cell, ...]:
    on_node = "" if row.node is msgspec.UNSET else f" on {row.node}"
    return cells(
        str(row.slot),
        visible(f"{row.pid}{on_node}", at_most=_MESSAGE_AT_MOST),
        visible(row.thread, at_most=_MESSAGE_AT_MOST),
        *(count(row.tasks), count(row.ok), count(row.failed)),
        *(fixed(row.busy_s), fixed(row.first_start_s), fixed(row.last_end_s)),
    )


def _other_workers(rest: Sequence[WorkerRow]) -> tuple[Cell, ...]:
    """Add up the workers that there is no row for."""
    return (
        Cell(text=f"and {count(len(rest))} more", note="added up"),
        *cells(f"process ids: {count(len({(row.node, row.pid) for row in rest}))}", ""),
        *cells(*(count(sum(getattr(row, name) for row in rest)) for name in ("tasks", "ok", "failed"))),
        Cell(text=fixed(sum(row.busy_s for row in rest))),
        *cells(fixed(min(row.first_start_s for row in rest)), fixed(max(row.last_end_s for row in rest))),
    )


def _harness(shown: Sequence[ShownRun]) -> Table:
    def row(item: ShownRun) -> tuple[Cell, ...]:
        cost = item.run.summary.harness
        return cells(
            item.name,
            number(cost.startup_s),
            in_unit(item.run.summary.start_spread_s, "ms"),
            number(cost.cpu_s),
            number(cost.cpu_us_per_task),
            mebibytes(cost.peak_pss_bytes),
            in_unit(cost.wakeup_lag_p99_s, "ms"),
            in_unit(cost.wakeup_lag_max_s, "ms"),
        )

    return Table(
        name="harness",
        title="The harness's own cost",
        intro="Over all its processes. Memory: proportional set size at its highest. "
        "Lag: how late a sleeping thread woke.",
        columns=(
            *texts("run"),
            *figures("start-up (s)", "start spread (ms)", "CPU (s)", "CPU a task (µs)", "memory (MiB)"),
            *figures("lag p99 (ms)", "lag max (ms)"),
        ),
        rows=tuple(row(item) for item in shown),
    )
