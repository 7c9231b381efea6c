"""What an experiment stores: its plan, each cell as it ends, and in the end what can be said (`experiment.json`)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.policy.comparability import WorkFacts
from bench.policy.paired import PairedRatio
from bench.policy.scaling import Knee
from bench.policy.usl import Usl
from bench.policy.validity import CellFacts, Reason, bars_verdict
from bench.policy.verdict import Verdict
from bench.records import JsonObject, Mode
from bench.summary.steady import Phases

#: Version of `experiment.json`. 1: first version.
EXPERIMENT_VERSION: Final = 1

ExperimentStatus = Literal["running", "completed", "interrupted"]
CellKind = Literal["ceiling", "calibration", "measurement"]
ComparisonKind = Literal["modes", "clients", "again"]


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is compared: a mode, N and a client.

    Attributes:
        name: Unique in the experiment, such as `lean/asyncio@64`; `.. (again)` is the A/A arm, the same thing twice.
        again: Name of the arm that this one repeats, for the A/A arm.
    """

    name: str
    mode: Mode
    concurrency: int
    client: str
    again: str | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a server answers a lone request: seconds to the first token and between two, tokens, and seconds in all."""

    ttft_s: float
    icl_s: float
    tokens: int
    latency_s: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment does, decided before it sends anything.

    Attributes:
        arms: What is compared.
        order: The arms' names by block, in the order in which they run.
        seed: Made the order; the cells' own seeds follow from it and the block.
        tasks: Tasks of a cell by N, the same ones for every arm of that N.
        dropped: Arms left out to keep within the budget, with the seconds that each would have taken.
        estimate_s: How long it should take.
        budget_s: How long it may take.
        pace: How the server answers a lone request, from which the estimate was made.
        objectives: The objectives as they were given.
    """

    arms: tuple[Arm, ...]
    order: tuple[tuple[str, ...], ...]
    seed: int
    tasks: dict[int, int]
    dropped: dict[str, float]
    estimate_s: float
    budget_s: float | None
    pace: Pace
    objectives: str = ""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one cell. Rates and latencies are of its steady part; None where there is none.

    Attributes:
        throughput: Successes per second, steady.
        cold_s: From the command's start to the last answer.
        tokens_per_s: Completion tokens per second, over the whole run.
        goodput: Successes per second that met all objectives, steady; `attained` is their share of all attempted.
        latency_p50_s: Quantiles of latency; ttft, tpot and icl likewise.
        success_rate: Over the whole run.
        cpu_us_per_task: The harness's CPU time per task after its start-up.
        peak_pss_mb: Most memory at once, over all its processes.
        startup_s: From the engine's start until all slots stood ready.
        first_send_s: From the command's start until the first request was sent.
        client_lag_p50_s: From the server's stamp on a first token until the client's own; null without stamps.
    """

    throughput: float | None = None
    cold_s: float | None = None
    tokens_per_s: float | None = None
    goodput: float | None = None
    attained: float | None = None
    latency_p50_s: float | None = None
    latency_p90_s: float | None = None
    latency_p95_s: float | None = None
    latency_p99_s: float | None = None
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    ttft_p95_s: float | None = None
    ttft_p99_s: float | None = None
    tpot_p50_s: float | None = None
    icl_p50_s: float | None = None
    success_rate: float | None = None
    cpu_us_per_task: float | None = None
    peak_pss_mb: float | None = None
    startup_s: float | None = None
    first_send_s: float | None = None
    client_lag_p50_s: float | None = None
    client_lag_p99_s: float | None = None


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine and the server were doing while a cell ran; None where this machine does not tell.

    Attributes:
        steal_share: Share of CPU time that the hypervisor took.
        busy_share: Share of all CPU time that was used, by anything.
        foreign_share: Share of all CPU time that was used by neither the harness nor its own server.
        pressure_share: Share of the time in which something waited for a CPU.
        runnable: Threads that ran or could have run as it ended.
        switches_voluntary: How often the client waited of its own accord; `switches_involuntary` is for others.
        gc_collections: Its garbage collections.
        open_files: Its open descriptors at the end.
        server_cpu_share: CPU time of the experiment's own server, of one core.
        server_lateness_p99_s: How late that server sent.
        server_peak_in_flight: Most requests that it saw at once.
        server_connections: Connections that carried a request.
    """

    steal_share: float | None = None
    busy_share: float | None = None
    foreign_share: float | None = None
    pressure_share: float | None = None
    runnable: int | None = None
    switches_voluntary: int | None = None
    switches_involuntary: int | None = None
    gc_collections: int | None = None
    open_files: int | None = None
    server_cpu_share: float | None = None
    server_lateness_p99_s: float | None = None
    server_peak_in_flight: int | None = None
    server_connections: int | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one arm.

    Attributes:
        arm: The arm's name.
        kind: `ceiling` asked a null server that answers at once, `calibration` one of the real one's pace, both with
            known timing; `measurement` asked the server in question.
        block: Its block, from 0; -1 before the first.
        place: Its place in the block.
        run: Its run's directory, below `cells/`; None where the run could not begin.
        exit_code: How its process ended.
        error: What it said, if it could not begin.
        transport: HTTP library below the client.
        workload: Fingerprint of what it was given to do.
        facts: What it was judged by.
        reasons: What speaks against using it.
        work: What it was asked and answered; None where it gave no records.
    """

    arm: str
    kind: CellKind
    block: int
    place: int
    run: str | None
    exit_code: int
    error: str | None
    transport: str | None
    workload: str | None
    tasks: int
    figures: Figures
    phases: Phases | None
    conditions: Conditions
    facts: CellFacts
    reasons: tuple[Reason, ...]
    work: WorkFacts | None = None

    @property
    def valid(self) -> bool:
        """Whether it may be used in a verdict."""
        return self.error is None and not bars_verdict(self.reasons)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said about two arms in one metric.

    Attributes:
        metric: A field of `Figures`.
        kind: `modes` compares arms of one N and client, `clients` arms of one mode and N, `again` an arm with itself.
        a: The first arm's name.
        b: The second's.
        words: The verdict in a sentence.
        verdict: It and what it rests on.
    """

    metric: str
    kind: ComparisonKind
    a: str
    b: str
    words: str
    verdict: Verdict


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """Throughput against N for one mode and client."""

    name: str
    knee: Knee
    usl: Usl


