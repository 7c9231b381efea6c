"""What is read of each record for a run's numbers."""

from __future__ import annotations

import msgspec

from bench.errors import ErrorType
from bench.records import ErrorInfo, Status, TokenSource, WorkerId


class AttemptRow(msgspec.Struct, frozen=True, gc=False):
    """The fields of an Attempt that numbers are made of."""

    provider: str
    status: Status
    sent_s: float
    end_s: float
    http_status: int | None = None
    error_type: ErrorType | None = None
    error_message: str | None = None


class ResultRow(msgspec.Struct, frozen=True, gc=False):
    """The fields of a TaskResult that numbers are made of; never its text."""

    status: Status
    provider: str
    finish_reason: str | None
    error: ErrorInfo | None
    attempts: tuple[AttemptRow, ...]
    client: str
    transport: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    token_source: TokenSource | None
    started_s: float
    ended_s: float
    queue_s: float
    ttft_s: float | None
    latency_s: float
    service_s: float
    tpot_s: float | None
    icl_p50_s: float | None
    worker: WorkerId
    cached: bool = False
