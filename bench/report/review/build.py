"""From a run's records to the page of its review, and the tables that a terminal shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.journal import LOG, MANIFEST, TASKS, WORKLOAD, write_atomically
from bench.report.fonts import ChartFonts
from bench.report.numbers import count, of_things, percent, seconds
from bench.report.page import page
from bench.report.provenance import address
from bench.report.render import Classes, render
from bench.report.review.load import ITERATIONS_DRAWN
from bench.report.review.tables import (
    compared_table,
    failed_table,
    iterations_table,
    langsmith_table,
    parts_compared,
    slowest_table,
    spent_table,
)
from bench.report.review.waterfall import waterfalls
from bench.report.table import Link
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.report.render import Drawn
    from bench.report.review.load import Reviewed
    from bench.report.review.remote import Remote
    from bench.report.table import Table

PAGE: Final = "review.html"

_FILES: Final = (MANIFEST, WORKLOAD, TASKS, LOG)


@dataclass(frozen=True, kw_only=True)
class ReviewContent:
    """All that the page says; text in it is plain and is escaped where it is put into the page.

    Attributes:
        heading: The title.
        lead: The first sentences.
        facts: Name and value of what was looked at.
        charts: The waterfalls.
        tables: In order; the first stands above the charts.
        files: The raw files.
    """

    heading: str
    lead: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    charts: Sequence[Drawn]
    tables: Sequence[Table]
    files: Sequence[Link]


def review_tables(reviewed: Reviewed, remote: Remote, other: Reviewed | None = None) -> tuple[Table, ...]:
    """Return the tables of a review, in order.

    Args:
        reviewed: The run.
        remote: What LangSmith has of it.
        other: Another run of the same work, to look at beside it.
    """
    beside = () if other is None else (parts_compared(reviewed, other), compared_table(reviewed, other))
    return (
        spent_table(reviewed),
        slowest_table(reviewed),
        failed_table(reviewed),
        *beside,
        iterations_table(reviewed, remote),
        langsmith_table(remote),
    )


def build_review(reviewed: Reviewed, remote: Remote, other: Reviewed | None = None) -> Path:
    """Write `review.html` into the run's directory and return its path; not for use from two threads at once.

    Raises:
        JournalError: It cannot be written.
    """
    fonts, classes = ChartFonts(), Classes()
    charts = [
        render(chart, families=fonts.families, notes=(), classes=classes)
        for chart in waterfalls(reviewed, fonts.drawable)
    ]
    content = ReviewContent(
        heading=visible(reviewed.manifest.run_id),
        lead=(_lead(reviewed), *_drawn(reviewed)),
        facts=_facts(reviewed, remote),
        charts=charts,
        tables=review_tables(reviewed, remote, other),
        files=[
            Link(text=name, address=address(reviewed.path / name, reviewed.path))
            for name in _FILES
            if (reviewed.path / name).is_file()
        ],
    )
    path = reviewed.path / PAGE
    write_atomically(path, page(content, classes, template="review.html.j2", kind="review").encode())
    return path


def _lead(reviewed: Reviewed) -> str:
    """Say in a sentence where the most time went."""
    sums = {phase: sum(column) for phase, column in reviewed.shares.items()}
    total_s = sum(sums.values())
    if not total_s:
        return f"{of_things(reviewed.total, 'task')}."
    most = max(sums, key=lambda phase: sums[phase])
    share = percent(sums[most] / total_s)
    return f"{of_things(reviewed.total, 'task')}; {share} of their time was {most}."


def _drawn(reviewed: Reviewed) -> tuple[str, ...]:
    left = len(reviewed.iterations) - ITERATIONS_DRAWN
    return (f"The first {ITERATIONS_DRAWN} iterations are drawn, {left} more are in the table.",) if left > 0 else ()


def _facts(reviewed: Reviewed, remote: Remote) -> tuple[tuple[str, str], ...]:
    manifest = reviewed.manifest
    slowest = reviewed.slowest[0].latency_s if reviewed.slowest else None
    return (
        ("mode", f"{manifest.mode}, {of_things(manifest.concurrency, 'slot')}"),
        ("iterations", count(len(reviewed.iterations))),
        ("did not succeed", count(reviewed.failed_total)),
        ("slowest task", seconds(slowest)),
        ("provider", visible(str(manifest.endpoint.get("provider")), at_most=60)),
        ("LangSmith", _langsmith(remote)),
    )


def _langsmith(remote: Remote) -> str:
    if remote.asked is None:
        return "not asked"
    return "could not be read" if remote.reason is not None else f"{count(remote.there)} of {count(remote.here)} spans"
