"""What may be a baseline: the same machine, the same software and the same work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.experiment.baseline import baseline_bars
from bench.policy.comparability import WorkFacts
from tests.experiments import MACHINE, make_experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.experiment.records import Cell, Experiment
    from bench.records import JsonObject

ARM = "lean/asyncio@8"


def experiment(environment: JsonObject = MACHINE, cell_of: Callable[[Cell], Cell] = lambda cell: cell) -> Experiment:
    """Return an experiment of that machine with changed cells."""
    made = make_experiment(lambda _arm, block: 100.0 + block)
    return msgspec.structs.replace(made, environment=environment, cells=tuple(map(cell_of, made.cells)))


def asked(workload: str, prompt_set: str) -> Callable[[Cell], Cell]:
    """Return what makes a cell one of that list of tasks, of these different prompts."""
    work = WorkFacts(name=ARM, tasks=100, workload_fingerprint=workload, prompt_set=prompt_set)
    return lambda cell: msgspec.structs.replace(cell, workload=workload, work=work)


def test_r40_the_same_machine_and_work_is_a_baseline() -> None:
    """Nothing speaks against an experiment like this one, whatever its kernel and its commit."""
    other = MACHINE | {"system": {"name": "Linux", "release": "6.2"}, "git": {"commit": "abc", "dirty": True}}
    assert baseline_bars(experiment(), experiment(other), [ARM]) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"cpu": {"model": "another", "logical": 2, "usable_cores": 2}},
            "not the same processor: model is a processor, in the baseline another",
        ),
        (
            {"cpu": {"model": "a processor", "logical": 2, "usable_cores": 1}},
            "not the same processor: usable_cores is 2, in the baseline 1",
        ),
        (
            {"python": {"version": "3.12.1", "implementation": "CPython", "gil": True}},
            "not the same Python: version is 3.11.7, in the baseline 3.12.1",
        ),
        (
            {"packages": {"openai": "3.54.0", "aiohttp": "3.13.0"}},
            "not the same packages: aiohttp is 3.14.0, in the baseline 3.13.0",
        ),
        ({"cpu": None}, "it is not known whether the baseline had the same processor"),
    ],
)
def test_r40_another_machine_is_no_baseline(changes: JsonObject, said: str) -> None:
    """Another processor, number of cores, Python or client package is named with both values."""
    assert baseline_bars(experiment(), experiment(MACHINE | changes), [ARM]) == (said,)


def test_r40_other_work_is_no_baseline() -> None:
    """Other prompts bar; more rounds of the same ones, as the server's pace of the day makes them, do not."""
    mine = experiment(cell_of=asked("list of 400", "set"))
    assert baseline_bars(mine, experiment(cell_of=asked("list of 401", "set")), [ARM]) == ()
    said = (f"{ARM} was not given the same prompts as in the baseline",)
    assert baseline_bars(mine, experiment(cell_of=asked("list of 400", "other")), [ARM]) == said
    # One that says nothing of its prompts is held to its whole list.
    assert baseline_bars(mine, experiment(), [ARM]) == said
