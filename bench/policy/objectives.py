"""Service-level objectives: `ttft_p95<1s,latency<20s,tpot<50ms` read, and how many tasks met them (goodput)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args

import msgspec

from bench.errors import ConfigError
from bench.policy.statistics import SAMPLES_NEEDED, Proportion, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

TimeMetric = Literal["latency", "ttft", "tpot", "service"]

#: What an objective may be about.
METRICS: Final[tuple[TimeMetric, ...]] = get_args(TimeMetric)

#: Units of time in seconds.
UNITS_S: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6}

_FORM: Final = re.compile(
    r"(?P<metric>[a-z]+)(?:_(?P<percentile>p[0-9]+))?\s*<\s*(?P<bound>[0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*(?P<unit>[a-z]+)"
)

_HINT: Final = (
    f"write {', '.join(METRICS)}, each also with {', '.join('_' + name for name in SAMPLES_NEEDED)}, then < and a time "
    f"in {', '.join(UNITS_S)}; several with commas: ttft_p95<1s,latency<20s"
)


class Timed(Protocol):
    """What an objective asks of a task; a TaskResult has it."""

    @property
    def status(self) -> str:
        """`ok`, `failed` or `cancelled`."""

    @property
    def latency_s(self) -> float | None:
        """From the intended start to the end."""

    @property
    def service_s(self) -> float | None:
        """From the start to the end."""

    @property
    def ttft_s(self) -> float | None:
        """From the send to the first token."""

    @property
    def tpot_s(self) -> float | None:
        """A token, after the first; None for answers of fewer than two."""


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """One objective: of each request, or with a percentile of all requests together.

    Attributes:
        metric: What is bounded.
        percentile: `p50`, `p90`, `p95` or `p99`; None for an objective of each request.
        bound_s: What it has to stay below.
    """

    metric: TimeMetric
    percentile: str | None
    bound_s: float

    @property
    def name(self) -> str:
        """The metric as the command takes it: `ttft`, `ttft_p95`."""
        return self.metric if self.percentile is None else f"{self.metric}_{self.percentile}"

    def __str__(self) -> str:
        """Write it as the command takes it."""
        return f"{self.name}<{self.bound_s:g}s"


class AggregateResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a percentile met its objective; `met` is None where too few samples give no percentile."""

    objective: Objective
    value_s: float | None
    met: bool | None


class Objectives(msgspec.Struct, frozen=True, kw_only=True):
    """All objectives that were stated, at least one."""

    stated: tuple[Objective, ...]

    @property
    def per_request(self) -> tuple[Objective, ...]:
        """Those that every request has to meet by itself."""
        return tuple(objective for objective in self.stated if objective.percentile is None)

    def meets(self, row: Timed) -> bool:
        """Tell whether a task succeeded and met every objective of each request.

        A time that was not measured meets nothing. Only the time per token of a streamed answer with fewer than two
        tokens does not exist at all: there is nothing that it could miss.
        """
        return row.status == "ok" and all(_met(row, objective) for objective in self.per_request)

    def aggregates(self, values_s: Mapping[str, float | None]) -> tuple[AggregateResult, ...]:
        """Judge the objectives of percentiles.

        Args:
            values_s: By name (`ttft_p95`), in seconds; one that is absent was not measured.
        """
        results = []
        for objective in self.stated:
            if objective.percentile is not None:
                value_s = values_s.get(objective.name)
                met = None if value_s is None else value_s < objective.bound_s
                results.append(AggregateResult(objective=objective, value_s=value_s, met=met))
        return tuple(results)


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks that met all objectives of each request.

    Attributes:
        attained: How many.
        attempted: Succeeded, failed, cancelled and dropped: whoever gives slow tasks up gains nothing by it.
        share: attained of attempted, with its Wilson interval.
        per_s: attained a second; None without a window.
    """

    attained: int
    attempted: int
    share: Proportion
    per_s: float | None


def parse_objectives(text: str) -> Objectives:
    """Read objectives, separated by commas.

    Raises:
        ConfigError: Text that is no objective (it names the piece), or two about one thing.
    """
    stated: list[Objective] = []
    for piece in text.split(","):
        objective = _objective(piece.strip())
        if objective.name in {other.name for other in stated}:
            raise ConfigError(f"two objectives about {objective.name} in {text!r}", "leave one of them out")
        stated.append(objective)
    return Objectives(stated=tuple(stated))


def goodput(attained: int, *, ok: int, failed: int, cancelled: int, dropped: int, window_s: float | None) -> Goodput:
    """Return the numbers of goodput.

    Args:
        attained: Tasks for which `Objectives.meets` holds.
        ok: Tasks that succeeded.
        failed: Tasks that failed.
        cancelled: Tasks that were begun and given up.
        dropped: Arrivals of an open loop that were never sent; 0 in a closed one.
        window_s: The time that they are counted over; None or 0 if there was none.

    Raises:
        ValueError: More attained than succeeded, or a negative count.
    """
    if min(attained, ok, failed, cancelled, dropped) < 0 or attained > ok:
        msg = f"of {ok} successes at most as many attain, got {attained} ({failed=}, {cancelled=}, {dropped=})"
        raise ValueError(msg)
    attempted = ok + failed + cancelled + dropped
    return Goodput(
        attained=attained,
        attempted=attempted,
        share=wilson(attained, attempted),
        per_s=attained / window_s if window_s else None,
    )


def _objective(piece: str) -> Objective:
    """Read one objective."""
    found = _FORM.fullmatch(piece)
    if found is None:
        raise ConfigError(f"{piece!r} is no objective", _HINT)
    metric = next((name for name in METRICS if name == found["metric"]), None)
    if metric is None:
        raise ConfigError(f"{found['metric']!r} in {piece!r} cannot be an objective", _HINT)
    if found["percentile"] not in {None, *SAMPLES_NEEDED}:
        raise ConfigError(f"{found['percentile']!r} in {piece!r} is no percentile of ours", _HINT)
    if found["unit"] not in UNITS_S:
        raise ConfigError(f"{found['unit']!r} in {piece!r} is no unit of time", _HINT)
    bound_s = float(found["bound"]) * UNITS_S[found["unit"]]
    if not 0 < bound_s < float("inf"):
        raise ConfigError(f"{piece!r} can never be met: a time is above 0 and finite", _HINT)
    return Objective(metric=metric, percentile=found["percentile"], bound_s=bound_s)


def _met(row: Timed, objective: Objective) -> bool:
    """Tell whether a success met one objective."""
    value_s = {"latency": row.latency_s, "service": row.service_s, "ttft": row.ttft_s, "tpot": row.tpot_s}[
        objective.metric
    ]
    if value_s is None:
        return objective.metric == "tpot" and row.ttft_s is not None
    return value_s < objective.bound_s
