"""What a search stores: what was wanted, each probe as it ends, and the answer (`tune.json`)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.records import JsonObject, Mode

#: Version of `tune.json`. 1: first version.
TUNING_VERSION: Final = 1

Purpose = Literal["growing", "plateau", "edge", "closing", "mode"]
Outcome = Literal["found", "unreachable", "not_shown"]
TuningStatus = Literal["running", "completed", "interrupted"]
Standing = Literal["cheapest", "dearer", "too_slow", "objectives_missed", "did_not_run", "not_compared"]

#: A provider's refusals (429) up to this share of what was asked are chance; above it, its limit is reached.
_MOST_REFUSED: Final = 0.02


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, and within which bounds.

    Attributes:
        modes: The concurrency models to choose from; the search for N uses the first.
        goodput_per_s: Requests a second that have to meet the objectives; None for the most there is.
        max_concurrency: No more in flight than this.
        budget: Requests that may be sent; None for as many as what is found warrants.
    """

    modes: tuple[Mode, ...]
    goodput_per_s: float | None = None
    max_concurrency: int = 1024
    budget: int | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How many successes kept within the bound of an objective on a percentile.

    Attributes:
        objective: As it was written.
        share: Of all successes it has to be at least this share.
        met: Successes within the bound.
        of: All of them.
    """

    objective: str
    share: float
    met: int
    of: int

    @property
    def holds(self) -> bool:
        """Whether the objective is met; one success beyond the bound is never enough to miss it."""
        return self.of - self.met <= max(1.0, (1 - self.share) * self.of)


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A short run with one N, in a process of its own.

    Rates, counts and times but `requests`, `tokens` and what the client used are of its steady part; where it has none,
    of all but each slot's first request. Times are in seconds; None is what was not measured.

    Attributes:
        mode: The concurrency model.
        concurrency: N.
        purpose: What it was for.
        requests: Requests that were sent.
        tokens: Tokens that their prompts and answers took.
        run: Its run's directory, below `cells/`; None where the run could not begin.
        error: What it said, if it could not begin.
        failure: The most frequent failure of its requests; empty where all succeeded.
        steady: Whether it has a steady part.
        throughput_per_s: Successes a second.
        goodput_per_s: Those of them that met the objectives of each request.
        attempted: Requests that the numbers rest on; `attained` of them met the objectives of each request.
        refused: Those that the provider refused because of a limit (429).
        latency_mean_s: Of the successes; `latency_sd_s` is its standard deviation.
        held: What became of each objective on a percentile.
        cpu_us_per_task: CPU time of the client for each task after its start-up.
        peak_pss_mb: Most memory of the client at once, over all its processes.
        machine_busy: Share of the machine's CPU time that was used meanwhile, by anything.
    """

    mode: Mode
    concurrency: int
    purpose: Purpose
    requests: int = 0
    tokens: int = 0
    run: str | None = None
    error: str | None = None
    failure: str = ""
    steady: bool = False
    throughput_per_s: float = 0.0
    goodput_per_s: float = 0.0
    attempted: int = 0
    attained: int = 0
    refused: int = 0
    latency_mean_s: float | None = None
    latency_sd_s: float | None = None
    latency_p95_s: float | None = None
    ttft_p95_s: float | None = None
    held: tuple[Held, ...] = ()
    cpu_us_per_task: float | None = None
    peak_pss_mb: float | None = None
    machine_busy: float | None = None

    @property
    def is_refused(self) -> bool:
        """Whether a limit of the provider was reached."""
        return self.refused > _MOST_REFUSED * self.attempted

    @property
    def is_within(self) -> bool:
        """Whether it ran, kept every objective on a percentile and reached no limit of the provider."""
        return self.error is None and not self.is_refused and all(held.holds for held in self.held)

    @property
    def client_cores(self) -> float | None:
        """Cores that the client kept busy."""
        return None if self.cpu_us_per_task is None else self.cpu_us_per_task * self.throughput_per_s * 1e-6


class ModeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mode at the N that was found, in a word and a sentence."""

    mode: Mode
    standing: Standing
    words: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found.

    Attributes:
        outcome: `found`, `unreachable`, or `not_shown` within the budget.
        words: That in a sentence.
        concurrency: The N that was found, or the best that was seen.
        above: The largest N below it that does not do; 0 where there is none.
        goodput_per_s: At that N; `low_per_s` and `high_per_s` are the ends of its 95 % interval.
        knee: Where the rise and the level of throughput meet; None where it does not level off.
        modes: The modes at that N.
        mode: The cheapest of those that do.
        command: The command to run; empty where nothing was found.
        warnings: What speaks against trusting it, a sentence each.
    """

    outcome: Outcome
    words: str
    concurrency: int | None = None
    above: int = 0
    goodput_per_s: float | None = None
    low_per_s: float | None = None
    high_per_s: float | None = None
    knee: float | None = None
    modes: tuple[ModeRow, ...] = ()
    mode: Mode | None = None
    command: str = ""
    warnings: tuple[str, ...] = ()


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """`tune.json`.

    Attributes:
        objectives: The objectives as they were given.
        source: Fingerprint of the tasks that were asked.
        settings: Every option with its value.
    """

    schema_version: int = TUNING_VERSION
    tuning_id: str
    status: TuningStatus
    command: str
    started_at: str
    ended_at: str | None
    goal: Goal
    objectives: str
    client: str
    source: str
    environment: JsonObject
    settings: JsonObject
    probes: tuple[Probe, ...] = ()
    answer: Answer | None = None

    @property
    def requests(self) -> int:
        """Requests that were sent."""
        return sum(probe.requests for probe in self.probes)

    @property
    def tokens(self) -> int:
        """Tokens that they took."""
        return sum(probe.tokens for probe in self.probes)
