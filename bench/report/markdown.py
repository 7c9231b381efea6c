"""A report as Markdown for a pull request: what came out, in 60 lines or so, on standard output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bench.experiment.headline import first_metric
from bench.report.experiment.goals import goal_tables
from bench.report.experiment.plan import heading as experiment_heading
from bench.report.experiment.shown import read
from bench.report.experiment.tables import arms_table, reasons_table
from bench.report.experiment.verdicts import comparison_tables
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.series import arrange
from bench.report.tables import tables
from bench.report.visible import visible
from bench.report.words import heading, lead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.report.table import Cell, Table

#: Rows of each table: together with headings and the first sentences a page stays within 60 lines, and within 80 where
#: objectives or arrivals have tables as well.
_ARMS_AT_MOST: Final = 12
_GOALS_AT_MOST: Final = 6
_VERDICTS_AT_MOST: Final = 10
_REASONS_AT_MOST: Final = 7
_RUNS_AT_MOST: Final = 12
_SENTENCES_AT_MOST: Final = 9
_WARNINGS_AT_MOST: Final = 4

#: A command can name a million topics.
_COMMAND_AT_MOST: Final = 400

#: The columns of a page that say where raw files are: there are none behind a pull request.
_LINKS: Final = frozenset({"raw"})

#: What means something to Markdown or to HTML; a backslash before it makes it a character.
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>|~#&$])")


def escaped(text: str) -> str:
    """Return text that Markdown shows as it stands, on one line."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))


def code(text: str) -> str:
    """Return text as Markdown's code, between more backticks than it has in a row."""
    shown = visible(" ".join(text.split()), at_most=_COMMAND_AT_MOST)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def experiment_markdown(directory: Path) -> str:
    """Return an experiment's page: first sentences, arms, what was asked of them, verdicts, and what does not count.

    The verdicts are those on what the first sentence is about.

    Raises:
        ConfigError: It cannot be read, or is damaged.
    """
    shown = read(directory)
    analysis = shown.analysis
    judged = f"verdicts-{first_metric(shown.experiment.plan).replace('_', '-')}"
    verdicts = next(table for table in comparison_tables(shown, decided_first=True) if table.name == judged)
    lines = [f"## {escaped(experiment_heading(shown))}", ""]
    lines += [f"{escaped(sentence)}  " for sentence in analysis.headline[:_SENTENCES_AT_MOST]]
    notes = [*(f"not alike: {words}" for words in analysis.differences), *analysis.warnings]
    if notes:
        lines += ["", *(f"- {escaped(note)}" for note in notes[:_WARNINGS_AT_MOST])]
        lines += [f"- and {len(notes) - _WARNINGS_AT_MOST} more"] if len(notes) > _WARNINGS_AT_MOST else []
    lines += ["", *_table(arms_table(shown, directory, highest_first=True), _ARMS_AT_MOST)]
    for goals in goal_tables(shown):
        lines += ["", *_table(goals, _GOALS_AT_MOST)]
    lines += ["", *_table(verdicts, _VERDICTS_AT_MOST)]
    reasons = reasons_table(shown)
    lines += ["", *_table(reasons, _REASONS_AT_MOST)]
    lines += ["", escaped(reasons.intro)] if reasons.rows and reasons.intro else []
    again = code(shown.experiment.command)
    lines += ["", f"Experiment {escaped(shown.experiment.experiment_id)}; again: {again}"]
    return "\n".join(lines) + "\n"


def runs_markdown(runs: Sequence[Path]) -> str:
    """Return the page of one run, or of several: first sentences, figures, times and errors.

    Raises:
        ConfigError: One is not a run, or damaged.
    """
    shown = arrange([load(run) for run in dict.fromkeys(run.resolve() for run in runs)], ChartFonts())
    wanted = ("runs", "times", "latency", "ttft", "errors")
    found = [table for table in tables(shown) if table.name in (*wanted, "routes")]
    lines = [f"## {escaped(heading(shown))}", "", *(f"{escaped(sentence)}  " for sentence in lead(shown))]
    for table in found:
        lines += ["", *_table(table, _RUNS_AT_MOST if len(shown) == 1 else _REASONS_AT_MOST)]
    return "\n".join(lines) + "\n"


def _table(table: Table, at_most: int) -> Iterator[str]:
    yield f"**{escaped(table.title)}**"
    yield ""
    if not table.rows:
        yield escaped(table.empty)
        return
    kept = [place for place, column in enumerate(table.columns) if column.name not in _LINKS]
    yield f"| {' | '.join(escaped(table.columns[place].name) for place in kept)} |"
    yield f"|{'|'.join('--:' if table.columns[place].numeric else '---' for place in kept)}|"
    for row in table.rows[:at_most]:
        yield f"| {' | '.join(_field(row[place]) for place in kept)} |"
    if len(table.rows) > at_most:
        yield ""
        yield f"{len(table.rows) - at_most} more rows in the report."


def _field(cell: Cell) -> str:
    return escaped(f"{cell.text} ({cell.note})" if cell.note else cell.text)
