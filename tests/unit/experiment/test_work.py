"""What arms were asked and answered: read from records, put together over blocks, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.experiment.analyse import analyse
from bench.experiment.work import read_work
from bench.policy.comparability import WorkFacts
from tests.experiments import FACTS, make_experiment
from tests.samples import failed_result, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.experiment.records import Cell


def test_r19_facts_of_a_run(tmp_path: Path) -> None:
    """Answers count by finish reason, failures by type, tokens by their median; the set of prompts has no order."""
    answers = [
        make_result(n, completion_tokens=n, fingerprint=f"f{n % 3}", finish_reason="length" if n > 10 else "stop")
        for n in range(12)
    ]
    failures = [failed_result(12, "timeout_total"), failed_result(13, fingerprint="f0", cached=True)]
    run = write_run(tmp_path / "run", [*answers, *failures], make_manifest(14))
    found = read_work(run, name="a", workload="w", in_flight_mean=3.5)
    assert (found.tasks, found.workload_fingerprint, found.in_flight_mean) == (14, "w", 3.5)
    assert (found.output_tokens_p50, found.output_tokens_p95) == (5.5, None)
    assert found.finish_reasons == {"stop": 11, "length": 1}
    assert found.errors == {"timeout_total": 1, "server_error": 1}
    assert found.cached == 1
    again = write_run(tmp_path / "again", [*failures, *reversed(answers), *answers[:3]], make_manifest(14))
    assert read_work(again, name="a", workload="w", in_flight_mean=None).prompt_set == found.prompt_set
    other = write_run(tmp_path / "other", answers, make_manifest(12))
    assert read_work(other, name="a", workload="w", in_flight_mean=None).prompt_set != found.prompt_set


def differences_of(change: Callable[[Cell, WorkFacts], WorkFacts]) -> tuple[str, ...]:
    """Return what an analysis says was not alike, where the facts of some cells were changed."""
    experiment = make_experiment(
        lambda _arm, block: 100.0 + block, modes=("threading", "asyncio", "hybrid"), levels=(8, 16)
    )
    cells = []
    for cell in experiment.cells:
        plain = WorkFacts(
            name=cell.arm,
            tasks=100,
            workload_fingerprint=f"w{cell.facts.slots}",
            output_tokens_p50=16.0,
            finish_reasons={"stop": 100},
            errors={},
            cached=0,
            in_flight_mean=float(cell.facts.slots or 0),
        )
        cells.append(msgspec.structs.replace(cell, work=change(cell, plain)))
    return analyse(msgspec.structs.replace(experiment, cells=tuple(cells))).differences


def changed(arm: str, **facts: object) -> tuple[str, ...]:
    """Return what is said where one arm has other facts."""
    return differences_of(lambda cell, work: msgspec.structs.replace(work, **facts) if cell.arm == arm else work)


def test_r19_arms_that_did_the_same_have_no_difference() -> None:
    """Arms of one N that did the same work are not spoken of, and arms of two N are not compared."""
    assert differences_of(lambda _cell, work: work) == ()


def test_r19_what_an_arm_did_otherwise_is_said_once() -> None:
    """Each way in which one arm differs from the others of its N is one sentence with both figures."""
    arm, first = "lean/hybrid@8", "lean/threading@8"
    assert changed(arm, output_tokens_p50=8.0) == (f"the median answer of {first} had 16 tokens, of {arm} 8",)
    assert changed(arm, errors={"rate_limited": 5}) == (
        f"{first} failed with rate_limited in 0 % of tasks, {arm} in 5 %",
    )
    assert changed(arm, workload_fingerprint="other") == (f"{first} and {arm} were not given the same prompts",)
    assert changed(arm, in_flight_mean=4.0) == (f"{first} had 8 requests in flight on average, {arm} 4",)


def test_r19_an_arm_is_held_against_all_that_were_alike() -> None:
    """Two arms that each differ little from the first but much from each other are told."""
    sizes = {"lean/asyncio@8": 16.6, "lean/hybrid@8": 15.4}
    said = differences_of(lambda cell, work: msgspec.structs.replace(work, output_tokens_p50=sizes.get(cell.arm, 16.0)))
    assert said == ("the median answer of lean/asyncio@8 had 16.6 tokens, of lean/hybrid@8 15.4",)


def test_r19_a_cell_that_did_not_begin_did_no_other_work() -> None:
    """A cell whose program failed has no prompts of its own: that is an error, and no difference in the work."""
    busy = msgspec.structs.replace(FACTS, foreign_cpu_share=0.5)
    experiment = make_experiment(lambda _arm, block: 100.0 + block, facts={"lean/asyncio@8": busy})
    cells = [
        msgspec.structs.replace(cell, workload=None, error="it broke") if cell.block == 1 else cell
        for cell in experiment.cells
    ]
    assert analyse(msgspec.structs.replace(experiment, cells=tuple(cells))).differences == ()


def test_r19_blocks_of_an_arm_that_were_not_alike_are_said() -> None:
    """An arm whose blocks were not given the same prompts is named."""
    arm = "lean/asyncio@16"
    said = differences_of(
        lambda cell, work: (
            msgspec.structs.replace(work, workload_fingerprint="other") if (cell.arm, cell.block) == (arm, 2) else work
        )
    )
    assert f"{arm} was not given the same prompts in every block" in said
