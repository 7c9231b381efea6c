"""The charts of an experiment that are made of its tasks: how latencies spread, and how many were in flight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.report.chart import PANELS_AT_MOST, Chart, left_out
from bench.report.curves import Curve, draw_shares
from bench.report.experiment.shown import INVALID
from bench.report.experiment.times import cell_times
from bench.report.numbers import count
from bench.report.provenance import address
from bench.report.sheet import Mark
from bench.report.table import Link
from bench.report.timeline import Flight, draw_flights, level

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.experiment.records import Cell
    from bench.report.experiment.shown import ShownArm, ShownExperiment
    from bench.report.experiment.times import CellTimes

_TASKS: Final = "tasks.jsonl"


@dataclass(frozen=True, kw_only=True)
class TopTimes:
    """The times of an arm of the highest N: of each cell that its figures are of and whose records are there."""

    arm: ShownArm
    cells: tuple[tuple[Cell, Path, CellTimes], ...]

    def pooled(self, name: str) -> list[float]:
        """Return one column of all cells together."""
        return [float(value) for _, _, times in self.cells for value in getattr(times, name)]


def top_times(shown: ShownExperiment) -> tuple[TopTimes, ...]:
    """Read the tasks of every client's and mode's arm of the highest N."""
    return tuple(
        TopTimes(
            arm=each,
            cells=tuple(
                (cell, run, times)
                for cell in each.counting
                if (run := shown.run(cell)) is not None and (times := cell_times(run)) is not None
            ),
        )
        for each in shown.tops
    )


def spreads(shown: ShownExperiment, tops: Sequence[TopTimes], out_dir: Path) -> tuple[Chart, Chart]:
    """Return the charts of which share of the tasks took at most how long, of latency and of the first token."""
    latency = _spread(
        shown,
        tops,
        column="latencies_s",
        name="latency_spread",
        title="Latencies at the highest N",
        what="latency",
        caption="Which share of the successes of the steady part took at most how long: steeper and further left is "
        "better.",
    )
    first = _spread(
        shown,
        tops,
        column="first_tokens_s",
        name="ttft_spread",
        title="Times to first token at the highest N",
        what="time to first token",
        caption="The same for the time from the send of the last attempt to its first token.",
    )
    raw = tuple(
        Link(text=f"{top.arm.name}, block {cell.block + 1}", address=address(run / _TASKS, out_dir))
        for top in tops
        for cell, run, _ in top.cells[:1]
    )
    return tuple(  # type: ignore[return-value] # as many as there are
        Chart(name=one.name, title=one.title, caption=one.caption, draw=one.draw, raw=raw if one.draw else ())
        for one in (latency, first)
    )


def _spread(  # noqa: PLR0913 - what a chart says of itself
    shown: ShownExperiment,
    tops: Sequence[TopTimes],
    *,
    column: str,
    name: str,
    title: str,
    what: str,
    caption: str,
) -> Chart:
    panels = []
    for client in shown.clients:
        curves = [
            Curve(mark=_named(top.arm), values_s=np.array(values))
            for top in tops
            if top.arm.arm.client == client and (values := top.pooled(column))
        ]
        if curves:
            panels.append((f"{client} client", curves))
    if not panels:
        caption = "Nothing to show: no task of these cells has one, or their records are not here."
        return Chart(name=name, title=title, caption=caption, draw=None)
    missing = [top.arm.name for top in tops if not top.pooled(column)]
    caption += " All blocks that count together; of an INVALID arm, all blocks."
    if missing:
        caption += f" Nothing to show for {', '.join(missing)}."
    return Chart(
        name=name, title=title, caption=caption, draw=lambda paper: draw_shares(paper, panels[:PANELS_AT_MOST], what)
    )


def _named(each: ShownArm) -> Mark:
    """Return an arm's look, named by what it does not share with the others of its panel."""
    said = f"{each.arm.mode}, N={count(each.arm.concurrency)}"
    return Mark(
        label=said if each.valid else f"{said}, {INVALID}",
        role=each.mark.role,
        marker=each.mark.marker,
        dash=each.mark.dash,
        hollow=not each.valid,
    )


def in_flight(tops: Sequence[TopTimes], out_dir: Path) -> Chart:
    """Return the chart of requests in flight over one cell of each client and mode."""
    name, title = "in_flight", "Requests in flight"
    flights, raw = [], []
    for top in tops:
        found = next(((cell, run, times) for cell, run, times in top.cells if len(times.sent_s)), None)
        if found is not None:
            cell, run, times = found
            flights.append(_flight(top.arm, cell, times))
            raw.append(Link(text=f"{top.arm.name}, block {cell.block + 1}", address=address(run / _TASKS, out_dir)))
    if not flights:
        caption = "Nothing to show: no cell sent a request, or their records are not here."
        return Chart(name=name, title=title, caption=caption, draw=None)
    return Chart(
        name=name,
        title=title,
        caption="Requests sent and not yet answered in one cell of each mode, at its highest N; the dashed line is N. "
        "Each has a time axis of its own." + left_out(len(flights), PANELS_AT_MOST, "cell"),
        draw=lambda paper: draw_flights(paper, flights[:PANELS_AT_MOST]),
        raw=tuple(raw),
    )


def _flight(each: ShownArm, cell: Cell, times: CellTimes) -> Flight:
    peak = int(level(times.sent_s, times.ended_s).count.max())
    state = "" if cell.valid else f", {INVALID}"
    return Flight(
        title=f"{each.drawn}: peak {count(peak)}{state}",
        mark=each.mark,
        limit=each.arm.concurrency,
        sent_s=times.sent_s,
        ended_s=times.ended_s,
        refused_s=times.refused_s,
    )
