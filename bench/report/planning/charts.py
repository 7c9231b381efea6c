"""The chart of a plan: how long the work takes and what it costs, against the number of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.planning.words import unit_for
from bench.report.chart import Chart
from bench.report.experiment.against_n import Plot, Spot, draw_plots
from bench.report.sheet import Mark
from bench.report.theme import DASHES, MARKERS, SPARE_ROLES, role_of_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.planning.records import Answer, Choice, PlanRecord, Row

#: More lines than this are not told apart.
_LINES_AT_MOST: Final = 6

#: Name of the one chart.
NAME: Final = "machines"

_TITLE: Final = "Duration and cost against machines"


def machines_chart(record: PlanRecord) -> Chart:
    """Return the chart: a line for each mode, client and N, with intervals; the recommended one first."""
    lines = _lines(record)
    answers = [row.answer for _, rows in lines for row in rows if row.answer is not None]
    if not answers:
        return Chart(name=NAME, title=_TITLE, caption="Nothing to show: nothing of this is told.", draw=None)
    unit, unit_s = unit_for(max(answer.duration_s for answer in answers))
    plots = [
        _plot("How long it takes", f"duration ({unit})", lines, lambda each: _duration(each, unit_s)),
    ]
    caption = "A number of machines of which the measurement does not tell has no point. Bars are 95 % intervals."
    if all(answer.money is not None for answer in answers):
        plots.append(_plot("What it costs", f"money ({record.wanted.prices.currency})", lines, _money))
    else:
        caption += " What it costs is n/a without prices."
    left = len(_kinds(record)) - len(lines)
    if left > 0:
        caption += f" {left} more in the table below."
    columns = len(plots)
    return Chart(
        name=NAME,
        title=_TITLE,
        caption=caption,
        draw=lambda paper: draw_plots(paper, plots, columns=columns, across="machines"),
    )


def _lines(record: PlanRecord) -> list[tuple[Mark, tuple[Row, ...]]]:
    """Return the rows that are told by mode, client and N, each with its look."""
    kinds = _kinds(record)
    if record.recommended is not None:
        best = _kind(record.rows[record.recommended].choice)
        kinds.sort(key=lambda kind: kind != best)
    kinds = kinds[:_LINES_AT_MOST]
    several = len({mode for mode, _, _ in kinds}) < len(kinds)
    found = []
    for place, (mode, client, n) in enumerate(kinds):
        mark = Mark(
            label=f"{client}/{mode}, N = {n:,}",
            role=SPARE_ROLES[place] if several else role_of_mode(mode),
            marker=list(MARKERS.values())[place],
            dash=DASHES[place],
        )
        rows = tuple(row for row in record.rows if _kind(row.choice) == (mode, client, n) and row.answer is not None)
        found.append((mark, rows))
    return found


def _kinds(record: PlanRecord) -> list[tuple[str, str, int]]:
    return list(dict.fromkeys(_kind(row.choice) for row in record.rows if row.answer is not None))


def _kind(choice: Choice) -> tuple[str, str, int]:
    return choice.mode, choice.client, choice.n


def _plot(
    title: str,
    label: str,
    lines: Sequence[tuple[Mark, tuple[Row, ...]]],
    value: Callable[[Answer], tuple[float, float | None, float | None]],
) -> Plot:
    return Plot(
        title=title,
        label=label,
        lines=tuple(
            (
                mark,
                tuple(
                    Spot(n=row.choice.machines, value=middle, low=low, high=high, counts=True)
                    for row in rows
                    if row.answer is not None
                    for middle, low, high in (value(row.answer),)
                ),
            )
            for mark, rows in lines
        ),
    )


def _duration(answer: Answer, unit_s: float) -> tuple[float, float, float]:
    return answer.duration_s / unit_s, answer.low_s / unit_s, answer.high_s / unit_s


def _money(answer: Answer) -> tuple[float, None, None]:
    return answer.money or 0.0, None, None