class ArmRow(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over all its blocks.

    Attributes:
        arm: Its name.
        transport: HTTP library below its client.
        blocks: Cells that count.
        figures: The median of each figure over those cells.
        throughput: Geometric mean over blocks, with its interval.
        client_share: Share of the median first-token time that is the client's own delay; None where unknown.
        limits: `client-limited`, `server-limited`, or both, where a cell was.
        invalid: Why it does not count, a sentence each; empty where it does.
    """

    arm: str
    transport: str | None
    blocks: int
    figures: Figures
    throughput: PairedRatio | None
    client_share: float | None
    limits: tuple[str, ...]
    invalid: tuple[str, ...]


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What the cells say together.

    Attributes:
        headline: The first sentences of the report.
        arms: Each arm over its blocks.
        differences: What the arms did not do alike; said before any winner is named.
        comparisons: Every pair that was judged.
        scaling: By mode and client, where there are several N.
        warnings: What makes the numbers less certain.
    """

    headline: tuple[str, ...]
    arms: tuple[ArmRow, ...]
    differences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    scaling: tuple[Scaling, ...]
    warnings: tuple[str, ...]


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """`experiment.json`."""

    schema_version: int = EXPERIMENT_VERSION
    experiment_id: str
    status: ExperimentStatus
    command: str
    started_at: str
    ended_at: str | None
    plan: Plan
    endpoint: JsonObject
    environment: JsonObject
    cells: tuple[Cell, ...]
    analysis: Analysis | None = None
