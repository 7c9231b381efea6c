"""What the service's parts tell each other: what is wanted, what happens to it, and how everything stands."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.records import JsonObject

Kind = Literal["chat", "generate", "optimize", "batch"]
Path = Literal["direct", "pooled"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "timed_out"]
EventName = Literal["start", "chunk", "progress", "error", "complete"]

#: The class of each kind; a lower one goes first.
PRIORITIES: Final[dict[Kind, int]] = {"chat": 0, "generate": 1, "optimize": 2, "batch": 9}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for.

    Attributes:
        kind: Decides on its class in the queue.
        path: `direct` begins at once or is refused; `pooled` waits for one of few slots.
        topic: What it is about, for the records.
        messages: The chat messages, as the API takes them.
        params: Parameters of the request body besides model, messages and stream.
        user_id: Who asks, as the client says; an idempotency key is one user's own.
        idempotency_key: Names the wish, so that one that is sent twice is done once.
    """

    kind: Kind
    path: Path
    topic: str
    messages: tuple[JsonObject, ...]
    params: JsonObject
    user_id: str = ""
    idempotency_key: str | None = None


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wish.

    Attributes:
        task_id: The task's id.
        again: Whether the task was there already, under the same idempotency key.
    """

    task_id: str
    again: bool


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that a task's readers are told.

    Attributes:
        number: Its place among the task's events, from 1.
        name: What happened.
        data: The particulars, as they go out.
    """

    number: int
    name: EventName
    data: JsonObject


class TaskError(msgspec.Struct, frozen=True):
    """Why a task has no whole answer: a word for programs and a sentence for people."""

    code: str
    message: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """How a task stands; neither its prompt nor its answer is in it.

    Attributes:
        task_id: Its id.
        kind: As it was asked for.
        path: As it was asked for.
        state: How it stands.
        position: Its place among those that wait, from 1; 0 where it is to begin at once, None unless it waits.
        created_at: UTC time at which it was accepted.
        started_at: UTC time at which it began; None where it has not, or nobody knows.
        ended_at: UTC time of its end; the same.
        chunks: Pieces of text that have come; None where nobody knows.
        error: Why it has no whole answer, if it has ended without one.
    """

    task_id: str
    kind: Kind
    path: Path
    state: State
    position: int | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    chunks: int | None
    error: TaskError | None


class Expired(msgspec.Struct, frozen=True):
    """A task that ended so long ago that nothing is known of it any more."""

    task_id: str


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """How a pool of slots stands.

    Attributes:
        name: `agent`, `system` or `direct`; the last has no queue.
        slots: How much it does at once.
        busy: How much it is doing.
        queue_size: How many may wait.
        queued: How many do.
        rejected: How many were refused since the start because the queue was full.
        timed_out: How many were given up since the start, waiting or under way, because their time was over.
        mean_wait_s: How long the last ones waited; None before the first began.
        mean_service_s: How long the last ones took; None before the first ended.
    """

    name: str
    slots: int
    busy: int
    queue_size: int
    queued: int
    rejected: int
    timed_out: int
    mean_wait_s: float | None
    mean_service_s: float | None


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """How a route to a provider stands.

    Attributes:
        provider: The provider's name.
        key: Which of its keys, from 0.
        in_flight: Calls under way.
        limit: How many may be, as things stand.
        resting_until_s: For how long it gets no calls any more, in seconds from now; None where it may be called.
        reason: Why it rests, in words; empty where it does not.
    """

    provider: str
    key: int
    in_flight: int
    limit: int
    resting_until_s: float | None
    reason: str


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """How the service stands.

    Attributes:
        version: Of this program.
        started_at: UTC time of its start.
        uptime_s: Time since then.
        rss_bytes: Memory of its process, as it was last looked at.
        closing: Whether it takes nothing new because it is about to end.
        pools: Its pools of slots.
        providers: Its routes.
        tasks: How many tasks that are known are in each state; those of earlier starts are among them.
        ended: How many tasks have ended since the start, by state.
        readers: Open streams.
        journal_bytes: Size of this start's records, as it was last looked at.
    """

    version: str
    started_at: str
    uptime_s: float
    rss_bytes: int | None
    closing: bool
    pools: tuple[PoolView, ...]
    providers: tuple[ProviderView, ...]
    tasks: dict[State, int]
    ended: dict[State, int]
    readers: int
    journal_bytes: int | None
