"""What workers are given: the settings they share, and one task at a time."""

from __future__ import annotations

import msgspec

from bench.clients._base import ClientSettings
from bench.policy.retry import RetryPolicy
from bench.providers import Endpoint
from bench.records import Attempt, Mode, Task


class Rival(msgspec.Struct, frozen=True, gc=False):
    """Another route for the same request, and how long after the one before it begins, in seconds."""

    route: int
    after_s: float


class Assignment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task on its way to a worker.

    Attributes:
        task: What to do.
        scheduled_ns: When a slot asked for it (closed loop), or when it is to arrive (open loop): not before.
        started_ns: When a first worker began, if that worker was lost.
        prior: Attempts that were made before it came to this worker.
        route: Over which of the run's endpoints it goes.
        wait_s: How long it has waited since its last attempt, in seconds.
        rivals: Where else the same request goes if that takes too long or fails.
    """

    task: Task
    scheduled_ns: int
    started_ns: int | None = None
    prior: tuple[Attempt, ...] = ()
    route: int = 0
    wait_s: float = 0.0
    rivals: tuple[Rival, ...] = ()


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
        endpoints: Where requests go: one, or as many as there are routes.
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
        traced_run: The id of the run, if its records are to name their traces.
    """

    endpoints: tuple[Endpoint, ...]
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
    traced_run: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every key that a log line must not show."""
        return tuple(each.api_key.reveal() for each in self.endpoints if each.api_key is not None)
