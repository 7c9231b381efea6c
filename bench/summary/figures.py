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


class CachedCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Successes whose answer came from the cache, and the tokens that were not paid for again.

    They are among the successes, and in no time, rate, share or number of tokens beside these.
    """

    tasks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class CallError(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls over a route failed for one cause."""

    type: ErrorType
    http_status: int | None
    calls: int


class RouteRow(msgspec.Struct, frozen=True, kw_only=True):
    """What went over one route, a provider with one of its keys, in a run of profile `prod`.

    Attributes:
        provider: The provider's name.
        key: Which of its keys, from 0.
        keys: How many of its keys the run had.
        calls: Calls made; each is in one of `ok`, `failed`, `beaten` and `cancelled`.
        share: Of all calls of the run; None where there were none.
        beaten: Calls given up because another provider had the answer.
        beaten_s: Time that those had taken.
        beaten_prompt_tokens: Tokens of their prompts, which their providers may charge.
        cancelled: Calls given up because the run was stopped.
        hedges: Calls sent while another provider had not answered yet; `hedges_won` of them had the answer.
        errors: Its failures by cause, the most frequent first.
        latency_p50_s: Of its successful calls, each from its send to its end.
        latency_p95_s: The same.
        prompt_tokens: Of the prompts that it answered.
        completion_tokens: Of its answers.
        cost: Of both at the route's prices, in `currency`; None where these are not known. What failed or was given
            up is not in it, because nobody tells what it costs.
        cooldowns: Pauses after 429; `rests` are those after failures.
        wait_s: Time that tasks waited between an attempt and one over this route.
        refused_key: The key was not accepted, and not afterwards either.
        learnt_in_flight: Requests at once that its limit stood at in the end, where a 429 had lowered it; else None.
        learnt_requests_per_min: Requests a minute that the server said last that it allows; None where it did not.
        learnt_tokens_per_min: The same in tokens.
    """

    provider: str
    key: int
    keys: int
    calls: int
    share: float | None
    ok: int
    failed: int
    beaten: int
    beaten_s: float
    beaten_prompt_tokens: int
    cancelled: int
    hedges: int
    hedges_won: int
    errors: tuple[CallError, ...]
    latency_p50_s: float | None
    latency_p95_s: float | None
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    currency: str
    cooldowns: int
    rests: int
    wait_s: float
    refused_key: bool
    learnt_in_flight: int | None = None
    learnt_requests_per_min: float | None = None
    learnt_tokens_per_min: float | None = None

    @property
    def name(self) -> str:
        """The provider, and the key where it has several."""
        return f"{self.provider}, key {self.key + 1}" if self.keys > 1 else self.provider

    @property
    def learnt(self) -> str:
        """Which limits the server has shown or said, in words; empty where none."""
        found = (
            (self.learnt_in_flight, "at once"),
            (self.learnt_requests_per_min, "requests a minute"),
            (self.learnt_tokens_per_min, "tokens a minute"),
        )
        return ", ".join(f"{value:,.10g} {words}" for value, words in found if value is not None)

    @property
    def warning(self) -> str | None:
        """What is wrong with its key, if anything is."""
        if not self.refused_key:
            return None
        status = next((error.http_status for error in self.errors if error.type == "auth"), None)
        return f"key {self.key + 1} of {self.provider} is not accepted" + (f" ({status})" if status else "")


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider did."""

    provider: str
    tasks: int
    ok: int
    failed: int
    attempts: int
    latency_p50_s: float | None


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one slot did; a slot whose process was replaced has a row for each process.

    `node` names the node that the process is on, in a run of mode `distributed`; else it is left out.
    """

    pid: int
    thread: str
    slot: int
    tasks: int
    ok: int
    failed: int
    busy_s: float
    first_start_s: float
    last_end_s: float
    node: str | msgspec.UnsetType = msgspec.UNSET


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one node of a cluster did, in a run of mode `distributed`.

    Attributes:
        node: Its name.
        host: The machine's name; None where the run did not end in order, so that nobody has written it down.
        slots: How many tasks it takes at once; None where it has no bound of its own.
        tasks: Tasks that ended on it.
        lost: Attempts that ended because it was gone. Their tasks are counted where they ended.
        share: Of all successes that were called for; None where there were none.
        latency_p50_s: Of its successes.
        latency_p95_s: The same.
        in_flight: Calls under way on it at once; the mean is from its first send to its last end.
        cpu_s: CPU time that it spent on the run; None where a part of it is not known.
    """

    node: str
    host: str | None
    slots: int | None
    tasks: int
    ok: int
    failed: int
    lost: int
    share: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    in_flight: InFlight
    cpu_s: float | None


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One class of failure: tasks that ended with it, attempts that met it, and the first message seen."""

    type: ErrorType
    http_status: int | None
    tasks: int
    attempts: int
    message: str


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """An item of which a version has no answer: its place from 0, and what its versions met."""

    index: int
    iteration: int
    topic: str | None
    chapter: str | None
    ok: int
    failed: int
    errors: tuple[ErrorType, ...]


class VersionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many versions of each item succeeded, of items that have a record.

    Attributes:
        per_item: Versions that were asked for.
        items: Items with a record.
        by_succeeded: How many of them have no version that succeeded, how many one, and so on up to all.
        lacking: Those with a version that has no answer, in order, a hundred at most.
    """

    per_item: int
    items: int
    by_succeeded: tuple[int, ...]
    lacking: tuple[ItemRow, ...]


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
        throughput_tasks_per_s: Successes that were called for, per second of `wall_s`.
        throughput_tokens_per_s: Completion tokens of those per second of `wall_s`.
        icl_s: Over tasks, of each task's median gap between chunks.
        attempts: Calls made; `retries` of them followed others of their task, and `hedges` were made while another
            provider had not answered yet. `beaten` ones were given up because another one had the answer.
        cached: Successes that were no calls; None where there were none.
        routes: Of runs of profile `prod`.
        nodes: Of runs of mode `distributed`.
        cut_at_max_tokens: Successes that ended because they reached max_tokens.
        in_flight: From the attempts' own start and end.
        versions: Of runs with several versions of each item; None else.
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
    versions: VersionFigures | None = None
    hedges: int = 0
    beaten: int = 0
    cached: CachedCounts | None = None
    routes: tuple[RouteRow, ...] = ()
    nodes: tuple[NodeRow, ...] = ()
