"""What an experiment stores: its plan, each cell as it ends, and in the end what can be said (`experiment.json`)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bench.experiment.figures import Conditions, Figures
from bench.policy.comparability import WorkFacts
from bench.policy.facts import CellFacts
from bench.policy.objectives import AggregateResult
from bench.policy.paired import PairedRatio
from bench.policy.scaling import Knee
from bench.policy.usl import Usl
from bench.policy.validity import Reason, bars_verdict
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


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """Where each kind of chance in an experiment comes from.

    Attributes:
        samples: Of the choice of tasks; None where none is drawn: they come in the order of their source.
        order: Of the order in which the arms of each block run.
        arrivals: Of random arrivals, by block: all arms of a block have the same ones.
        jitter: Of the waits between attempts, by block.
    """

    samples: int | None = None
    order: int
    arrivals: tuple[int, ...]
    jitter: tuple[int, ...]


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
        seeds: Every seed that is used, in full.
        rate_per_s: Arrivals a second of an open loop; None for a closed one.
        source: Fingerprint of the list of tasks that every cell does from its beginning, and anew where it ends; None
            in experiments that did not keep it.
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
    seeds: Seeds | None = None
    rate_per_s: float | None = None
    source: str | None = None


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
        objectives: The objectives on percentiles, judged on its steady part.
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
    objectives: tuple[AggregateResult, ...] = ()

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


class ObjectiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """An objective on a percentile, over the blocks of an arm that count.

    Attributes:
        objective: As it is written.
        value_s: The median of the percentile over the blocks that have it.
        met: Blocks that met it; `missed` did not, and `untold` had too few samples for the percentile.
    """

    objective: str
    value_s: float | None
    met: int
    missed: int
    untold: int

    @property
    def words(self) -> str:
        """What became of it."""
        blocks = self.met + self.missed + self.untold
        told = [(self.met, "met"), (self.missed, "not met"), (self.untold, "too few samples")]
        seen = [(number, word) for number, word in told if number]
        if len(seen) == 1:
            return seen[0][1]
        return f"{', '.join(f'{word} in {number}' for number, word in seen)} of {blocks} blocks"


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
        objectives: What became of each objective on a percentile.
    """

    arm: str
    transport: str | None
    blocks: int
    figures: Figures
    throughput: PairedRatio | None
    client_share: float | None
    limits: tuple[str, ...]
    invalid: tuple[str, ...]
    objectives: tuple[ObjectiveRow, ...] = ()


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What the cells say together.

    Attributes:
        headline: The first sentences of the report.
        arms: Each arm over its blocks.
        differences: What the arms did not do alike; said before any winner is named.
        comparisons: Every pair that was judged.
        scaling: By mode and client, where there are several N.
        warnings: What makes the numbers less certain.
        unchecked: Which rules no cell, or not every one, could be held against, a sentence each.
    """

    headline: tuple[str, ...]
    arms: tuple[ArmRow, ...]
    differences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    scaling: tuple[Scaling, ...]
    warnings: tuple[str, ...]
    unchecked: tuple[str, ...] = ()


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """`experiment.json`.

    Attributes:
        settings: Every option with its value, defaults included; empty in experiments that did not keep them.
    """

    schema_version: int = EXPERIMENT_VERSION
    experiment_id: str
    status: ExperimentStatus
    command: str
    started_at: str
    ended_at: str | None
    plan: Plan
    endpoint: JsonObject
    environment: JsonObject
    settings: JsonObject = {}
    cells: tuple[Cell, ...]
    analysis: Analysis | None = None
