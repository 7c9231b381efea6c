"""The table of items of which a version has no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.report.numbers import count
from bench.report.table import Table, cells, figures, texts
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.series import ShownRun
    from bench.report.table import Cell
    from bench.summary.figures import ItemRow

#: Titles can be whole sentences.
_TITLE_AT_MOST: Final = 200


def version_tables(shown: Sequence[ShownRun]) -> tuple[Table, ...]:
    """Return a table of the items that lack a version, if a run had several versions of each."""
    several = [item for item in shown if item.run.summary.versions is not None]
    if not several:
        return ()
    rows = tuple(
        _row(item.name, row)
        for item in several
        if item.run.summary.versions is not None
        for row in item.run.summary.versions.lacking
    )
    table = Table(
        name="versions",
        title="Versions",
        intro="; ".join(map(_said, several)) + ". Below are items of which a version failed." if rows else "",
        columns=(*texts("run", "item"), *figures("iteration", "ok", "failed"), *texts("errors")),
        rows=rows,
        empty="; ".join(map(_said, several)) + ".",
    )
    return (table,)


def _said(item: ShownRun) -> str:
    """Say how many items have how many versions."""
    versions = item.run.summary.versions
    if versions is None:
        return ""
    parts = [
        f"{count(items)} with {succeeded} of {versions.per_item}"
        for succeeded, items in reversed(list(enumerate(versions.by_succeeded)))
        if items
    ]
    return f"{item.name}: items {', '.join(parts)}" if parts else f"{item.name}: no item has an answer yet"


def _row(run: str, row: ItemRow) -> tuple[Cell, ...]:
    title = row.chapter or row.topic or ""
    return cells(
        run,
        visible(f"{row.index + 1} {title}".strip(), at_most=_TITLE_AT_MOST),
        *(count(row.iteration + 1), count(row.ok), count(row.failed)),
        ", ".join(row.errors),
    )
