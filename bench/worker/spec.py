"""What workers are given: the settings they share, and one task at a time."""

from __future__ import annotations

import msgspec

from bench.clients._base import ClientSettings
from bench.policy.retry import RetryPolicy
from bench.providers import Endpoint
from bench.records import Attempt, Mode, Task


class Assignment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task on its way to a worker.

    Attributes:
        task: What to do.
        scheduled_ns: When a slot asked for it (closed loop), or when it is to arrive (open loop): not before.
        started_ns: When a first worker began, if that worker was lost.
        prior: Attempts of workers that were lost.
    """

    task: Task
    scheduled_ns: int
    started_ns: int | None = None
    prior: tuple[Attempt, ...] = ()


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A server whose answers take a known time, asked beside the slots.

    Attributes:
        endpoint: Where it listens.
        delay_s: From a request's last byte to its first token.
    """

    endpoint: Endpoint
    delay_s: float


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker of a run shares; picklable.

    Attributes:
        endpoint: Where requests go.
        client: What the client is made from.
        retry: When a failed attempt is tried again.
        timeout_s: The longest time for a task, from its start, retries included.
        max_wait_s: How long after its time a task may still begin; None where tasks have no time of their own.
        stream: Whether answers are streamed.
        mode: The engine's name, for the records.
        segment: Which start or resume of the run this is.
        origin_ns: The zero of the run's clock, on `perf_counter_ns`.
        origin_utc_s: The same instant as UTC seconds since 1970, for labels.
        chunk_times: Whether the records keep the instant of every chunk.
        seed: Seed of the retries' jitter.
        canary: Whom to ask beside the slots, if anybody.
    """

    endpoint: Endpoint
    client: ClientSettings
    retry: RetryPolicy
    timeout_s: float
    stream: bool
    mode: Mode
    segment: int
    origin_ns: int
    origin_utc_s: float
    chunk_times: bool
    seed: int
    canary: Canary | None = None
    max_wait_s: float | None = None
