"""The table of the nodes of runs of mode `distributed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.report.numbers import NOT_AVAILABLE, count, number, percent
from bench.report.table import Cell, Table, cells, figures, percentile_cell, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.series import ShownRun
    from bench.summary.figures import NodeRow

#: Rows shown, those with most tasks; the rest is added up in one row.
_NODES_AT_MOST: Final = 50

#: Names come from other machines.
_NAME_AT_MOST: Final = 200

_INTRO: Final = (
    "Those with most tasks first. Tasks are counted where they ended; lost: those that a node had when it went, which "
    "were tried again elsewhere. Latencies are of successes. In flight: calls under way at once."
)


def node_tables(shown: Sequence[ShownRun]) -> tuple[Table, ...]:
    """Return a table for each run that has nodes; none where no run has any."""
    return tuple(
        _nodes(place, item, alone=len(shown) == 1) for place, item in enumerate(shown, 1) if item.run.summary.nodes
    )


def _nodes(place: int, item: ShownRun, *, alone: bool) -> Table:
    nodes = sorted(item.run.summary.nodes, key=lambda row: (-row.tasks, row.node))
    rest = nodes[_NODES_AT_MOST:]
    rows = [_row(row) for row in nodes[:_NODES_AT_MOST]]
    if rest:
        rows.append(_others(rest))
    return Table(
        name=f"nodes-{place}",
        title="Nodes" if alone else f"Nodes of {item.name}",
        intro=_INTRO,
        columns=(
            *texts("node"),
            *figures("tasks", "ok", "failed", "lost", "share", "latency p50", "latency p95"),
            *figures("most in flight", "CPU (s)"),
        ),
        rows=tuple(rows),
    )


def _row(row: NodeRow) -> tuple[Cell, ...]:
    peak = row.in_flight.peak
    return (
        Cell(text=visible(row.node, at_most=_NAME_AT_MOST), note=_host(row)),
        *cells(count(row.tasks), count(row.ok), count(row.failed), count(row.lost), percent(row.share)),
        percentile_cell("p50", row.latency_p50_s, samples=row.ok),
        percentile_cell("p95", row.latency_p95_s, samples=row.ok),
        Cell(
            text=count(peak) if row.slots is None else f"{count(peak)} of {count(row.slots)}",
            note=f"mean {number(row.in_flight.mean)}" if peak else "",
        ),
        Cell(text=number(row.cpu_s)),
    )


def _host(row: NodeRow) -> str:
    """Return where a node is, if its name does not say it."""
    return "" if row.host in {None, row.node} else visible(f"on {row.host}", at_most=_NAME_AT_MOST)


def _others(rest: Sequence[NodeRow]) -> tuple[Cell, ...]:
    """Add up the nodes that there is no row for."""
    shares = [row.share for row in rest if row.share is not None]
    known = [row.cpu_s for row in rest if row.cpu_s is not None]
    return (
        Cell(text=f"and {count(len(rest))} more", note="added up"),
        *cells(*(count(sum(getattr(row, name) for row in rest)) for name in ("tasks", "ok", "failed", "lost"))),
        *cells(percent(sum(shares) if shares else None), *(NOT_AVAILABLE,) * 3),
        Cell(text=number(sum(known) if len(known) == len(rest) else None)),
    )
