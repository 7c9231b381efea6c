"""The form of `summary.json`."""

from __future__ import annotations

import msgspec

from bench.errors import ErrorType
from bench.manifest import HarnessCost
from bench.policy.statistics import Distribution, InFlight, Proportion
from bench.records import LoadModel, Mode


class TaskCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How the tasks of the workload ended; `dropped` ones found no free slot in time and are not among `cancelled`."""

    total: int
    ok: int
    failed: int
    cancelled: int
    not_started: int
    dropped: int = 0


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the successes; `estimated_tasks` of them were counted by chunks, not by the server."""

    prompt: int
    completion: int
    reasoning: int
    estimated_tasks: int


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider did."""

    provider: str
    tasks: int
    ok: int
    failed: int
    attempts: int
    latency_p50_s: float | None


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one slot did; a slot whose process was replaced has a row for each process."""

    pid: int
    thread: str
    slot: int
    tasks: int
    ok: int
    failed: int
    busy_s: float
    first_start_s: float
    last_end_s: float


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One class of failure: tasks that ended with it, attempts that met it, and the first message seen."""

    type: ErrorType
    http_status: int | None
    tasks: int
    attempts: int
    message: str


class HarnessFigures(HarnessCost, frozen=True, kw_only=True):
    """What the harness itself cost, over all its processes and segments: the figures of a segment, and one more.

    Attributes:
        cpu_us_per_task: CPU time after the start-up, divided by the tasks that have a record.
    """

    cpu_us_per_task: float | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary.json`. Distributions are of successes; those of failures are apart. Times in seconds.

    Attributes:
        load_model: `open` or `closed`; the rates of arrivals and of first sends are those of an open loop.
        wall_s: From the first send to the last end.
        throughput_tasks_per_s: Successes per second of `wall_s`.
        throughput_tokens_per_s: Completion tokens of successes per second of `wall_s`.
        icl_s: Over tasks, of each task's median gap between chunks.
        attempts: Calls made; `retries` of them were not the first of their task.
        cut_at_max_tokens: Successes that ended because they reached max_tokens.
        in_flight: From the attempts' own start and end.
        start_spread_s: Between the first start of the first and of the last slot.
    """

    schema_version: int
    run_id: str
    mode: Mode
    concurrency: int
    load_model: LoadModel
    offered_per_s: float | None = None
    achieved_per_s: float | None = None
    client: str | None
    transport: str | None
    provider: str | None
    model: str | None
    tasks: TaskCounts
    success_rate: Proportion
    wall_s: float | None
    throughput_tasks_per_s: float | None
    throughput_tokens_per_s: float | None
    latency_s: Distribution
    service_s: Distribution
    ttft_s: Distribution
    tpot_s: Distribution
    icl_s: Distribution
    queue_s: Distribution
    failed_latency_s: Distribution
    attempts: int
    retries: int
    cut_at_max_tokens: int
    in_flight: InFlight
    start_spread_s: float | None
    tokens: TokenCounts
    providers: tuple[ProviderRow, ...]
    workers: tuple[WorkerRow, ...]
    errors: tuple[ErrorRow, ...]
    harness: HarnessFigures
