"""The charts of an experiment that are made of its arms' figures."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from bench.policy.objectives import parse_objectives
from bench.policy.statistics import SAMPLES_NEEDED, wilson
from bench.report.chart import Chart, left_out
from bench.report.experiment.against_n import Plot, Spot, draw_plots
from bench.report.experiment.shown import INVALID
from bench.report.numbers import NOT_AVAILABLE, interval, number, percent, seconds, unit_for
from bench.report.rows import Panel, Row, draw_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.experiment.shown import Middle, ShownArm, ShownExperiment
    from bench.report.sheet import Mark

#: More rows make a column of bars; the tables have every arm.
ROWS_AT_MOST: Final = 40

_OVER_BLOCKS: Final = "The middle over blocks with its 95 % interval."


def throughput(shown: ShownExperiment) -> Chart:
    """Return the chart of successes a second, against N where a mode has several."""
    caption = f"Successful tasks a second in the steady part of each cell. {_OVER_BLOCKS}"
    return _against_n(
        shown, name="throughput", title="Throughput", caption=caption, metrics=(("throughput", "tasks/s"),)
    )


def latency(shown: ShownExperiment) -> Chart:
    """Return the chart of median and p95 latency, against N where a mode has several."""
    start = "a slot asking for the task" if shown.experiment.plan.rate_per_s is None else "the arrival of the task"
    caption = f"From {start} to its answer, retries and waits included. {_OVER_BLOCKS}"
    if all(each.row.figures.latency_p95_s is None for each in shown.arms):
        caption += f" No p95: it takes {SAMPLES_NEEDED['p95']} successes in the steady part of a cell."
    metrics = (("latency_p50", "p50 latency"), ("latency_p95", "p95 latency"))
    return _against_n(shown, name="latency", title="Latency", caption=caption, metrics=metrics)


def _against_n(
    shown: ShownExperiment, *, name: str, title: str, caption: str, metrics: Sequence[tuple[str, str]]
) -> Chart:
    found = {metric: {each.arm.name: each.middle(metric) for each in shown.arms} for metric, _ in metrics}
    known = [(metric, label) for metric, label in metrics if any(found[metric].values())]
    if not known:
        return Chart(
            name=name, title=title, caption="No cell has a steady part to show: nothing was measured.", draw=None
        )
    middles = [middle for by_arm in found.values() for middle in by_arm.values() if middle is not None]
    unit, per_unit = ("", 1.0)
    if name != "throughput":
        unit, per_unit = unit_for([middle.value for middle in middles])
    labels = {metric: f"{label} ({unit})" if unit else label for metric, label in known}
    if not any(len(arms) > 1 for arms in shown.lines.values()):
        panels = [Panel(axis=labels[metric], rows=_middle_rows(shown, found[metric], per_unit)) for metric, _ in known]
        caption += left_out(len(shown.arms), ROWS_AT_MOST, "arm")
        return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, panels))
    plots = [
        Plot(title=f"{client} client", label=labels[metric], lines=_lines(shown, client, found[metric], per_unit))
        for metric, _ in known
        for client in shown.clients
    ]
    if name == "throughput":
        plots += [_of_the_best(plot) for plot in plots]
        caption += " Also as a share of the best mode of each N, on an axis that does not begin at 0."
    columns = len(shown.clients) if len(shown.clients) > 1 else len(plots)
    return Chart(
        name=name, title=title, caption=caption, draw=lambda paper: draw_plots(paper, plots, columns=min(3, columns))
    )


def _lines(
    shown: ShownExperiment, client: str, found: dict[str, Middle | None], per_unit: float
) -> tuple[tuple[Mark, tuple[Spot, ...]], ...]:
    lines = []
    for (whose, _), arms in shown.lines.items():
        if whose != client:
            continue
        spots = [
            Spot(
                n=each.arm.concurrency,
                value=middle.value * per_unit,
                low=None if middle.low is None else middle.low * per_unit,
                high=None if middle.high is None else middle.high * per_unit,
                counts=each.valid,
            )
            for each in arms
            if (middle := found[each.arm.name]) is not None
        ]
        if spots:
            lines.append((arms[0].mark, tuple(spots)))
    return tuple(lines)


def _of_the_best(plot: Plot) -> Plot:
    """Return a panel with each point as a percentage of the best one of its N that counts."""
    best: dict[int, float] = {}
    for counts in (False, True):
        spots = [spot for _, line in plot.lines for spot in line if spot.counts == counts]
        # Points that count stand in for those that do not.
        best |= {n: max(spot.value for spot in spots if spot.n == n) for n in {spot.n for spot in spots}}
    return Plot(
        title=plot.title,
        label="% of the best of its N",
        lines=tuple((mark, tuple(_scaled(spot, 100 / best[spot.n]) for spot in spots)) for mark, spots in plot.lines),
        close=True,
    )


def _scaled(spot: Spot, factor: float) -> Spot:
    return Spot(
        n=spot.n,
        value=spot.value * factor,
        low=None if spot.low is None else spot.low * factor,
        high=None if spot.high is None else spot.high * factor,
        counts=spot.counts,
    )


def _middle_rows(shown: ShownExperiment, found: dict[str, Middle | None], per_unit: float) -> tuple[Row, ...]:
    return tuple(_middle_row(each, found[each.arm.name], per_unit) for each in shown.arms[:ROWS_AT_MOST])


def _middle_row(each: ShownArm, middle: Middle | None, per_unit: float) -> Row:
    if middle is None:
        return Row(label=each.drawn, mark=each.mark, value=None, text=_marked(each, NOT_AVAILABLE))
    said = number(middle.value * per_unit)
    low = high = None
    if middle.low is not None and middle.high is not None:
        low, high = middle.low * per_unit, middle.high * per_unit
        said += f" [{number(low)}, {number(high)}]"
    return Row(
        label=each.drawn,
        mark=each.mark,
        value=middle.value * per_unit,
        # An interval far beyond the figure would leave no room for the others; it stands in words.
        low=low,
        high=None if high is None else min(high, 3 * middle.value * per_unit),
        text=_marked(each, said),
        hatched=not each.valid,
    )


def _marked(each: ShownArm, said: str) -> str:
    """Return a row's words, with the word that says that it does not count."""
    return said if each.valid else f"{said}  {INVALID}"


