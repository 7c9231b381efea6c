"""Which mode is the cheapest of those that do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.tuning.answer import next_step
from bench.tuning.asking import Ask
from bench.tuning.modes import possible_modes
from bench.tuning.records import Answer, Goal
from tests.tuning_endpoints import SyntheticEndpoint

if TYPE_CHECKING:
    from bench.records import Mode

GOAL = Goal(modes=("asyncio", "threading", "multiprocessing", "hybrid"))


def answered(endpoint: SyntheticEndpoint, goal: Goal = GOAL, **of_mode: dict[str, object]) -> Answer:
    """Search, with some figures of the probes of a mode replaced."""
    while isinstance(step := next_step(endpoint.probes, goal), Ask):
        probe = endpoint.probe(step)
        endpoint.probes.append(msgspec.structs.replace(probe, **of_mode.get(step.mode, {})))
    return step


def test_the_mode_with_the_least_cpu_time_is_the_cheapest() -> None:
    """Of modes that all keep up, the one that costs the client least is chosen, and each is told with its cost."""
    answer = SyntheticEndpoint(10, cpu_us={"asyncio": 300, "hybrid": 200, "threading": 500}, seed=1).tune(
        Goal(modes=("asyncio", "threading", "hybrid"))
    )
    assert answer.mode == "hybrid"
    assert {row.mode: row.standing for row in answer.modes} == {
        "asyncio": "dearer",
        "threading": "dearer",
        "hybrid": "cheapest",
    }
    assert all(f"{cost} us CPU" in row.words for row, cost in zip(answer.modes, (300, 500, 200), strict=True))


def test_of_modes_that_cost_the_same_the_smaller_is_the_cheapest() -> None:
    """CPU times within a tenth of each other are told apart by memory, and where that is alike by their order."""
    endpoint = SyntheticEndpoint(10, cpu_us={"asyncio": 100, "threading": 105, "multiprocessing": 300, "hybrid": 300})
    answer = answered(endpoint, asyncio={"peak_pss_mb": 90.0}, threading={"peak_pss_mb": 40.0})
    assert answer.mode == "threading"
    cpu_us = {"asyncio": 105.0, "threading": 100.0, "multiprocessing": 300.0, "hybrid": 300.0}
    alike = answered(SyntheticEndpoint(10, cpu_us=cpu_us), threading={"peak_pss_mb": 99.0})
    assert alike.mode == "asyncio"


@pytest.mark.parametrize(
    ("figures", "standing"),
    [
        ({"goodput_per_s": 20.0, "throughput_per_s": 20.0}, "too_slow"),
        ({"error": "too few processes"}, "did_not_run"),
        ({"refused": 10}, "objectives_missed"),
    ],
)
def test_a_mode_that_does_not_do_is_out(figures: dict[str, object], standing: str) -> None:
    """A mode that falls behind, cannot run or breaks an objective is not chosen, however cheap it is."""
    endpoint = SyntheticEndpoint(10, cpu_us={"hybrid": 1})
    answer = answered(endpoint, hybrid=figures)
    assert answer.mode == "asyncio"
    assert {row.mode: row.standing for row in answer.modes}["hybrid"] == standing


def test_a_budget_that_ends_before_the_modes_is_said() -> None:
    """What was found without comparing every mode is not shown."""
    endpoint = SyntheticEndpoint(10)
    whole = SyntheticEndpoint(10)
    whole.tune(Goal(modes=("asyncio",)))
    answer = endpoint.tune(Goal(modes=("asyncio", "threading"), budget=whole.sent + 3))
    assert answer.outcome == "not_shown"
    assert answer.concurrency == 10
    assert [row.standing for row in answer.modes] == ["cheapest", "not_compared"]


def test_modes_that_cannot_have_so_many_in_flight_are_not_tried() -> None:
    """Serial is for one, and hybrid for two or more."""
    modes: tuple[Mode, ...] = ("asyncio", "serial", "hybrid")
    assert possible_modes(modes, 1) == ["asyncio", "serial"]
    assert possible_modes(modes, 2) == ["asyncio", "hybrid"]


def test_a_client_at_its_own_limit_is_warned_of() -> None:
    """Where the client keeps a core busy, the knee may be its own: that is said."""
    busy = SyntheticEndpoint(10, cpu_us=dict.fromkeys(GOAL.modes, 19_000.0)).tune(GOAL)
    idle = SyntheticEndpoint(10).tune(GOAL)
    assert any("this limit is its own" in warning for warning in busy.warnings)
    assert idle.warnings == ()
