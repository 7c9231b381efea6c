"""Which charts a report has, and what stands in the place of one that would show nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bench.report.chart import PANELS_AT_MOST, ROWS_AT_MOST, Chart, left_out
from bench.report.curves import Points, draw_against_n
from bench.report.distributions import by_topic, first_token, latency
from bench.report.numbers import count, interval, number, percent, seconds, unit_for
from bench.report.routes_chart import routes_chart
from bench.report.rows import Panel, Row, draw_rows
from bench.report.timeline import Flight, draw_flights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.fonts import ChartFonts
    from bench.report.series import ShownRun


def charts(shown: Sequence[ShownRun], fonts: ChartFonts) -> tuple[Chart, ...]:
    """Return the charts of a report in the order of the page."""
    found = [
        _throughput(shown),
        latency(shown),
        first_token(shown),
        _success(shown),
        _in_flight(shown),
        routes_chart(shown, fonts),
        _start_up(shown),
        by_topic(shown, fonts),
    ]
    return tuple(chart for chart in found if chart is not None)


def _throughput(shown: Sequence[ShownRun]) -> Chart:
    name, title = "throughput", "Throughput"
    figures: list[tuple[str, list[tuple[ShownRun, float | None]]]] = [
        ("tasks/s", [(item, item.run.summary.throughput_tasks_per_s) for item in shown]),
        ("completion tokens/s", [(item, item.run.summary.throughput_tokens_per_s) for item in shown]),
    ]
    figures = [(unit, values) for unit, values in figures if any(value for _, value in values)]
    if not figures:
        return Chart(name=name, title=title, caption="No call succeeded: there is no throughput to show.", draw=None)
    caption = (
        "Successful tasks, and the tokens of their answers, per second between the first request and the last answer."
    )
    if len({(item.mark, item.concurrency) for item in shown}) > len({item.mark for item in shown}):
        panels = [(unit, _points(values)) for unit, values in figures]
        return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_against_n(paper, panels))
    rows = [
        Panel(
            axis=unit,
            rows=tuple(
                Row(label=item.drawn, mark=item.mark, value=value, text=number(value))
                for item, value in values[:ROWS_AT_MOST]
            ),
        )
        for unit, values in figures
    ]
    caption += left_out(len(shown), ROWS_AT_MOST, "run")
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, rows))


def _points(values: Sequence[tuple[ShownRun, float | None]]) -> list[Points]:
    by_mark = defaultdict(list)
    for item, value in values:
        if value is not None:
            by_mark[item.mark].append((item.concurrency, value))
    return [Points(mark=mark, at=tuple(at)) for mark, at in by_mark.items()]


def _success(shown: Sequence[ShownRun]) -> Chart:
    name, title = "success", "Success rate"
    rated = [(item, item.run.summary.success_rate) for item in shown]
    if all(rate.value is None for _, rate in rated):
        return Chart(name=name, title=title, caption="No task ended: there is no success rate to show.", draw=None)
    rows = tuple(
        Row(
            label=item.drawn,
            mark=item.mark,
            value=None if rate.value is None else rate.value * 100,
            low=None if rate.low is None else rate.low * 100,
            high=None if rate.high is None else rate.high * 100,
            text=f"{percent(rate.value)}  {interval(rate)}  n={count(rate.n)}",
        )
        for item, rate in rated[:ROWS_AT_MOST]
    )
    return Chart(
        name=name,
        title=title,
        caption="Tasks answered in full, of all that ended, with the Wilson 95 % interval: "
        "where the true rate may lie, given so many tasks." + left_out(len(shown), ROWS_AT_MOST, "run"),
        draw=lambda paper: draw_rows(paper, [Panel(axis="successful tasks (%)", rows=rows, least=100)]),
    )


def _in_flight(shown: Sequence[ShownRun]) -> Chart:
    name, title = "in_flight", "Requests in flight"
    flights = [_flight(item) for item in shown if len(item.run.sent_s)]
    if not flights:
        return Chart(
            name=name, title=title, caption="No request was sent: there is nothing to show over time.", draw=None
        )
    ticks = (
        " Small ticks at the bottom are attempts that failed."
        if any(len(flight.refused_s) for flight in flights)
        else ""
    )
    return Chart(
        name=name,
        title=title,
        caption="Requests sent and not yet answered, over the run; the dashed line is N. "
        "Each run has a time axis of its own." + ticks + left_out(len(flights), PANELS_AT_MOST, "run"),
        draw=lambda paper: draw_flights(paper, flights[:PANELS_AT_MOST]),
    )


def _flight(item: ShownRun) -> Flight:
    peak = item.run.summary.in_flight
    return Flight(
        title=f"{item.drawn}: peak {count(peak.peak)}, mean {number(peak.mean)}",
        mark=item.mark,
        limit=item.concurrency,
        sent_s=item.run.sent_s,
        ended_s=item.run.ended_s,
        refused_s=item.run.refused_s,
    )


def _start_up(shown: Sequence[ShownRun]) -> Chart:
    name, title = "start_up", "Start-up"
    timed = [(item, item.run.summary.harness.startup_s, item.run.summary.start_spread_s) for item in shown]
    if all(startup is None and spread is None for _, startup, spread in timed):
        return Chart(name=name, title=title, caption="The start-up of these runs was not measured.", draw=None)
    unit, per_s = unit_for([(startup or 0) + (spread or 0) for _, startup, spread in timed])
    rows = tuple(
        Row(
            label=item.drawn,
            mark=item.mark,
            value=(startup or 0) * per_s,
            more=(spread or 0) * per_s,
            text=f"{seconds(startup)} + {seconds(spread)}",
        )
        for item, startup, spread in timed[:ROWS_AT_MOST]
    )
    return Chart(
        name=name,
        title=title,
        caption="Full colour: until all slots stood ready. Pale: from the first slot's first task to the last slot's."
        + left_out(len(shown), ROWS_AT_MOST, "run"),
        draw=lambda paper: draw_rows(paper, [Panel(axis=f"time ({unit})", rows=rows)]),
    )
