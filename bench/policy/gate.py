"""Gates: `asyncio.throughput >= 0.95 * baseline` read, and passed, failed, or not to be shown."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bench.errors import ConfigError
from bench.policy.objectives import UNITS_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Op = Literal[">=", ">", "<=", "<"]
GateOutcome = Literal["passed", "failed", "not_shown"]

_PERCENTILES: Final = ("p50", "p90", "p95", "p99")

#: Metrics in seconds: a constant needs a unit of time.
TIMES: Final = tuple(f"{name}_{percentile}" for name in ("latency", "ttft", "tpot") for percentile in _PERCENTILES)

#: Metrics without a unit; `success_rate` is a share, and may be written in per cent.
PLAIN: Final = ("throughput", "tokens_per_s", "success_rate", "goodput", "cpu_us_per_task", "peak_pss_mb")

_OPERATORS: Final[dict[Op, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}

_NUMBER: Final = r"[0-9]*\.?[0-9]+(?:e-?[0-9]+)?"

_FORM: Final = re.compile(
    rf"""(?:(?P<client>[\w-]+)/)?(?P<mode>[\w-]+)(?:@(?P<n>[1-9][0-9]*))?\.(?P<metric>\w+)
    \s*(?P<op>>=|<=|>|<)\s*
    (?:(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<baseline>baseline)|(?P<constant>{_NUMBER})\s*(?P<unit>[a-z%]*))""",
    re.VERBOSE,
)

_HINT: Final = (
    "write [client/]mode[@N].metric, one of >= > <= <, and a number or [factor *] baseline: "
    "'asyncio.throughput >= 0.95 * baseline', 'lean/asyncio@64.ttft_p95 < 500ms'; "
    f"metrics: {', '.join((*PLAIN, *TIMES))}"
)


class GateArm(msgspec.Struct, frozen=True, kw_only=True):
    """One cell's figures under the names of the metrics above, times in seconds.

    Attributes:
        client: `openai` or `lean`.
        mode: The concurrency model.
        concurrency: N.
        values: By metric; None, or absent, where it was not measured.
        invalid: Why the cell does not count, a sentence each; empty for a valid one.
    """

    client: str
    mode: str
    concurrency: int
    values: dict[str, float | None]
    invalid: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`client/mode@N`."""
        return f"{self.client}/{self.mode}@{self.concurrency}"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A bound on one metric of every arm that fits.

    Attributes:
        text: As it was written.
        client: Of the arm; None for any, as with `concurrency`.
        mode: Of the arm.
        concurrency: N.
        metric: One of `PLAIN` or `TIMES`.
        op: How the value has to stand to the bound.
        factor: Of the baseline's value; None where the bound is a constant.
        constant: In seconds for times, a share for `success_rate`; None where the bound is the baseline's.
    """

    text: str
    client: str | None
    mode: str
    concurrency: int | None
    metric: str
    op: Op
    factor: float | None
    constant: float | None

    def fits(self, arm: GateArm) -> bool:
        """Tell whether the gate is about an arm."""
        return (
            arm.mode == self.mode and self.client in {None, arm.client} and self.concurrency in {None, arm.concurrency}
        )


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a gate, with a sentence for each arm that it is about."""

    gate: str
    outcome: GateOutcome
    words: tuple[str, ...]


def parse_gate(text: str) -> Gate:
    """Read a gate.

    Raises:
        ConfigError: Text that is no gate, an unknown metric, or a unit that the metric does not have.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no gate", _HINT)
    metric = found["metric"]
    if metric not in PLAIN and metric not in TIMES:
        raise ConfigError(f"{metric!r} in {text!r} is no metric", _HINT)
    op = next(op for op in _OPERATORS if op == found["op"])
    on_baseline = found["baseline"] is not None
    return Gate(
        text=text.strip(),
        client=found["client"],
        mode=found["mode"],
        concurrency=int(found["n"]) if found["n"] else None,
        metric=metric,
        op=op,
        factor=float(found["factor"] or 1) if on_baseline else None,
        constant=None if on_baseline else _constant(found["constant"], found["unit"], metric, text),
    )


def evaluate(gate: Gate, arms: Sequence[GateArm], baseline: Sequence[GateArm] | None) -> GateResult:
    """Hold a gate against an experiment; it passes only if every arm that it is about passes.

    A gate compares single figures. What room the spread of two experiments needs belongs into its factor.

    Args:
        gate: What has to hold.
        arms: The experiment's.
        baseline: Those of the stored experiment; None if there is none.
    """
    about = [arm for arm in arms if gate.fits(arm)]
    if not about:
        there = ", ".join(arm.name for arm in arms) or "none"
        return GateResult(gate=gate.text, outcome="not_shown", words=(f"no such arm; there are: {there}",))
    held = [_hold(gate, arm, baseline) for arm in about]
    outcomes = {outcome for outcome, _ in held}
    worst: tuple[GateOutcome, ...] = ("failed", "not_shown", "passed")
    return GateResult(
        gate=gate.text,
        outcome=next(outcome for outcome in worst if outcome in outcomes),
        words=tuple(words for _, words in held),
    )


def _hold(gate: Gate, arm: GateArm, baseline: Sequence[GateArm] | None) -> tuple[GateOutcome, str]:
    """Hold a gate against one arm."""
    value = arm.values.get(gate.metric)
    if arm.invalid:
        return "not_shown", f"{arm.name} is INVALID: {'; '.join(arm.invalid)}"
    if value is None:
        return "not_shown", f"{arm.name} has no {gate.metric}: it was not measured"
    bound, source = gate.constant, ""
    if bound is None:
        old = _baseline_value(gate, arm, baseline)
        if isinstance(old, str):
            return "not_shown", old
        factor = 1.0 if gate.factor is None else gate.factor
        bound, source = factor * old, f" = {factor:g} * {_shown(old, gate.metric)}"
    passed = _OPERATORS[gate.op](value, bound)
    stands = "is" if passed else "is not"
    words = f"{arm.name}: {gate.metric} {_shown(value, gate.metric)} {stands} {gate.op} {_shown(bound, gate.metric)}"
    return ("passed" if passed else "failed"), words + source


def _baseline_value(gate: Gate, arm: GateArm, baseline: Sequence[GateArm] | None) -> float | str:
    """Return the baseline's value for an arm, or why there is none."""
    if baseline is None:
        return "no baseline was given"
    old = next((other for other in baseline if other.name == arm.name), None)
    if old is None:
        return f"the baseline has no {arm.name}"
    if old.invalid:
        return f"{arm.name} of the baseline is INVALID: {'; '.join(old.invalid)}"
    value = old.values.get(gate.metric)
    return f"{arm.name} of the baseline has no {gate.metric}: it was not measured" if value is None else value


def _constant(number: str, unit: str, metric: str, text: str) -> float:
    """Return a constant in the metric's own unit."""
    if metric in TIMES:
        if unit not in UNITS_S:
            raise ConfigError(f"{metric} in {text!r} is a time: it needs a unit of {', '.join(UNITS_S)}", _HINT)
        return float(number) * UNITS_S[unit]
    if unit and not (unit == "%" and metric == "success_rate"):
        raise ConfigError(f"{metric} in {text!r} is written without a unit, got {unit!r}", _HINT)
    value = float(number) / 100 if unit else float(number)
    if metric == "success_rate" and value > 1:
        raise ConfigError(
            f"{metric} in {text!r} is a share of at most 1, got {number}", f"write {number}% for per cent"
        )
    return value


def _shown(value: float, metric: str) -> str:
    """Write a value of a metric with its unit."""
    return f"{value:.6g} s" if metric in TIMES else f"{value:.6g}"