def success(shown: ShownExperiment) -> Chart:
    """Return the chart of success rates, and of goodput where there are objectives."""
    arms = shown.arms[:ROWS_AT_MOST]
    rows = []
    for each in arms:
        ok = sum(cell.facts.ok or 0 for cell in each.counting)
        rate = wilson(ok, ok + sum(cell.facts.failed or 0 for cell in each.counting))
        ends = [None if end is None else end * 100 for end in (rate.value, rate.low, rate.high)]
        said = _marked(each, f"{percent(rate.value)} {interval(rate)}")
        rows.append(
            Row(
                label=each.drawn,
                mark=each.mark,
                value=ends[0],
                low=ends[1],
                high=ends[2],
                text=said,
                hatched=not each.valid,
            )
        )
    title = "Success and goodput"
    if all(row.value is None for row in rows):
        caption = "No task ended in these cells: there is no success rate and no goodput to show."
        return Chart(name="success", title=title, caption=caption, draw=None)
    panels = [Panel(axis="successful tasks (%)", rows=tuple(rows), least=100)]
    caption = "Tasks answered in full, of all that ended in the blocks that count, with the Wilson 95 % interval."
    objectives = shown.experiment.plan.objectives
    if any(each.row.figures.goodput is not None for each in arms):
        good = {each.arm.name: each.row.figures.goodput for each in arms}
        panels.append(_bars(arms, good, "goodput (tasks/s)", 1.0))
        wanted = ", ".join(map(str, parse_objectives(objectives).per_request)) if objectives else "all objectives"
        caption += f" Goodput: successes a second that met {wanted}."
    else:
        caption += " Goodput was not measured: the experiment was given no objectives of each task (--slo)."
    caption += left_out(len(shown.arms), ROWS_AT_MOST, "arm")
    return Chart(name="success", title=title, caption=caption, draw=lambda paper: draw_rows(paper, panels))


