"""Two stored experiments compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.experiment.across import Change, across
from bench.policy.comparability import WorkFacts
from tests.experiment_cases import MACHINE, Made, experiment_of

if TYPE_CHECKING:
    from bench.experiment.records import Experiment

BEFORE = Made(seed=1)


def change_of(before: Made, after: Made, arm: str = "openai/asyncio@8", metric: str = "throughput") -> Change:
    """Return how one arm's figure differs between two made experiments, the later one first."""
    found = across(experiment_of(after), experiment_of(before))
    return next(each for each in found.changes if (each.arm, each.metric) == (arm, metric))


def test_blocks_of_one_plan_are_paired() -> None:
    """Two experiments with one seed and order are compared block by block, others by the spread of each."""
    assert change_of(BEFORE, Made(seed=1, faster={"asyncio": 1.2})).paired
    assert not change_of(BEFORE, Made(seed=2)).paired
    assert not change_of(BEFORE, Made(seed=1, repeats=7)).paired


@pytest.mark.parametrize("seed", [1, 2])
def test_a_true_difference_is_found(seed: int) -> None:
    """On one machine with one workload an arm 20 % faster is told to be, its blocks paired or not."""
    change = change_of(BEFORE, Made(seed=seed, faster={"asyncio": 1.2}))
    assert change.outcome == "a_better"
    assert change.low is not None
    assert change.high is not None
    assert change.low <= 1.2 <= change.high + 1e-9 or change.ratio == pytest.approx(1.2)
    assert change_of(BEFORE, Made(seed=seed, faster={"asyncio": 1.2}), metric="latency_p50").outcome == "a_better"
    assert change_of(Made(seed=seed, faster={"asyncio": 1.2}), BEFORE).outcome == "b_better"


def test_the_same_is_equivalent() -> None:
    """Two experiments of the same truth are told to be equivalent."""
    assert change_of(BEFORE, Made(seed=2)).outcome == "equivalent"


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (
            Made(seed=1, faster={"asyncio": 2.0}, environment={**MACHINE, "memory_bytes": 1}),
            "the memory was not the same",
        ),
        (Made(seed=1, faster={"asyncio": 2.0}, environment={}), "not known whether the processor was the same"),
        (Made(seed=1, faster={"asyncio": 2.0}, workload="other"), "the work was not the same"),
    ],
)
def test_no_verdict_across_machines_or_workloads(after: Made, words: str) -> None:
    """Where machine or work were not the same, or are not known, the ratio is given and no verdict, whatever it is."""
    found = across(experiment_of(after), experiment_of(BEFORE))
    assert any(words in bar for bar in found.bars)
    assert {change.outcome for change in found.changes} == {"no_verdict"}
    assert change_of(BEFORE, after).ratio == pytest.approx(2.0)


def test_few_blocks_give_no_verdict() -> None:
    """Below six blocks on either side there is no verdict, below two no interval, and without any no ratio."""
    few = change_of(Made(seed=1), Made(seed=2, repeats=5, faster={"asyncio": 2.0}))
    assert few.outcome == "no_verdict"
    assert few.low is not None
    one = change_of(Made(seed=1), Made(seed=2, repeats=1))
    assert (one.low, one.high) == (None, None)
    assert one.ratio is not None
    none = change_of(Made(seed=1), Made(seed=2, foreign=("asyncio",)))
    assert (none.a, none.ratio, none.blocks_a) == (None, None, 0)


def test_arms_of_one_side_are_named() -> None:
    """Arms that only one experiment has are named, and the A/A arm, which is of its own experiment, is not compared."""
    found = across(experiment_of(BEFORE), experiment_of(Made(levels=(8, 64))))
    assert found.only_a == ()
    assert found.only_b == ("openai/threading@64", "openai/asyncio@64")
    assert not [change for change in found.changes if "again" in change.arm]


def sized(made: Made, tasks: int, source: str | None = "a list", tokens: float = 16) -> Experiment:
    """Return an experiment whose cells did so many tasks of a list, longer than any cell."""
    replace = msgspec.structs.replace
    experiment = experiment_of(made)
    work = WorkFacts(name="", tasks=tasks, prompt_set=f"the first {tasks}", output_tokens_p50=tokens)
    return replace(
        experiment,
        plan=replace(experiment.plan, tasks=dict.fromkeys(experiment.plan.tasks, tasks), source=source),
        cells=tuple(replace(cell, workload=f"{tasks} of {source}", work=work) for cell in experiment.cells),
    )


def test_r19_two_beginnings_of_one_list_are_the_same_work() -> None:
    """Cells of 69 and of 64 tasks from one list's beginning get a verdict, but not on what grows with their number."""
    found = across(sized(Made(seed=1, faster={"asyncio": 1.1}), 64), sized(BEFORE, 69))
    outcomes = {(each.arm, each.metric): each.outcome for each in found.changes}
    assert found.bars == ()
    assert outcomes["openai/asyncio@8", "throughput"] == "a_better"
    assert outcomes["openai/threading@8", "throughput"] == "equivalent"
    assert {outcome for (_, metric), outcome in outcomes.items() if metric == "cold"} == {"no_verdict"}
    assert "a cell of openai/asyncio@8 had 64 tasks in A and 69 in B: cold gets no verdict" in found.differences


@pytest.mark.parametrize("source", ["another list", None])
def test_r19_other_lists_are_not_the_same_work(source: str | None) -> None:
    """Beginnings of other lists, or of lists that are not known, get no verdict."""
    found = across(sized(Made(seed=1, faster={"asyncio": 2.0}), 64, source), sized(BEFORE, 69, source and "a list"))
    assert any("the work was not the same" in bar for bar in found.bars)
    assert {change.outcome for change in found.changes} == {"no_verdict"}


def test_r19_answers_that_were_not_alike_are_said() -> None:
    """Where the same questions got answers of another length, that is said beside the ratios."""
    found = across(sized(BEFORE, 69, tokens=32), sized(BEFORE, 69))
    assert found.bars == ()
    said = "the median answer of openai/asyncio@8 in A had 32 tokens, of openai/asyncio@8 in B 16"
    assert said in found.differences
    assert across(sized(BEFORE, 69), sized(BEFORE, 69)).differences == ()


def test_no_verdict_across_loads() -> None:
    """A closed loop and arrivals at a rate are two loads: no verdict, and both are named."""
    opened = experiment_of(BEFORE)
    opened = msgspec.structs.replace(opened, plan=msgspec.structs.replace(opened.plan, rate_per_s=50.0))
    found = across(opened, experiment_of(BEFORE))
    assert found.bars == ("not the same load: 50 arrivals a second, against a closed loop",)
    assert {change.outcome for change in found.changes} == {"no_verdict"}
