"""What a plan says, as it is kept in `plan.json`; times in seconds, money in the currency that is given."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.records import JsonObject, Mode

#: Version of `plan.json`. 1: first version.
PLAN_VERSION: Final = 1

#: What can hold the work up: the slots (more requests in flight would be faster), the endpoint (it does no more,
#: however many are in flight), the client (its CPU is busy), or a limit of the provider.
Bound = Literal["slots", "endpoint", "client", "in flight", "requests per minute", "tokens per minute"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider allows over all machines; None is no limit.

    Attributes:
        in_flight: Calls under way at once.
        requests_per_min: Requests in any 60 s.
        tokens_per_min: Tokens of prompts and answers in any 60 s.
    """

    in_flight: int | None = None
    requests_per_min: float | None = None
    tokens_per_min: float | None = None

    @property
    def is_any(self) -> bool:
        """Whether there is one: work is then done with profile prod, which keeps to it."""
        return any(getattr(self, name) is not None for name in self.__struct_fields__)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a million tokens of prompts and of answers cost; None is not known. And what a machine does for an hour."""

    per_million_in: float | None = None
    per_million_out: float | None = None
    machine_per_hour: float = 0.0
    currency: str = "USD"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One way to do the work: a mode and a client with N in flight on each machine."""

    mode: Mode
    client: str
    n: int
    machines: int = 1

    @property
    def in_flight(self) -> int:
        """Requests in flight over all machines."""
        return self.n * self.machines


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    Attributes:
        tasks: How many.
        limits: What the provider allows.
        prices: What it costs.
        answer_tokens: Length of an answer, mean; None for that of the measurement.
        within_s: How long it may take.
        money: How much it may cost.
        seed: Of every draw.
    """

    tasks: int
    limits: Limits = Limits()
    prices: Prices = Prices()
    answer_tokens: float | None = None
    within_s: float | None = None
    money: float | None = None
    seed: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice comes to; None is not known.

    Attributes:
        duration_s: From the first request to the last answer; with the ends of its 95 % interval.
        bound: The limit without which it would be the quickest.
        busy: How much of each limit is used, 1 for all of it.
        prompt_tokens: Of all tasks.
        completion_tokens: Likewise.
        money: What those cost.
        failed: Share of tasks without an answer at the end.
        calls: Attempts of a task, mean.
        cpu_s: CPU time of all clients.
    """

    duration_s: float
    low_s: float
    high_s: float
    bound: Bound
    busy: dict[Bound, float]
    prompt_tokens: float | None
    completion_tokens: float | None
    money: float | None
    failed: float
    calls: float
    cpu_s: float | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A choice and what it comes to, or why that is not told.

    Attributes:
        choice: The choice.
        answer: None where the measurements do not tell.
        reason: Why not; empty where they do.
        settle_n: The N at which a run would tell; beside it the mode and client to measure.
    """

    choice: Choice
    answer: Answer | None = None
    reason: str = ""
    settle_n: tuple[int, ...] = ()


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`plan.json`.

    Attributes:
        sources: Ids of the experiments and runs that it is made from.
        recommended: Place of a row; None where none will do.
        why_not: Why none will do; empty where one does.
        run: The command that does what is recommended.
        settle: Commands that would settle what is not told.
    """

    schema_version: int = PLAN_VERSION
    plan_id: str
    command: str
    made_at: str
    sources: tuple[str, ...]
    asked: JsonObject
    wanted: Wanted
    rows: tuple[Row, ...]
    recommended: int | None
    why_not: str
    run: str
    settle: tuple[str, ...]
    cautions: tuple[str, ...]