def _bars(arms: Sequence[ShownArm], values: dict[str, float | None], axis: str, per_unit: float) -> Panel:
    return Panel(
        axis=axis,
        rows=tuple(
            Row(
                label=each.drawn,
                mark=each.mark,
                value=None if (value := values[each.arm.name]) is None else value * per_unit,
                text=_marked(each, number(None if value is None else value * per_unit)),
                hatched=not each.valid,
            )
            for each in arms
        ),
    )


def client_share(shown: ShownExperiment) -> Chart:
    """Return the chart of what the client itself adds to the time to first token."""
    name, title = "client_share", "What the client adds"
    arms = shown.arms[:ROWS_AT_MOST]
    added = {each.arm.name: each.added_s for each in arms}
    if all(value is None for value in added.values()):
        caption = "Not measured: the server does not stamp what it sends, and no null server of its pace was asked."
        return Chart(name=name, title=title, caption=caption, draw=None)
    unit, per_s = unit_for(added.values())
    panels = [
        _bars(arms, added, f"added to the first token, median ({unit})", per_s),
        _bars(arms, {each.arm.name: each.added_share for each in arms}, "share of the time to first token (%)", 100),
    ]
    caption = (
        "From the instant at which the server sent a first token until the client saw it: that much of each time is "
        "the client's, and not the server's."
    ) + left_out(len(shown.arms), ROWS_AT_MOST, "arm")
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, panels))


def cost(shown: ShownExperiment) -> Chart:
    """Return the chart of CPU time and memory."""
    name, title = "cost", "Cost"
    arms = shown.arms[:ROWS_AT_MOST]
    cpu = {each.arm.name: each.row.figures.cpu_us_per_task for each in arms}
    memory = {each.arm.name: each.row.figures.peak_pss_mb for each in arms}
    # Microseconds a task are milliseconds a thousand tasks.
    panels = [
        _bars(arms, values, axis, per_unit)
        for values, axis, per_unit in (
            (cpu, "CPU seconds per 1,000 tasks", 1e-3),
            (memory, "most memory at once (MB)", 1),
        )
        if any(value is not None for value in values.values())
    ]
    if not panels:
        return Chart(name=name, title=title, caption="The cost of these cells was not measured.", draw=None)
    caption = "Of the harness, over all its processes: CPU time after its start-up, and the most memory at once "
    caption += "(proportional set size), which does not grow with the tasks." + left_out(
        len(shown.arms), ROWS_AT_MOST, "arm"
    )
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, panels))


def cold(shown: ShownExperiment) -> Chart:
    """Return the chart of what a user waits for: everything from the command's start, against the steady part."""
    name, title = "cold", "Cold against steady"
    arms = shown.arms[:ROWS_AT_MOST]
    if all(each.row.figures.cold_s is None for each in arms):
        return Chart(name=name, title=title, caption="The time from the command's start was not measured.", draw=None)
    panels = [Panel(axis="tasks/s, cold and steady", rows=tuple(_cold_row(each) for each in arms))]
    starts = {each.arm.name: each.row.figures.first_send_s for each in arms}
    if any(value is not None for value in starts.values()):
        unit, per_s = unit_for(starts.values())
        panels.append(_bars(arms, starts, f"command to first request ({unit})", per_s))
    caption = (
        "Full colour: tasks a second from the command's start to the last answer, Python, imports and slots that ran "
        "out included. Pale: how much more the steady part does. Short cells are mostly start."
    ) + left_out(len(shown.arms), ROWS_AT_MOST, "arm")
    return Chart(name=name, title=title, caption=caption, draw=lambda paper: draw_rows(paper, panels))


def _cold_row(each: ShownArm) -> Row:
    tasks = median(cell.tasks for cell in each.counting) if each.counting else None
    cold_s, steady_rate = each.row.figures.cold_s, each.row.figures.throughput
    rate = tasks / cold_s if tasks and cold_s else None
    return Row(
        label=each.drawn,
        mark=each.mark,
        value=rate,
        more=max(0.0, steady_rate - rate) if rate is not None and steady_rate is not None else 0.0,
        text=_marked(each, f"{number(rate)} / {number(steady_rate)} ({seconds(cold_s)})"),
        hatched=not each.valid,
    )
