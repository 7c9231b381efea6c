"""What an experiment's cells say together: verdicts told rightly, and refused where the cells do not carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.experiment.analyse import analyse
from tests.experiments import FACTS, make_experiment, noisy

if TYPE_CHECKING:
    from bench.experiment.records import Arm, Comparison, Experiment


def faster_asyncio(arm: Arm) -> float:
    """Return a rate of 100, for asyncio 30 % more."""
    return 130.0 if arm.mode == "asyncio" else 100.0


def throughput(experiment: Experiment, kind: str = "modes") -> list[Comparison]:
    """Return the comparisons of throughput."""
    return [each for each in analyse(experiment).comparisons if each.metric == "throughput" and each.kind == kind]


def test_a_real_difference_is_found_with_its_interval() -> None:
    """A mode that is 30 % faster wins, and the ratio's interval holds the truth."""
    (found,) = throughput(make_experiment(noisy(faster_asyncio)))
    assert (found.a, found.b, found.verdict.outcome) == ("lean/threading@8", "lean/asyncio@8", "b_faster")
    ratio = found.verdict.ratio
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 100 / 130 < ratio.high


def test_r26_an_arm_that_differs_from_itself_bars_every_verdict() -> None:
    """Where the A/A arm finds a difference, something else than the modes differs, and nothing is decided."""

    def drifting(arm: Arm, block: int) -> float:
        return faster_asyncio(arm) * (1.2 if arm.again else 1.0) * (1 + block / 1000)

    experiment = make_experiment(drifting)
    assert [each.verdict.outcome for each in throughput(experiment, "again")] == ["b_faster"]
    (modes,) = throughput(experiment)
    assert modes.verdict.outcome == "no_verdict"
    assert "differs from itself" in modes.words


def test_r41_cells_that_do_not_count_decide_nothing() -> None:
    """An arm whose cells are INVALID gets no verdict, and the reason stands in the words."""
    short = msgspec.structs.replace(FACTS, duration_s=0.5)
    experiment = make_experiment(noisy(faster_asyncio), facts={"lean/asyncio@8": short})
    (found,) = throughput(experiment)
    assert found.verdict.outcome == "no_verdict"
    assert "lasted 0.5 s" in found.words
    row = next(row for row in analyse(experiment).arms if row.arm == "lean/asyncio@8")
    assert row.blocks == 0
    assert row.invalid


def test_r36_five_blocks_are_too_few() -> None:
    """Fewer than six blocks give no verdict, however clear they look."""
    (found,) = throughput(make_experiment(noisy(faster_asyncio), blocks=5))
    assert found.verdict.outcome == "no_verdict"
    assert "too few blocks" in found.words


def test_clients_are_compared_in_the_same_mode_and_n() -> None:
    """Openai and lean meet within one mode and N, never across."""
    experiment = make_experiment(
        noisy(lambda arm: 50.0 if arm.client == "openai" else 100.0), clients=("openai", "lean")
    )
    pairs = {(each.a, each.b) for each in throughput(experiment, "clients")}
    assert pairs == {
        ("openai/threading@8", "lean/threading@8"),
        ("openai/asyncio@8", "lean/asyncio@8"),
    }


def test_the_headline_names_mode_n_interval_and_cost() -> None:
    """The first three sentences say which mode, how many at once, how sure, and at what cost."""
    first, verdict, cost = analyse(make_experiment(noisy(faster_asyncio))).headline
    assert "asyncio with 8 in flight" in first
    assert "95 % interval" in first
    assert "lean/asyncio@8" in verdict
    assert "90 us of CPU a task" in cost


def test_other_work_is_said_first() -> None:
    """Arms that did not do the same work are told apart before a winner is named."""
    experiment = make_experiment(noisy(faster_asyncio))
    cells = [
        msgspec.structs.replace(cell, workload="other") if cell.arm == "lean/asyncio@8" else cell
        for cell in experiment.cells
    ]
    analysis = analyse(msgspec.structs.replace(experiment, cells=tuple(cells)))
    assert analysis.differences == ("lean/threading@8 and lean/asyncio@8 were not given the same prompts",)


def test_a_busy_machine_leaves_no_winner_and_says_why() -> None:
    """Where no cell counts every pair still has its words: that there is no verdict, and why."""
    busy = msgspec.structs.replace(FACTS, foreign_cpu_share=0.5)
    names = ("lean/threading@8", "lean/asyncio@8", "lean/threading@8 (again)")
    analysis = analyse(make_experiment(noisy(faster_asyncio), facts=dict.fromkeys(names, busy)))
    (found,) = [each for each in analysis.comparisons if (each.metric, each.kind) == ("throughput", "modes")]
    assert found.verdict.outcome == "no_verdict"
    assert "other programs used 50.0% of the machine" in found.words
    assert "no verdict" in analysis.headline[1].lower()


def test_r48_a_knee_is_named_where_throughput_stops_rising() -> None:
    """With N on an axis the analysis says where more slots stop helping."""
    experiment = make_experiment(
        noisy(lambda arm: min(arm.concurrency, 16) * 3.0, spread=0.01),
        modes=("asyncio",),
        levels=(1, 2, 4, 8, 16, 32, 64),
    )
    (scaling,) = analyse(experiment).scaling
    assert scaling.name == "lean/asyncio"
    assert scaling.knee.n == 16
