"""The starts of runs that were resumed: when, where, and with which other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.report.numbers import NOT_AVAILABLE, count
from bench.report.table import Cell, Table, cells, figures, texts
from bench.report.visible import visible
from bench.report.words import utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.manifest import Segment
    from bench.report.series import ShownRun

_VALUE_AT_MOST: Final = 100


def segments(shown: Sequence[ShownRun]) -> tuple[Table, ...]:
    """Return the table of the segments of all runs that have several, or nothing where none has."""
    resumed = [item for item in shown if len(item.run.manifest.segments) > 1]
    if not resumed:
        return ()
    table = Table(
        name="segments",
        title="Starts",
        intro="A run that was ended and resumed has a segment for each start. Its times count from its first request, "
        "and pauses between segments take no time in them.",
        columns=(
            *texts("run"),
            *figures("segment", "tasks to do"),
            *texts("started", "ended", "host", "process", "settings changed"),
        ),
        rows=tuple(
            _row(item.name, number, segment)
            for item in resumed
            for number, segment in enumerate(item.run.manifest.segments)
        ),
    )
    return (table,)


def _row(name: str, number: int, segment: Segment) -> tuple[Cell, ...]:
    changed = (f"{key} {value}" for key, value in segment.changed.items())
    return cells(
        name,
        count(number),
        NOT_AVAILABLE if segment.tasks is None else count(segment.tasks),
        utc(visible(segment.started_at, at_most=_VALUE_AT_MOST)),
        "not told" if segment.ended_at is None else utc(visible(segment.ended_at, at_most=_VALUE_AT_MOST)),
        visible(segment.host, at_most=_VALUE_AT_MOST),
        str(segment.pid)[:_VALUE_AT_MOST],
        visible(", ".join(changed) or "none", at_most=_VALUE_AT_MOST),
    )
