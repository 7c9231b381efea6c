"""Rules that are about one number: nothing is added to it, and what speaks against it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.environment import describe_environment
from bench.experiment.analyse import analyse
from bench.experiment.machine import Moment, between
from bench.policy.facts import CellFacts
from bench.policy.validity import check_cell
from bench.summary import summarise
from tests.experiments import FACTS, make_experiment, noisy
from tests.samples import make_attempt, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from pathlib import Path


def test_r04_latency_from_the_schedule_is_not_corrected_again(tmp_path: Path) -> None:
    """After a long wait an open loop has as many latencies as successes, and they are those of the records."""
    latencies = [0.1 * number + 5.0 * (number == 20) for number in range(1, 41)]
    results = [
        make_result(
            number,
            scheduled_s=0.1 * number,
            started_s=0.1 * number,
            ended_s=0.1 * number + latency_s,
            latency_s=latency_s,
            service_s=latency_s,
            attempts=(make_attempt(sent_s=0.1 * number, end_s=0.1 * number + latency_s),),
        )
        for number, latency_s in enumerate(latencies)
    ]
    run = write_run(tmp_path / "run", results, make_manifest(40, load_model="open", concurrency=4))
    found = summarise(run).latency_s
    assert found.n == 40
    assert found.mean == pytest.approx(sum(latencies) / 40)
    assert (found.min, found.max) == (min(latencies), max(latencies))


@pytest.mark.parametrize(
    ("wall_s", "severity"), [(10.0, None), (10.009, None), (10.05, "warning"), (10.2, "invalid"), (9.8, "invalid")]
)
def test_r07_a_wall_clock_that_was_set_is_noticed(wall_s: float, severity: str | None) -> None:
    """Where wall and monotonic time differ by more than 0.1 % a cell is warned of, by more than 1 % it is INVALID."""
    before = Moment(now_ns=5 * 10**9, wall_s=1000.0, runnable=None, ticks=None, waited_us=None)
    after = Moment(now_ns=15 * 10**9, wall_s=1000.0 + wall_s, runnable=None, ticks=None, waited_us=None)
    facts = CellFacts(load_model="closed", clock_ratio=between(before, after).clock_ratio)
    assert [(reason.rule, reason.severity) for reason in check_cell(facts)] == (
        [("clock", severity)] if severity else []
    )


@pytest.mark.parametrize("changes", [{"server_lateness_p99_s": 0.006}, {"server_cpu_share": 0.81}])
def test_r30_a_server_at_its_limit_bars_the_verdict(changes: dict[str, float]) -> None:
    """Where the server was late or busy the arm is called server-limited, and no mode wins."""
    limited = msgspec.structs.replace(FACTS, **changes)
    rates = noisy(lambda arm: 130.0 if arm.mode == "asyncio" else 100.0)
    analysis = analyse(make_experiment(rates, facts={"lean/asyncio@8": limited}))
    row = next(row for row in analysis.arms if row.arm == "lean/asyncio@8")
    assert row.limits == ("server-limited",)
    (found,) = [each for each in analysis.comparisons if (each.metric, each.kind) == ("throughput", "modes")]
    assert found.verdict.outcome == "no_verdict"


def test_r43_the_source_that_ran_is_kept_by_its_hash(tmp_path: Path) -> None:
    """A run's environment names its source by a hash: the same for the same files, another for one more byte."""

    def source() -> object:
        return describe_environment(tmp_path)["source"]

    assert source() is None
    (tmp_path / "bench" / "cli").mkdir(parents=True)
    for name in ("concurrent_bigmodel.py", "bench/a.py", "bench/cli/b.py"):
        (tmp_path / name).write_text("x = 1\n", encoding="utf-8")
    first = source()
    assert isinstance(first, str)
    assert source() == first
    (tmp_path / "notes.txt").write_text("not part of it", encoding="utf-8")
    assert source() == first
    (tmp_path / "bench" / "cli" / "b.py").write_text("x = 1\n\n", encoding="utf-8")
    assert source() != first
