"""A run's spans beside those that LangSmith has."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.clock import utc_us
from bench.journal import TASKS, decode_line, iter_lines, read_manifest
from bench.policy.trace_ids import trace_id
from bench.records import TaskResult
from bench.tracing.client import LangSmith, ReadError
from bench.tracing.make import ITERATION, Shown, SpanMaker

if TYPE_CHECKING:
    from pathlib import Path

    from bench.tracing.destination import Destination

#: What is kept of a span: kind, task and id.
Named = tuple[str, str, str]

#: Times are written to the microsecond; what a server may round.
_ROUNDING_US: Final = 1000


@dataclass(kw_only=True)
class Joined:
    """A run's spans beside LangSmith's.

    Attributes:
        here: How many spans the records make, roots included.
        there: How many of them LangSmith has.
        missing: Those that it has not.
        foreign: Those in the run's traces that no record makes.
        moved: Those that begin or end at another time there.
        reason: Why LangSmith could not be read, if it could not.
        url: The page of the project.
    """

    here: int = 0
    there: int = 0
    missing: list[Named] = field(default_factory=list)
    foreign: list[Named] = field(default_factory=list)
    moved: list[Named] = field(default_factory=list)
    reason: str | None = None
    url: str | None = None


def join(run: Path, to: Destination) -> Joined:
    """Read a run's traces back, an iteration at a time, and compare them with its records.

    Raises:
        JournalError: The run cannot be read.
    """
    langsmith = LangSmith(to)
    local = _local(run)
    joined = Joined(here=sum(len(spans) for spans in local.values()))
    try:
        for trace, spans in local.items():
            _join(joined, spans, {str(found["id"]): found for found in langsmith.runs_of(trace)})
        joined.url = langsmith.project_url()
    except ReadError as error:
        joined.reason = error.reason
    return joined


@dataclass(frozen=True)
class _Span:
    """A span of ours: what it is called, and its time; None for a root, whose time is its tasks'."""

    named: Named
    times_us: tuple[int, int] | None


def _local(run: Path) -> dict[str, dict[str, _Span]]:
    """Return the spans that a run's records make, by trace and by id."""
    manifest = read_manifest(run)
    maker = SpanMaker(manifest, Shown(inputs=False, outputs=False, metadata=False))
    decoder = msgspec.json.Decoder(TaskResult)
    local: dict[str, dict[str, _Span]] = {}
    for number, line in enumerate(iter_lines(run / TASKS), 1):
        record = decode_line(decoder, line, run / TASKS, number)
        root = trace_id(manifest.run_id, record.iteration)
        spans = local.setdefault(root, {root: _Span((ITERATION, f"iteration {record.iteration}", root), None)})
        for span in maker.of_record(record, None, 0):
            spans[span.id] = _Span((span.name, record.task_id, span.id), (span.start_us, span.end_us))
    return local


def _join(joined: Joined, spans: dict[str, _Span], found: dict[str, dict[str, Any]]) -> None:
    for span_id, span in spans.items():
        theirs = found.get(span_id)
        if theirs is None:
            joined.missing.append(span.named)
            continue
        joined.there += 1
        if span.times_us is not None and _is_moved(span.times_us, theirs):
            joined.moved.append(span.named)
    joined.foreign += [
        (str(theirs.get("run_type")), str(theirs.get("name")), span_id)
        for span_id, theirs in found.items()
        if span_id not in spans
    ]


def _is_moved(times_us: tuple[int, int], theirs: dict[str, Any]) -> bool:
    try:
        found = [_us(theirs[name]) for name in ("start_time", "end_time")]
    except (KeyError, TypeError, ValueError):
        return True
    return any(abs(ours - other) > _ROUNDING_US for ours, other in zip(times_us, found, strict=True))


def _us(text: str) -> int:
    instant = datetime.fromisoformat(text)
    # LangSmith answers without a zone, in UTC.
    return utc_us(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
