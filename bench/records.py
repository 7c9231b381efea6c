"""What is stored: Task, Attempt, TaskResult and RunManifest, as immutable records that become one JSON line each.

Seconds are on the run's own clock: `perf_counter_ns` with zero at the segment's start. What was not measured is None.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.errors import ErrorType

#: Version of every stored file. 1: first version.
SCHEMA_VERSION: Final = 1

Mode = Literal["serial", "threading", "multiprocessing", "asyncio", "hybrid", "distributed"]
LoadModel = Literal["closed", "open"]
Status = Literal["ok", "failed", "cancelled"]
RunStatus = Literal["running", "completed", "interrupted", "failed"]
TokenSource = Literal["server", "estimated"]
JsonObject = dict[str, object]


class Task(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to make, with its labels.

    Attributes:
        index: Place in the source, from 0.
        iteration: Which repetition of the whole source, from 0.
        version: Which sample of the same request, from 0.
        messages: The chat messages, as the API takes them.
        params: Parameters of the request body besides model, messages and stream (`max_tokens`, `temperature`, ..).
        model: The model asked for, or None for the run's.
        topic: The topic, where the task came from one.
        chapter: The chapter title, where the task came from a book outline.
        custom_id: The caller's own id, where the task came from a batch file.
    """

    index: int
    messages: tuple[JsonObject, ...]
    params: JsonObject = {}
    iteration: int = 0
    version: int = 0
    model: str | None = None
    topic: str | None = None
    chapter: str | None = None
    custom_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse impossible values.

        Raises:
            ValueError: A negative place, or no messages.
        """
        if self.index < 0 or self.iteration < 0 or self.version < 0:
            msg = f"index, iteration and version count from 0, got {self.index}, {self.iteration}, {self.version}"
            raise ValueError(msg)
        if not self.messages:
            msg = f"task {self.task_id} has no messages"
            raise ValueError(msg)

    @property
    def task_id(self) -> str:
        """The id within the run: `<index>-i<iteration>-v<version>`."""
        return f"{self.index}-i{self.iteration}-v{self.version}"


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a task or an attempt did not succeed."""

    type: ErrorType
    message: str
    http_status: int | None = None
    retryable: bool = False


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a provider says of its limits in the head of an answer; None where it says nothing.

    Attributes:
        limit_requests: Requests that it allows, a minute as a rule.
        limit_tokens: Tokens that it allows.
        remaining_requests: Requests left.
        remaining_tokens: Tokens left.
        reset_requests_s: Until the requests are whole again, in seconds.
        reset_tokens_s: Until the tokens are whole again, in seconds.
    """

    limit_requests: float | None = None
    limit_tokens: float | None = None
    remaining_requests: float | None = None
    remaining_tokens: float | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call to one provider; instants in seconds on the run's clock, None where the client cannot see them.

    Attributes:
        provider: The provider's name.
        status: How it ended.
        http_status: Status of the answer.
        error_type: Type of the failure.
        error_message: What happened.
        retry_after_s: The server's Retry-After, as a duration.
        key: Which of the provider's keys it was made with, from 0.
        wait_before_s: Duration of the backoff before this attempt; 0 for the first.
        connect_s: Duration of making the connection; None where one was reused or the client cannot see it.
        sent_s: Instant at which the call was handed to the client.
        headers_s: Instant at which the answer's head was there.
        first_chunk_s: Instant of the first chunk of a stream.
        first_content_s: Instant of the first chunk with non-empty content or reasoning.
        last_content_s: Instant of the last such chunk.
        end_s: Instant at which the call returned.
        parse_s: Duration of parsing, where the client does it apart.
        rate_limits: What the provider said of its limits; only in profile `prod`, and left out where it said nothing.
    """

    provider: str
    status: Status
    sent_s: float
    end_s: float
    http_status: int | None = None
    error_type: ErrorType | None = None
    error_message: str | None = None
    retry_after_s: float | None = None
    key: int = 0
    wait_before_s: float = 0.0
    connect_s: float | None = None
    headers_s: float | None = None
    first_chunk_s: float | None = None
    first_content_s: float | None = None
    last_content_s: float | None = None
    parse_s: float | None = None
    rate_limits: RateLimits | msgspec.UnsetType = msgspec.UNSET


