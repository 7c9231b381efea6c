"""`traces review`: tables in the terminal and a page, from a run's records and from what LangSmith has of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.cli.messages import say, warn
from bench.errors import ConfigError
from bench.observe.text import printable
from bench.report.review.build import build_review, review_tables
from bench.report.review.load import review
from bench.report.review.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.report.review.load import Reviewed
    from bench.report.table import Cell, Table
    from bench.tracing.destination import Destination

#: What stands on the page alone: it is long.
_ON_THE_PAGE: Final = frozenset({"iterations"})

#: More tasks than this are no list to look at.
_SLOWEST_AT_MOST: Final = 1000

#: Columns of a terminal that is none.
_PLAIN_COLUMNS: Final = 160


def show_review(run: Path, other: Path | None, *, to: Destination | None, slowest: int, failed_only: bool) -> None:
    """Review a run: print its tables, and write the page into its directory.

    Args:
        run: The run's directory.
        other: Another run, to look at beside it.
        to: Where its traces are, if that is known.
        slowest: How many of the slowest tasks are shown.
        failed_only: Look at tasks alone that did not succeed.

    Raises:
        ConfigError: A run is damaged, or a number is out of range.
        JournalError: The page cannot be written.
    """
    if not 0 <= slowest <= _SLOWEST_AT_MOST:
        raise ConfigError(f"--slowest must be from 0 to {_SLOWEST_AT_MOST}, got {slowest}")

    def read(path: Path) -> Reviewed:
        return review(path, slowest=slowest, failed_only=failed_only, compared=other is not None)

    reviewed, beside = read(run), None if other is None else read(other)
    remote = _remote(run, to)
    tables = review_tables(reviewed, remote, beside)
    console = _console()
    for table in tables:
        if table.name not in _ON_THE_PAGE:
            _print(console, table)
    if remote.reason is not None:
        warn(f"LangSmith could not be read ({printable(remote.reason)}): the review is made of the records alone")
    say(f"review:  {printable(str(build_review(reviewed, remote, beside)))}")


def _remote(run: Path, to: Destination | None) -> Remote:
    if to is None:
        return Remote()
    # Here, because LangSmith's client takes a second to import.
    from bench.tracing.read import join  # noqa: PLC0415

    joined = join(run, to)
    return Remote(
        asked=to.endpoint,
        reason=joined.reason,
        here=joined.here,
        there=joined.there,
        missing=tuple(joined.missing),
        foreign=tuple(joined.foreign),
        moved=tuple(joined.moved),
        url=joined.url,
    )


def _console() -> Console:
    is_terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, highlight=False, width=None if is_terminal else _PLAIN_COLUMNS, soft_wrap=False)


def _print(console: Console, table: Table) -> None:
    say(f"\n{table.title}")
    if not table.rows:
        say(table.empty)
        return
    if table.intro:
        say(table.intro)
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for column in table.columns:
        grid.add_column(column.name, justify="right" if column.numeric else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(*map(_text(table), row))
    console.print(grid)


def _text(table: Table) -> Callable[[Cell], Text]:
    """Return what writes a cell; remarks that are the same in every review stay on the page."""
    with_notes = table.name != "spent"

    def write(cell: Cell) -> Text:
        return Text(printable(f"{cell.text} {cell.note}" if with_notes and cell.note else cell.text))

    return write
