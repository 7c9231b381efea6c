"""Holding gates against an experiment, and its baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli.messages import say
from bench.errors import ConfigError
from bench.experiment.analyse import metric_value
from bench.experiment.baseline import baseline_bars
from bench.experiment.store import find, load
from bench.observe.text import printable
from bench.policy.gate import PLAIN, TIMES, GateArm, GateResult, evaluate, parse_gate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.experiment.records import Experiment
    from bench.policy.gate import Gate


def read_gates(settings: Mapping[str, Any]) -> tuple[tuple[Gate, ...], Experiment | None]:
    """Return the gates that are asked for, and the experiment that they compare with, before anything is sent.

    Raises:
        ConfigError: A gate cannot be read, or the baseline; or there is none, and a gate compares with it.
    """
    gates = tuple(parse_gate(text) for text in settings["gate"])
    if settings["baseline"] is not None:
        return gates, load(find(settings["baseline"], settings["results_dir"]))
    without = next((gate for gate in gates if gate.factor is not None), None)
    if without is not None:
        raise ConfigError(f"{without.text!r} compares with a baseline, got none", "add --baseline EXPERIMENT")
    return gates, None


def hold_gates(gates: Sequence[Gate], experiment: Experiment, before: Experiment | None) -> bool:
    """Say what became of each gate, and return whether all passed; one that cannot be shown has not.

    Args:
        gates: What has to hold.
        experiment: Which is judged.
        before: The baseline, if there is one.
    """
    results = [_held(gate, experiment, before) for gate in gates]
    for result in results:
        say(printable(f"gate {result.outcome.replace('_', ' ')}: {result.gate}"))
        for words in result.words:
            say(printable(f"  {words}"))
    return all(result.outcome == "passed" for result in results)


def _held(gate: Gate, experiment: Experiment, before: Experiment | None) -> GateResult:
    """Hold one gate; figures of another machine, other software or other work are no baseline."""
    arms = _arms(experiment)
    if before is None or gate.factor is None:
        return evaluate(gate, arms, None)
    bars = baseline_bars(experiment, before, [arm.name for arm in arms if gate.fits(arm)])
    if bars:
        return GateResult(gate=gate.text, outcome="not_shown", words=bars)
    return evaluate(gate, arms, _arms(before))


def _arms(experiment: Experiment) -> list[GateArm]:
    if experiment.analysis is None:
        return []
    by_name = {arm.name: arm for arm in experiment.plan.arms if arm.again is None}
    return [
        GateArm(
            client=by_name[row.arm].client,
            mode=by_name[row.arm].mode,
            concurrency=by_name[row.arm].concurrency,
            values={metric: metric_value(row.figures, metric) for metric in (*PLAIN, *TIMES)},
            invalid=row.invalid if not row.blocks else (),
        )
        for row in experiment.analysis.arms
        if row.arm in by_name
    ]
