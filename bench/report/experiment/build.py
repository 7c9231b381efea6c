"""From an experiment's directory to its `report.html` and charts, or to a page of Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.experiment.store import EXPERIMENT
from bench.journal import write_atomically
from bench.report.build import PAGE, write_charts
from bench.report.experiment import charts as drawings
from bench.report.experiment.curves import in_flight, spreads, top_times
from bench.report.experiment.goals import goal_tables
from bench.report.experiment.meanings import meanings_table
from bench.report.experiment.phases import phase_chart, phase_table
from bench.report.experiment.plan import environment_table, facts, heading, plan_table
from bench.report.experiment.shown import read
from bench.report.experiment.tables import (
    arms_table,
    cells_table,
    conditions_table,
    reasons_table,
)
from bench.report.experiment.verdicts import comparison_tables, scaling_table, speed_up_table
from bench.report.fonts import ChartFonts
from bench.report.page import page
from bench.report.provenance import address
from bench.report.render import Classes, render
from bench.report.table import Link
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.report.chart import Chart
    from bench.report.experiment.shown import ShownExperiment
    from bench.report.render import Drawn
    from bench.report.table import Table

#: The names of all charts that the report of an experiment has.
CHART_NAMES: Final = frozenset(
    {
        "throughput",
        "latency",
        "latency_spread",
        "ttft_spread",
        "success",
        "client_share",
        "in_flight",
        "cost",
        "phases",
        "cold",
    }
)


@dataclass(frozen=True, kw_only=True)
class ExperimentContent:
    """All that the page of an experiment says; text in it is plain and is escaped where it is put into the page.

    Attributes:
        heading: The title.
        lead: The first sentences: the verdict.
        facts: Name and value of what was compared.
        differences: What the arms did not do alike.
        warnings: What makes the figures less certain.
        charts: In order, those with nothing to draw as well.
        tables: In order.
        experiment_id: Its id.
        command: What does it again.
        files: Its own raw files.
        pictures: The files of the charts.
    """

    heading: str
    lead: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    differences: tuple[str, ...]
    warnings: tuple[str, ...]
    charts: Sequence[Drawn]
    tables: Sequence[Table]
    experiment_id: str
    command: str
    files: tuple[Link, ...]
    pictures: Sequence[Link]


def build_experiment_report(directory: Path, out_dir: Path | None = None) -> Path:
    """Write `report.html` and `charts/*.png` about an experiment and return the page's path.

    The same experiment gives the same bytes. Cells whose records are gone are said to be so; the rest is shown. Not for
    use from two threads at once: matplotlib's settings are the process's.

    Args:
        directory: The experiment's.
        out_dir: Made if absent; None for the experiment's own directory.

    Raises:
        ConfigError: It cannot be read, or is damaged.
        JournalError: The report cannot be written.
    """
    out_dir = directory if out_dir is None else out_dir
    fonts = ChartFonts()
    shown = read(directory, fonts)
    classes = Classes()
    above = tuple(fonts.drawable(note) for note in _notes(shown))
    drawn = [render(chart, families=fonts.families, notes=above, classes=classes) for chart in _charts(shown, out_dir)]
    pictures = write_charts([(one.chart.name, one.png) for one in drawn if one.png], out_dir, CHART_NAMES)
    content = ExperimentContent(
        heading=heading(shown),
        lead=_visible(shown.analysis.headline),
        facts=facts(shown),
        differences=_visible(shown.analysis.differences),
        warnings=_visible(shown.analysis.warnings),
        charts=drawn,
        tables=_tables(shown, out_dir),
        experiment_id=visible(shown.experiment.experiment_id),
        command=visible(shown.experiment.command),
        files=_files(directory, out_dir),
        pictures=pictures,
    )
    path = out_dir / PAGE
    write_atomically(path, page(content, classes, template="experiment.html.j2", kind="experiment").encode())
    return path


def _visible(sentences: Sequence[str]) -> tuple[str, ...]:
    return tuple(visible(sentence) for sentence in sentences)


def _charts(shown: ShownExperiment, out_dir: Path) -> tuple[Chart, ...]:
    tops = top_times(shown)
    return (
        drawings.throughput(shown),
        drawings.latency(shown),
        *spreads(shown, tops, out_dir),
        drawings.success(shown),
        drawings.client_share(shown),
        in_flight(tops, out_dir),
        drawings.cost(shown),
        phase_chart(shown),
        drawings.cold(shown),
    )


def _tables(shown: ShownExperiment, out_dir: Path) -> tuple[Table, ...]:
    return (
        arms_table(shown, out_dir),
        *goal_tables(shown),
        *comparison_tables(shown),
        speed_up_table(shown),
        scaling_table(shown),
        reasons_table(shown),
        cells_table(shown, out_dir),
        conditions_table(shown),
        phase_table(shown),
        meanings_table(),
        plan_table(shown),
        environment_table(shown),
    )


def _notes(shown: ShownExperiment) -> tuple[str, ...]:
    """Return the lines that stand above a chart in a file of its own."""
    said = dict(facts(shown))
    return (
        f"{said['Modes']}; {said['Load']}; {said['Clients']}; {said['Cells']}",
        visible(shown.experiment.experiment_id),
    )


def _files(directory: Path, out_dir: Path) -> tuple[Link, ...]:
    names = [EXPERIMENT, *sorted(path.name for path in directory.glob("tasks-*.jsonl"))]
    return tuple(Link(text=visible(name), address=address(directory / name, out_dir)) for name in names)
