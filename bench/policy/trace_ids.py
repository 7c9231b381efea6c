"""Ids of traces and of the spans in them, from what a record says: whoever computes one gets the same.

They have the form of UUID version 7 (RFC 9562): 48 bits of milliseconds since 1970, and bits that are random there and
are here those of a sha256 over what the id stands for.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

#: How the start of a run is written in its id.
_STAMP: Final = "%Y%m%dT%H%M%SZ"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

#: Version 7 and variant 1 0, and where the bits go that are free.
_VERSION: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62
_LOW_62: Final = (1 << 62) - 1
_LOW_12: Final = (1 << 12) - 1
_LOW_48: Final = (1 << 48) - 1


def trace_id(run_id: str, iteration: int) -> str:
    """Return the id of the trace of an iteration, which is that of its root span too; its time is the run's start."""
    return _shaped(_run_start_ms(run_id), f"{run_id}/{iteration}")


def task_span_id(run_id: str, task_id: str, segment: int, started_at: str) -> str:
    """Return the id of a record's span.

    Args:
        run_id: The run.
        task_id: The task.
        segment: The start of the run that made the record: a task that was done again has a span for each.
        started_at: The record's UTC label.
    """
    return _shaped(_label_ms(started_at), f"{run_id}/{task_id}/{segment}")


def attempt_span_id(run_id: str, task_id: str, segment: int, started_at: str, number: int) -> str:
    """Return the id of the span of a record's attempt `number`, counted from 0; the rest as in `task_span_id`."""
    return _shaped(_label_ms(started_at), f"{run_id}/{task_id}/{segment}/{number}")


def is_sampled(span_id: str, share: float) -> bool:
    """Say whether a span belongs to a sample of this share, from 0 to 1; the same answer for the same id."""
    return int(span_id[-12:], 16) < share * (_LOW_48 + 1)


def _shaped(ms: int, identity: str) -> str:
    bits = int.from_bytes(hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest())
    value = ((ms & _LOW_48) << 80) | _VERSION | ((bits >> 64) & _LOW_12) << 64 | _VARIANT | (bits & _LOW_62)
    return str(uuid.UUID(int=value))


def _run_start_ms(run_id: str) -> int:
    """Return the start that a run's id names, 0 for an id that names none."""
    try:
        start = datetime.strptime(run_id.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return 0
    return (start - _EPOCH) // _MS


def _label_ms(label: str) -> int:
    """Return the milliseconds since 1970 of a UTC label, 0 for what is none."""
    try:
        return (datetime.fromisoformat(label) - _EPOCH) // _MS
    except (ValueError, TypeError):
        return 0
