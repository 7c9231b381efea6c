"""Which charts a report has, and what stands in the place of one that would show nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.report.curves import Curve, Points, draw_against_n, draw_shares
from bench.report.numbers import count, interval, number, of_things, percent, seconds, unit_for
from bench.report.rows import Panel, Row, draw_rows
from bench.report.series import numbered
from bench.report.timeline import Flight, draw_flights
from bench.report.topics import Lane, draw_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from bench.report.fonts import ChartFonts
    from bench.report.series import ShownRun
    from bench.report.sheet import Paper

#: The names of all charts that a report may have.
NAMES: Final = frozenset({"throughput", "latency", "ttft", "success", "in_flight", "start_up", "topics"})

#: More panels than this make a wall of charts; the tables have every run.
_PANELS_AT_MOST: Final = 12
_ROWS_AT_MOST: Final = 24
_TOPICS_AT_MOST: Final = 10

#: Lanes of more runs than this can no longer be followed from topic to topic.
_RUNS_BY_TOPIC: Final = 4


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart of the page.

    Attributes:
        name: Of its file, and of its place in the page.
        title: What it shows.
        caption: How to read it, in a sentence or two.
        draw: Draws it on a paper; None where there is nothing to show, and then `caption` says why.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Paper], Figure] | None


def charts(shown: Sequence[ShownRun], fonts: ChartFonts) -> tuple[Chart, ...]:
    """Return the charts of a report in the order of the page."""
    found = [
        _throughput(shown),
        _latency(shown),
        _first_token(shown),
        _success(shown),
        _in_flight(shown),
        _start_up(shown),
        _by_topic(shown, fonts),
    ]
    return tuple(chart for chart in found if chart is not None)


def _left_out(total: int, at_most: int, thing: str) -> str:
    """Return what a caption says about what there was no room for."""
    return f" {of_things(total - at_most, thing)} more in the tables below." if total > at_most else ""


def _throughput(shown: Sequence[ShownRun]) -> Chart:
    name, title = "throughput", "Throughput"
    figures: list[tuple[str, list[tuple[ShownRun, float | None]]]] = [
        ("tasks/s", [(item, item.run.summary.throughput_tasks_per_s) for item in shown]),
        ("completion tokens/s", [(item, item.run.summary.throughput_tokens_per_s) for item in shown]),
    ]
    figures = [(unit, values) for unit, values in figures if any(value for _, value in values)]
    if not figures:
        return Chart(name=name, title=title, caption="No task succeeded: there is no throughput to show.", draw=None)
    caption = "Successful tasks, and the tokens of their answers, per second between the first request and the last answer."
    if len({(item.mark, item.concurrency) for item in shown}) > len({item.mark for item in shown}):
        panels = [(unit, _points(values)) for unit, values in figures]
        return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_against_n(paper, panels))
    rows = [
        Panel(
            axis=unit,
            rows=tuple(
                Row(label=item.drawn, mark=item.mark, value=value, text=number(value))
                for item, value in values[:_ROWS_AT_MOST]
            ),
        )
        for unit, values in figures
    ]
    caption += _left_out(len(shown), _ROWS_AT_MOST, "run")
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, rows))


def _points(values: Sequence[tuple[ShownRun, float | None]]) -> list[Points]:
    by_mark = defaultdict(list)
    for item, value in values:
        if value is not None:
            by_mark[item.mark].append((item.concurrency, value))
    return [Points(mark=mark, at=tuple(at)) for mark, at in by_mark.items()]


def _latency(shown: Sequence[ShownRun]) -> Chart:
    return _distribution(
        [(item, item.run.successes["latency_s"].to_numpy()) for item in shown],
        Chart(
            name="latency",
            title="Latency",
            caption="Which share of the successful tasks was done within how long, from a slot asking for the task to its answer "
            "(retries and waits included). Steeper and further left is better; failures are not in it.",
            draw=None,
        ),
        empty="No task succeeded: there is no latency to show. Failures have their own row in the tables.",
    )


def _first_token(shown: Sequence[ShownRun]) -> Chart:
    streamed = any(item.run.manifest.config.get("stream") is not False for item in shown)
    return _distribution(
        [(item, item.run.first_tokens_s) for item in shown],
        Chart(
            name="ttft",
            title="Time to first token",
            caption="Which share of the successful streamed tasks had its first token within how long, from the send of the last attempt.",
            draw=None,
        ),
        empty="No task succeeded with a token: there is no time to first token to show."
        if streamed
        else "The answers were not streamed (--no-stream): the time to the first token was not measured.",
    )


def _distribution(values: Sequence[tuple[ShownRun, np.ndarray[tuple[int], np.dtype[np.float64]]]], about: Chart, *, empty: str) -> Chart:
    kept = [(item, found) for item, found in values if len(found)]
    if not kept:
        return Chart(name=about.name, title=about.title, caption=empty, draw=None)
    panels = _panels(kept)
    caption = about.caption
    without = [item.name for item, found in values if not len(found)]
    if without:
        caption += f" Nothing to show for {', '.join(without)}."
    caption += _left_out(len(panels), _PANELS_AT_MOST, "panel")
    what = "latency" if about.name == "latency" else "time to first token"
    return Chart(
        name=about.name,
        title=about.title,
        caption=caption,
        draw=lambda paper: draw_shares(paper, panels[:_PANELS_AT_MOST], what),
    )


def _panels(
    kept: Sequence[tuple[ShownRun, np.ndarray[tuple[int], np.dtype[np.float64]]]],
) -> list[tuple[str, list[Curve]]]:
    """Put the runs of one N into one panel; where there is one series only, all its N into one."""
    places = sorted({item.concurrency for item, _ in kept})
    if len(places) > 1 and len({item.mark for item, _ in kept}) == 1:
        marks = {n: numbered(index, f"N={n}") for index, n in enumerate(places)}
        return [("", [Curve(mark=marks[item.concurrency], values_s=found) for item, found in kept])]
    return [
        (
            f"N={n}" if len(places) > 1 else "",
            [Curve(mark=item.mark, values_s=found) for item, found in kept if item.concurrency == n],
        )
        for n in places
    ]


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
        for item, rate in rated[:_ROWS_AT_MOST]
    )
    return Chart(
        name=name,
        title=title,
        caption="Tasks answered in full, of all that ended, with the Wilson 95 % interval: where the true rate may lie, given so many tasks."
        + _left_out(len(shown), _ROWS_AT_MOST, "run"),
        draw=lambda paper: draw_rows(paper, [Panel(axis="successful tasks (%)", rows=rows, least=100)]),
    )


def _in_flight(shown: Sequence[ShownRun]) -> Chart:
    name, title = "in_flight", "Requests in flight"
    flights = [_flight(item) for item in shown if len(item.run.sent_s)]
    if not flights:
        return Chart(name=name, title=title, caption="No request was sent: there is nothing to show over time.", draw=None)
    ticks = " Small ticks at the bottom are attempts that failed." if any(len(flight.refused_s) for flight in flights) else ""
    return Chart(
        name=name,
        title=title,
        caption="Requests sent and not yet answered, over the run; the dashed line is N. Each run has a time axis of its own."
        + ticks
        + _left_out(len(flights), _PANELS_AT_MOST, "run"),
        draw=lambda paper: draw_flights(paper, flights[:_PANELS_AT_MOST]),
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
        for item, startup, spread in timed[:_ROWS_AT_MOST]
    )
    return Chart(
        name=name,
        title=title,
        caption="Dark: until all slots stood ready. Pale: from the first slot's first task to the last slot's."
        + _left_out(len(shown), _ROWS_AT_MOST, "run"),
        draw=lambda paper: draw_rows(paper, [Panel(axis=f"time ({unit})", rows=rows)]),
    )


def _by_topic(shown: Sequence[ShownRun], fonts: ChartFonts) -> Chart | None:
    """Return the chart of latency by topic; None where tasks have no topics, or there is but one."""
    name, title = "topics", "Latency by topic"
    topics = list(dict.fromkeys(topic for item in shown for topic in item.run.successes["topic"].cat.categories))
    if len(topics) <= 1:
        return None
    if len(shown) > _RUNS_BY_TOPIC:
        caption = f"Shown for up to {_RUNS_BY_TOPIC} runs at once; this report has {len(shown)}."
        return Chart(name=name, title=title, caption=caption, draw=None)
    drawn = topics[:_TOPICS_AT_MOST]
    groups = [dict(list(item.run.successes.groupby("topic", observed=True)["latency_s"])) for item in shown]
    lanes = [
        (
            fonts.drawable(topic),
            [
                Lane(mark=item.mark, values_s=group[topic].to_numpy() if topic in group else np.empty(0))
                for item, group in zip(shown, groups, strict=True)
            ],
        )
        for topic in drawn
    ]
    return Chart(
        name=name,
        title=title,
        caption="Each point is a successful task; where there are more than 40 in a row, the line is all of them, the bar their middle half, "
        "the point the median."
        + (f" The first {len(drawn)} of {count(len(topics))} topics." if len(topics) > len(drawn) else ""),
        draw=lambda paper: draw_topics(paper, lanes),
    )
