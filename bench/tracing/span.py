"""What a span is made of: the form in which LangSmith takes what it calls a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from bench.records import JsonObject

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SpanKind = Literal["chain", "llm"]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of a trace; times are in microseconds since 1970, UTC.

    Attributes:
        id: Its id.
        trace_id: That of the root.
        parent_id: The span that it is part of; None for the root.
        order: Where it stands in its trace: start and id of each span from the root down to it.
        name: What kind of work it is.
        kind: `llm` for a call of a model, `chain` for what is made of parts.
        start_us: Its start.
        end_us: Its end.
        inputs: What went in; None where that is hidden.
        outputs: What came out; None where that is hidden, or nothing came.
        error: Why it failed.
        events: Name and instant of what happened in it.
        metadata: What it may be searched by.
        tags: The same, as words.
    """

    id: str
    trace_id: str
    parent_id: str | None
    order: str
    name: str
    kind: SpanKind
    start_us: int
    end_us: int
    inputs: JsonObject | None = None
    outputs: JsonObject | None = None
    error: str | None = None
    events: tuple[tuple[str, int], ...] = ()
    metadata: JsonObject = {}
    tags: tuple[str, ...] = ()


def time_text(instant_us: int) -> str:
    """Return an instant as LangSmith's own client writes it."""
    return _at(instant_us).isoformat(timespec="microseconds")


def order_part(start_us: int, span_id: str) -> str:
    """Return a span's part of the order: its start without punctuation, and its id."""
    return f"{_at(start_us):%Y%m%dT%H%M%S%f}Z{span_id}"


def _at(instant_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant_us)
