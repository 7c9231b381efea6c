"""What an experiment's cells say together: verdicts told rightly, and refused where the cells do not carry them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.experiment.analyse import analyse
from bench.policy.facts import Bounds
from bench.policy.objectives import parse_objectives
from bench.policy.validity import check_cell
from tests.experiments import FACTS, make_experiment, noisy

if TYPE_CHECKING:
    from bench.experiment.records import Arm, Comparison, Experiment


#: Cells of tests are short.
SHORT: Final = Bounds(min_duration_s=2.0)


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


def test_the_headline_of_an_open_loop_is_about_latency() -> None:
    """Where the rate is given the first sentence names it and the arm that answered soonest, the second its verdict."""
    first, verdict, _ = analyse(make_experiment(noisy(faster_asyncio), arrivals_per_s=50.0)).headline
    assert first.startswith("With the lean client and 50 arrivals a second, asyncio with 8 in flight at most answered")
    assert "ms of their arrival (6 blocks)" in first
    assert "p50 latency" in verdict or "the instrument's own error was not measured" in verdict


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


def with_times(experiment: Experiment, ttft_s: dict[str, float], added_s: dict[str, float]) -> Experiment:
    """Return an experiment whose arms have these times to first token, of which their client adds so much."""
    rng = random.Random(2)
    cells = []
    for cell in experiment.cells:
        name = cell.arm.removesuffix(" (again)")
        late_s = added_s[name] * rng.lognormvariate(0, 0.01)
        figures = msgspec.structs.replace(
            cell.figures, ttft_p50_s=ttft_s[name] * rng.lognormvariate(0, 0.005), client_lag_p50_s=late_s
        )
        facts = msgspec.structs.replace(
            cell.facts, ttft_p50_s=figures.ttft_p50_s, calibration_error_s=late_s, canary_error_s=late_s / 2
        )
        cells.append(msgspec.structs.replace(cell, figures=figures, facts=facts, reasons=check_cell(facts, SHORT)))
    return msgspec.structs.replace(experiment, cells=tuple(cells))


def judged(experiment: Experiment, metric: str) -> Comparison:
    """Return the one comparison of modes in a metric."""
    (found,) = [each for each in analyse(experiment).comparisons if (each.metric, each.kind) == (metric, "modes")]
    return found


def test_r31_a_difference_that_the_client_may_have_made_is_no_verdict() -> None:
    """First tokens that differ by less than a client adds are not told apart; what the clients add is."""
    ttft_s = {"lean/threading@8": 0.100, "lean/asyncio@8": 0.112}
    added_s = {"lean/threading@8": 0.001, "lean/asyncio@8": 0.013}
    experiment = with_times(make_experiment(noisy(faster_asyncio)), ttft_s, added_s)
    found = judged(experiment, "ttft_p50")
    assert found.verdict.outcome == "no_verdict"
    assert "within the instrument's own error" in found.words
    assert "the client adds 13" in found.words
    assert judged(experiment, "client_lag_p50").verdict.outcome == "a_faster"
    # The same difference with a client that adds a tenth of it is one.
    fine = with_times(make_experiment(noisy(faster_asyncio)), ttft_s, dict.fromkeys(ttft_s, 0.0012))
    assert judged(fine, "ttft_p50").verdict.outcome == "a_faster"


def test_r31_without_a_calibration_times_get_no_verdict() -> None:
    """Where nothing told what the client adds, no difference of times is one, and the words say why."""
    found = judged(make_experiment(noisy(faster_asyncio)), "latency_p50")
    assert found.verdict.outcome == "no_verdict"
    assert "the instrument's own error was not measured" in found.words


@pytest.mark.parametrize(
    ("little", "canaries_per_s", "ceiling_per_s", "outcome"),
    [
        (0.99, 10.0, 400.0, "b_faster"),
        (0.99, 10.0, 30.0, "no_verdict"),
        (0.99, 10.0, None, "no_verdict"),
        (0.99, None, None, "b_faster"),
        (0.70, None, None, "no_verdict"),
    ],
)
def test_r31_what_the_harness_takes_of_a_rate(
    little: float, canaries_per_s: float | None, ceiling_per_s: float | None, outcome: str
) -> None:
    """A difference of 30 % of a rate stands unless records and canaries may have made it, or it is not known."""
    experiment = make_experiment(noisy(faster_asyncio))
    cells = []
    for cell in experiment.cells:
        facts = msgspec.structs.replace(cell.facts, little_ratio=little)
        around = msgspec.structs.replace(cell.conditions, canaries_per_s=canaries_per_s)
        cells.append(msgspec.structs.replace(cell, facts=facts, conditions=around))
        if ceiling_per_s is not None and cell.block == 0 and "again" not in cell.arm:
            figures = msgspec.structs.replace(cell.figures, throughput=ceiling_per_s)
            cells.append(msgspec.structs.replace(cell, kind="ceiling", block=-1, figures=figures))
    found = judged(msgspec.structs.replace(experiment, cells=tuple(cells)), "throughput")
    assert found.verdict.outcome == outcome, found.words


def test_r31_clients_at_their_limit_are_ranked_and_said_to_be() -> None:
    """Beyond half of its ceiling an arm is client-limited: the ranking stands, and its words say what it is about."""
    rates = {"lean/asyncio@8": 130.0, "lean/threading@8": 100.0, "lean/threading@8 (again)": 100.0}
    facts = {
        name: msgspec.structs.replace(FACTS, throughput_per_s=rate, ceiling_per_s=140.0) for name, rate in rates.items()
    }
    experiment = make_experiment(noisy(faster_asyncio), facts=facts)
    found = judged(experiment, "throughput")
    assert found.verdict.outcome == "b_faster"
    assert found.words.endswith("are client-limited: this ranks clients, not the server")
    assert {row.limits for row in analyse(experiment).arms} == {("client-limited",)}


def test_objectives_on_percentiles_are_counted_by_block() -> None:
    """An arm's row says in how many blocks a percentile met its objective, and where the samples were too few."""
    goals = parse_objectives("ttft_p95<1s,latency_p50<2s")
    experiment = make_experiment(noisy(faster_asyncio))
    cells = [
        msgspec.structs.replace(
            cell,
            objectives=goals.aggregates({"ttft_p95": None, "latency_p50": 3.0 if cell.block == 2 else 1.5}),
        )
        for cell in experiment.cells
    ]
    row = analyse(msgspec.structs.replace(experiment, cells=tuple(cells))).arms[0]
    assert [(goal.objective, goal.words) for goal in row.objectives] == [
        ("ttft_p95<1s", "too few samples"),
        ("latency_p50<2s", "met in 5, not met in 1 of 6 blocks"),
    ]
    assert row.objectives[1].value_s == 1.5


def test_r41_what_was_not_measured_is_said() -> None:
    """Rules that no cell could be held against are named, with how many cells they are about."""
    (words,) = analyse(make_experiment(noisy(faster_asyncio))).unchecked
    assert words.startswith("not measured in any cell, so that no rule about it was checked: ")
    assert "steal_share" in words
    assert "little_ratio" not in words


def test_r40_a_step_over_the_blocks_is_a_warning() -> None:
    """An arm whose throughput goes to another level and stays there is named with the block at which it did."""

    def stepping(arm: Arm, block: int) -> float:
        return faster_asyncio(arm) * (1 + block / 1000) * (0.7 if block >= 3 else 1.0)

    warnings = analyse(make_experiment(stepping)).warnings
    assert any("lean/asyncio@8: from block 4 on the figure is 0.7" in words for words in warnings), warnings


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
