"""How replies become Attempts and a TaskResult."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clients._base import Reply
from bench.clock import NS_PER_S, utc_label
from bench.policy.fingerprint import task_fingerprint
from bench.policy.statistics import gaps_ns, percentile
from bench.policy.trace_ids import trace_id
from bench.records import Attempt, ErrorInfo, Status, TaskResult, WorkerId

if TYPE_CHECKING:
    from bench.errors import CallError
    from bench.worker.spec import Assignment, WorkerSpec

_NS_PER_MS: Final = NS_PER_S // 1000


class Recorder:
    """Turns instants in nanoseconds into records in seconds on the run's clock; one serves all slots of a process."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._endpoints = spec.endpoints
        self._stream = spec.stream
        self._chunk_times = spec.chunk_times
        self._origin_ns = spec.origin_ns
        #: 1970 on `perf_counter_ns`.
        self._epoch_ns = spec.origin_ns - round(spec.origin_utc_s * NS_PER_S)
        self._label: tuple[int | None, str] = (None, "")
        self._traced_run = spec.traced_run
        self._trace: tuple[int | None, str] = (None, "")
        self._segment = spec.segment
        self._mode = spec.mode
        self._client = spec.client

    def since_origin_s(self, instant_ns: int) -> float:
        """Return an instant in seconds on the run's clock."""
        return (instant_ns - self._origin_ns) / NS_PER_S

    def instant_ns(self, since_origin_s: float) -> int:
        """Return an instant of the run's clock in nanoseconds."""
        return self._origin_ns + round(since_origin_s * NS_PER_S)

    def attempt(self, reply: Reply, wait_s: float, route: int = 0) -> Attempt:
        """Return the record of a call over a route, made after a backoff of `wait_s`."""
        origin_ns, endpoint = self._origin_ns, self._endpoints[route]
        error, content_ns = reply.error, reply.content_ns
        attempt = Attempt(
            provider=endpoint.provider,
            key=endpoint.key,
            status="ok",
            http_status=reply.http_status,
            wait_before_s=wait_s,
            connect_s=_seconds(reply.connect_ns),
            sent_s=(reply.sent_ns - origin_ns) / NS_PER_S,
            headers_s=None if reply.headers_ns is None else (reply.headers_ns - origin_ns) / NS_PER_S,
            first_chunk_s=None if reply.first_chunk_ns is None else (reply.first_chunk_ns - origin_ns) / NS_PER_S,
            first_content_s=(content_ns[0] - origin_ns) / NS_PER_S if content_ns else None,
            last_content_s=(content_ns[-1] - origin_ns) / NS_PER_S if content_ns else None,
            end_s=(reply.end_ns - origin_ns) / NS_PER_S,
            parse_s=_seconds(reply.parse_ns),
        )
        # What few attempts have comes after: a call with more than 15 names is made by way of a dictionary.
        if reply.rate_limits is not None:
            attempt = msgspec.structs.replace(attempt, rate_limits=reply.rate_limits)
        if error is None:
            return attempt
        return msgspec.structs.replace(
            attempt,
            status="cancelled" if reply.cancelled else "failed",
            error_type=error.error_type,
            error_message=error.message,
            retry_after_s=error.retry_after_s,
        )

    def lost_attempt(self, assignment: Assignment, end_ns: int, message: str) -> Attempt:
        """Return the attempt that a worker process was making when it died, as far as its parent can tell."""
        # A task that is lost for the second time was begun again when it had been lost for the first.
        begun_s = self.since_origin_s(assignment.started_ns or assignment.scheduled_ns)
        begun_s = assignment.prior[-1].end_s if assignment.prior else begun_s
        return Attempt(
            provider=self._endpoints[assignment.route].provider,
            key=self._endpoints[assignment.route].key,
            status="failed",
            sent_s=begun_s,
            end_s=self.since_origin_s(end_ns),
            error_type="worker_lost",
            error_message=message,
        )

    def lost(self, assignment: Assignment, ended_ns: int, error: CallError, who: WorkerId) -> TaskResult:
        """Return the record of a task that no worker finished; `assignment.prior` has the attempts.

        One whose time had not come when it ended never arrived: it is scheduled at its end, and waited for nothing.
        """
        if ended_ns < assignment.scheduled_ns:
            assignment = msgspec.structs.replace(assignment, scheduled_ns=ended_ns)
        return self.result(
            assignment,
            Reply(sent_ns=ended_ns, end_ns=ended_ns),
            status="cancelled" if error.error_type in {"cancelled", "dropped"} else "failed",
            error=error_info(error),
            attempts=list(assignment.prior),
            started_ns=assignment.started_ns or ended_ns,
            ended_ns=ended_ns,
            who=who,
            route=assignment.route,
        )

    def result(  # noqa: PLR0913 - what a record is made of
        self,
        assignment: Assignment,
        reply: Reply,
        *,
        status: Status,
        error: ErrorInfo | None,
        attempts: list[Attempt],
        started_ns: int,
        ended_ns: int,
        who: WorkerId,
        route: int = 0,
    ) -> TaskResult:
        """Return the record of a task; `reply` is the one of its last attempt, over `route`."""
        task, endpoint, content_ns = assignment.task, self._endpoints[route], reply.content_ns
        origin_ns, scheduled_ns = self._origin_ns, assignment.scheduled_ns
        first_ns, last_ns = (content_ns[0], content_ns[-1]) if content_ns else (None, None)
        steps_ns = gaps_ns(content_ns)
        # In one call, laid out by hand: merged from parts, its four dozen fields would pass through more dictionaries.
        return TaskResult(
            task_id=task.task_id, segment=self._segment, fingerprint=task_fingerprint(task), index=task.index,
            topic=task.topic, chapter=task.chapter, iteration=task.iteration, version=task.version,
            custom_id=task.custom_id, mode=self._mode, client=self._client.client, transport=self._client.transport,
            provider=endpoint.provider, model=task.model or endpoint.model, status=status, content=reply.content,
            finish_reason=reply.finish_reason, error=error, attempts=tuple(attempts), cached=False,
            prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens,
            reasoning_tokens=reply.reasoning_tokens, token_source=reply.token_source,
            scheduled_s=(scheduled_ns - origin_ns) / NS_PER_S, started_s=(started_ns - origin_ns) / NS_PER_S,
            first_token_s=None if first_ns is None else (first_ns - origin_ns) / NS_PER_S,
            last_token_s=None if last_ns is None else (last_ns - origin_ns) / NS_PER_S,
            ended_s=(ended_ns - origin_ns) / NS_PER_S, queue_s=(started_ns - scheduled_ns) / NS_PER_S,
            ttft_s=None if first_ns is None else (first_ns - reply.sent_ns) / NS_PER_S,
            latency_s=(ended_ns - scheduled_ns) / NS_PER_S, service_s=(ended_ns - started_ns) / NS_PER_S,
            tpot_s=_tpot_s(content_ns, reply.completion_tokens), chunks=len(content_ns) if self._stream else None,
            icl_p50_s=percentile(steps_ns, 0.5) / NS_PER_S if steps_ns else None,
            icl_p99_s=percentile(steps_ns, 0.99) / NS_PER_S if steps_ns else None,
            icl_max_s=steps_ns[-1] / NS_PER_S if steps_ns else None,
            chunk_times_s=tuple(map(self.since_origin_s, content_ns)) if self._chunk_times else None,
            started_at=self._utc_label(started_ns), worker=who, server_model=reply.server_model,
            trace_id=None if self._traced_run is None else self._trace_id(self._traced_run, task.iteration),
        )  # fmt: skip

    def _trace_id(self, run_id: str, iteration: int) -> str:
        # Threads may each make it.
        known, trace = self._trace
        if known != iteration:
            trace = trace_id(run_id, iteration)
            self._trace = (iteration, trace)
        return trace

    def _utc_label(self, instant_ns: int) -> str:
        second, milliseconds = divmod((instant_ns - self._epoch_ns) // _NS_PER_MS, 1000)
        # Of all tasks that begin in one second the label is the same up to its milliseconds. Threads may each make it.
        known, label = self._label
        if known != second:
            label = utc_label(datetime.fromtimestamp(second, UTC))[: -len("000Z")]
            self._label = (second, label)
        return f"{label}{milliseconds:03d}Z"


def error_info(error: CallError, reason: str = "") -> ErrorInfo:
    """Return an error as data, with the reason why it was not tried again, if there is one to give."""
    message = f"{error.message}; {reason}" if reason else error.message
    return ErrorInfo(type=error.error_type, message=message, http_status=error.http_status, retryable=error.retryable)


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / NS_PER_S


def _tpot_s(content_ns: tuple[int, ...], tokens: int | None) -> float | None:
    """Return (last - first) / (tokens - 1) in seconds; it needs two tokens and two instants."""
    if tokens is None or tokens < 2 or len(content_ns) < 2:  # noqa: PLR2004 - a gap has two ends
        return None
    return (content_ns[-1] - content_ns[0]) / NS_PER_S / (tokens - 1)
