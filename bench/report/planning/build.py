"""From a plan to its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.journal import write_atomically
from bench.planning.words import choice_words, duration, headline, interval, money, tokens
from bench.report.build import PAGE, write_charts
from bench.report.fonts import ChartFonts
from bench.report.numbers import NOT_AVAILABLE, count, number, of_things, percent
from bench.report.page import page
from bench.report.planning.charts import NAME, machines_chart
from bench.report.render import Classes, render
from bench.report.table import Cell, Table, cells, figures, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.planning.records import Answer, PlanRecord, Row, Wanted
    from bench.report.render import Drawn
    from bench.report.table import Link

CHART_NAMES: Final = frozenset({NAME})


@dataclass(frozen=True, kw_only=True)
class PlanContent:
    """All that the page of a plan says; text in it is plain and is escaped where it is put into the page.

    Attributes:
        heading: The title.
        lead: The first sentences: what is recommended.
        facts: Name and value of what is to be done.
        cautions: What makes the figures less certain.
        charts: In order.
        tables: In order.
        plan_id: Its id.
        run: The command that does what is recommended; empty where nothing is.
        settle: Commands that would tell what is not told.
        command: What plans again.
        pictures: The files of the charts.
    """

    heading: str
    lead: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    charts: Sequence[Drawn]
    tables: Sequence[Table]
    plan_id: str
    run: str
    settle: tuple[str, ...]
    command: str
    pictures: Sequence[Link]


def build_plan_report(record: PlanRecord, out_dir: Path) -> Path:
    """Write `report.html` and `charts/*.png` about a plan and return the page's path.

    The same plan gives the same bytes. Not for use from two threads at once: matplotlib's settings are the process's.

    Args:
        record: The plan.
        out_dir: Made if absent.

    Raises:
        ConfigError: The directory cannot be made.
        JournalError: The report cannot be written.
    """
    fonts, classes = ChartFonts(), Classes()
    heading = f"{of_things(record.wanted.tasks, 'task')} planned"
    notes = (fonts.drawable(visible(f"{heading}, from {', '.join(record.sources)}")),)
    drawn = [render(machines_chart(record), families=fonts.families, notes=notes, classes=classes)]
    pictures = write_charts([(one.chart.name, one.png) for one in drawn if one.png], out_dir, CHART_NAMES)
    content = PlanContent(
        heading=heading,
        lead=(visible(headline(record)),),
        facts=_facts(record.wanted, record.sources),
        cautions=tuple(visible(caution) for caution in record.cautions),
        charts=drawn,
        tables=(_told(record), _untold(record)),
        plan_id=visible(record.plan_id),
        run=visible(record.run),
        settle=tuple(visible(command) for command in record.settle),
        command=visible(record.command),
        pictures=pictures,
    )
    path = out_dir / PAGE
    write_atomically(path, page(content, classes, template="plan.html.j2", kind="plan").encode())
    return path


def _facts(wanted: Wanted, sources: Sequence[str]) -> tuple[tuple[str, str], ...]:
    limits, prices = wanted.limits, wanted.prices
    found = {
        "Measured by": visible(", ".join(sources)),
        "Time": "any" if wanted.within_s is None else f"at most {duration(wanted.within_s)}",
        "Money": "any" if wanted.money is None else f"at most {money(wanted.money, prices)}",
        "Requests a minute": number(limits.requests_per_min) if limits.requests_per_min else "no limit given",
        "Tokens a minute": number(limits.tokens_per_min) if limits.tokens_per_min else "no limit given",
        "In flight": count(limits.in_flight) if limits.in_flight else "no limit given",
        "Price of a million tokens": f"{number(prices.per_million_in)} in, {number(prices.per_million_out)} out "
        f"({visible(prices.currency)})",
    }
    return tuple(found.items())


def _told(record: PlanRecord) -> Table:
    names = ("N", "machines", "duration", "95 % interval", "tokens in", "tokens out", "money", "failed", "CPU time")
    best = None if record.recommended is None else record.rows[record.recommended]
    return Table(
        name="choices",
        title="Choices",
        intro="Durations are from the first request to the last answer. What binds is the limit without which the work "
        "would be done soonest; beside it stands how much of each limit is used.",
        columns=(*texts("client/mode"), *figures(*names), *texts("what binds")),
        rows=tuple(
            _row(row, row.answer, record.wanted, is_best=row is best) for row in record.rows if row.answer is not None
        ),
        empty="Nothing of this is told by what was measured.",
    )


def _row(row: Row, answer: Answer, wanted: Wanted, *, is_best: bool) -> tuple[Cell, ...]:
    choice = row.choice
    return (
        Cell(text=visible(f"{choice.client}/{choice.mode}"), note="recommended" if is_best else ""),
        *cells(
            count(choice.n),
            count(choice.machines),
            duration(answer.duration_s),
            interval(answer),
            tokens(answer.prompt_tokens),
            tokens(answer.completion_tokens),
            visible(money(answer.money, wanted.prices)),
            percent(answer.failed),
            NOT_AVAILABLE if answer.cpu_s is None else duration(answer.cpu_s),
        ),
        Cell(
            text=answer.bound, note=", ".join(f"{name} {percent(min(1.0, used))}" for name, used in answer.busy.items())
        ),
    )


def _untold(record: PlanRecord) -> Table:
    def told_by(row: Row) -> str:
        return f"a run at N = {', '.join(map(count, row.settle_n))}"

    return Table(
        name="untold",
        title="What the measurement does not tell",
        folded=True,
        columns=texts("choice", "why not", "what would tell"),
        rows=tuple(
            cells(visible(choice_words(row.choice)), visible(row.reason), told_by(row))
            for row in record.rows
            if row.answer is None
        ),
        empty="It tells of every choice.",
    )
