"""The end of a run: its journal is closed, its numbers and its document are written."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bench.errors import JournalError
from bench.executor.document import write_document
from bench.executor.opening import concluded
from bench.journal import SUMMARY, write_atomically
from bench.summary import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.executor.opening import OpenRun
    from bench.manifest import HarnessCost, NodeFacts
    from bench.records import RunStatus

_log = logging.getLogger("bench.executor")


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        directory: The run's directory; everything is in it.
        status: `completed` (every task has its record), `interrupted` or `failed`.
        error: Why it failed.
        summary: Its numbers.
    """

    directory: Path
    status: RunStatus
    error: str | None
    summary: Summary


def close(
    opened: OpenRun,
    error: str | None,
    cost: HarnessCost,
    *,
    nodes: Sequence[NodeFacts],
    is_whole: bool,
    output: Path | None,
) -> RunOutcome:
    """Write what concludes a run; of several reasons why it failed, the first is told.

    Args:
        opened: The run.
        error: Why it had to stop, if it had to.
        cost: What the harness cost.
        nodes: The nodes that took part.
        is_whole: Whether each task that was left has its record.
        output: Where its document goes, if anywhere.

    Raises:
        JournalError: The records cannot be read back.
    """
    failures = [error] if error else []
    journal = opened.journal
    opened.reserve.release()
    with _noted(failures):
        journal.sync()
    status: RunStatus = "failed" if failures else "completed" if is_whole else "interrupted"
    with _noted(failures):
        journal.close(concluded(journal.manifest, status, next(iter(failures), None), cost, nodes))
    summary = _summary(journal.directory, failures)
    with _noted(failures):
        write_atomically(journal.directory / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2))
    with _noted(failures):
        if output is not None:
            write_document(journal.directory, summary, output)
    _log.info("%s: %d ok, %d failed in %s s", status, summary.tasks.ok, summary.tasks.failed, summary.wall_s)
    return RunOutcome(
        directory=journal.directory,
        status="failed" if failures else status,
        error=failures[0] if failures else None,
        summary=summary,
    )


def _summary(directory: Path, failures: list[str]) -> Summary:
    try:
        return summarise(directory)
    except JournalError as error:
        # Where there are no records any more, the reason for that says more than that they cannot be read.
        raise JournalError(next(iter(failures), str(error))) from error


@contextlib.contextmanager
def _noted(failures: list[str]) -> Iterator[None]:
    """Note in words that something could not be written, and go on."""
    try:
        yield
    except JournalError as failure:
        failures.append(str(failure))