class WorkerId(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who did a task: the process, its thread, the slot (from 0) among the run's N; the node, in mode `distributed`."""

    pid: int
    thread: str
    slot: int
    node: str | msgspec.UnsetType = msgspec.UNSET


class TaskResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The one record of what happened to a task, success or failure; a line of `tasks.jsonl`.

    Attributes:
        task_id: `<index>-i<iteration>-v<version>`.
        segment: Which start or resume of the run made it, from 0.
        fingerprint: sha256 of messages, parameters and version.
        content: The answer's text; of a failed task what had arrived, if anything.
        finish_reason: As the server said it.
        attempts: Every call made, in order.
        cached: Whether the answer came from the cache.
        prompt_tokens: Tokens of the request.
        completion_tokens: Tokens of the answer.
        reasoning_tokens: Tokens spent on reasoning, part of completion_tokens.
        token_source: `server` where the server counted, `estimated` where one chunk was taken for one token.
        scheduled_s: Instant at which a slot asked for the task, in an open loop that of its arrival (see records.md).
        started_s: Instant at which its worker began.
        first_token_s: Instant of the first token of the last attempt.
        last_token_s: Instant of its last token.
        ended_s: Instant at which the worker was done.
        queue_s: `started_s - scheduled_s`.
        ttft_s: Time to first token: `first_token_s` minus the last attempt's `sent_s`; None if not streamed.
        latency_s: `ended_s - scheduled_s`.
        service_s: `ended_s - started_s`.
        tpot_s: Time per output token: (last token - first token) / (completion_tokens - 1).
        chunks: Chunks with content.
        icl_p50_s: Median gap between chunks with content; beside it the 99th percentile and the maximum.
        chunk_times_s: Instants of all content chunks, if asked for.
        started_at: UTC time at which the worker began, a label only.
        worker: Who did it.
        trace_id: Its trace, if traced.
        server_model: The model that the server says has answered, which need not be the one that was asked for.
    """

    schema_version: int = SCHEMA_VERSION
    task_id: str
    segment: int
    fingerprint: str
    index: int
    topic: str | None
    chapter: str | None
    iteration: int
    version: int
    custom_id: str | None
    mode: Mode
    client: str
    transport: str
    provider: str
    model: str
    status: Status
    content: str | None
    finish_reason: str | None
    error: ErrorInfo | None
    attempts: tuple[Attempt, ...]
    cached: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    token_source: TokenSource | None
    scheduled_s: float
    started_s: float
    first_token_s: float | None
    last_token_s: float | None
    ended_s: float
    queue_s: float
    ttft_s: float | None
    latency_s: float
    service_s: float
    tpot_s: float | None
    chunks: int | None
    icl_p50_s: float | None
    icl_p99_s: float | None
    icl_max_s: float | None
    chunk_times_s: tuple[float, ...] | None
    started_at: str
    worker: WorkerId
    trace_id: str | None
    server_model: str | None = None

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself.

        Raises:
            ValueError: A success with an error or without content, a failure without an error, or time that runs
                backwards.
        """
        if (self.status == "ok") != (self.error is None):
            msg = f"task {self.task_id}: status {self.status} with error {self.error}"
            raise ValueError(msg)
        if self.status == "ok" and not self.content:
            msg = f"task {self.task_id}: ok without content"
            raise ValueError(msg)
        if not self.scheduled_s <= self.started_s <= self.ended_s:
            msg = f"task {self.task_id}: {self.scheduled_s}, {self.started_s}, {self.ended_s} s run backwards"
            raise ValueError(msg)


class RouteChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something about a route that was different from then on, and why; a line of `routes.jsonl`.

    Attributes:
        segment: Which start or resume of the run, from 0.
        at_s: Instant, in seconds on the run's clock.
        provider: The provider's name.
        key: Which of its keys, from 0.
        kind: `limit` (calls under way), `requests_per_min` or `tokens_per_min` (as the server said), `cooldown` (a
            pause after 429), `dead` (a key that is not accepted), `rest` (a pause after failures) or `revived`.
        before: The limit or rate until then; None for pauses and what was not known.
        after: The limit or rate from then on; the length of a pause in seconds; None where a route is back.
        reason: Why, in words.
    """

    segment: int
    at_s: float
    provider: str
    key: int
    kind: str
    before: float | None
    after: float | None
    reason: str


#: The thread in records that no worker made: answers from the cache, and tasks that were given up while they waited.
DISPATCHER: Final = "dispatcher"


class AttemptGlimpse(msgspec.Struct, frozen=True, gc=False):
    """What a live view shows of an attempt."""

    status: Status


class Glimpse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is looked at of a TaskResult while its run goes on, decoded from its journal line without the text."""

    task_id: str
    status: Status
    scheduled_s: float
    first_token_s: float | None
    ended_s: float
    latency_s: float
    ttft_s: float | None
    completion_tokens: int | None
    attempts: tuple[AttemptGlimpse, ...]
    error: ErrorInfo | None
    cached: bool = False
