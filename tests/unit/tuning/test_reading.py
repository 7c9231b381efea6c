"""A cell read as a probe, on runs made by hand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bench.experiment.cell import Observed
from bench.experiment.machine import Between
from bench.journal import read_manifest
from bench.policy.objectives import parse_objectives
from bench.records import TaskResult, WorkerId
from bench.summary import summarise
from bench.summary.steady import steady
from bench.tuning.asking import Ask
from bench.tuning.reading import read_probe
from tests.samples import failed_result, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.tuning.records import Probe

MACHINE = Between(wall_s=1.0, clock_ratio=1.0, steal_share=None, busy_share=0.4, pressure_share=None, runnable=None)


def rounds(count: int, *, slots: int, takes_s: float = 1.0) -> list[TaskResult]:
    """Return a run in which every slot does so many tasks one after the other."""
    return [
        make_result(place * slots + slot, **_times(slot, place * takes_s, takes_s))
        for place in range(count)
        for slot in range(slots)
    ]


def probe_of(
    root: Path,
    results: Sequence[TaskResult],
    slots: int,
    slo: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Probe:
    """Write a run and read it as a probe, with some of what was observed of its cell changed."""
    run = write_run(root, results, make_manifest(len(results), concurrency=slots))
    observed = Observed(
        exit_code=0,
        said="",
        run=run,
        manifest=read_manifest(run),
        summary=summarise(run),
        steady=steady(run),
        spawned_ns=0,
        waited_cpu_s=0.0,
        machine=MACHINE,
        server=None,
    )
    ask = Ask(mode="asyncio", concurrency=slots, requests=len(results), purpose="growing")
    changed = dataclasses.replace(observed, **(changes or {}))
    return read_probe(ask, changed, parse_objectives(slo) if slo else None)


def _times(slot: int, started_s: float, takes_s: float) -> dict[str, object]:
    return {
        "scheduled_s": started_s,
        "started_s": started_s,
        "ended_s": started_s + takes_s,
        "latency_s": takes_s,
        "service_s": takes_s,
        "worker": WorkerId(pid=1, thread="main", slot=slot),
    }


def test_rates_are_those_of_the_steady_part(tmp_path: Path) -> None:
    """Of four rounds of two slots the last three count, and everything that was sent is what it cost."""
    probe = probe_of(tmp_path / "run", rounds(4, slots=2), 2)
    assert probe.steady
    assert probe.throughput_per_s == probe.goodput_per_s == pytest.approx(2.0)
    assert (probe.attempted, probe.attained, probe.refused) == (6, 6, 0)
    assert (probe.latency_mean_s, probe.latency_sd_s) == (1.0, 0.0)
    assert (probe.requests, probe.tokens, probe.machine_busy) == (8, 8 * 15, 0.4)
    assert probe.error is None
    assert probe.is_within


def test_what_misses_an_objective_is_no_goodput(tmp_path: Path) -> None:
    """A slow answer is a success and not a good one; of a percentile's objective it is counted, and one may miss it."""
    slow = [msgspec.structs.replace(each, ttft_s=0.9) if each.index in {4, 6} else each for each in rounds(6, slots=2)]
    each = probe_of(tmp_path / "each", slow, 2, "ttft<0.5s")
    of_all = probe_of(tmp_path / "of_all", slow, 2, "ttft_p95<0.5s,latency<5s")
    assert each.throughput_per_s == of_all.throughput_per_s == of_all.goodput_per_s == pytest.approx(2.0)
    assert each.goodput_per_s == pytest.approx(2.0 * 8 / 10)
    assert each.is_within
    (held,) = of_all.held
    assert (held.objective, held.share, held.met, held.of, held.holds) == ("ttft_p95<0.5s", 0.95, 8, 10, False)
    assert not of_all.is_within


def test_refusals_are_a_limit_of_the_provider(tmp_path: Path) -> None:
    """A slot that is refused again and again is counted, keeps nobody waiting for a steady part, and breaks a limit."""
    refused = [failed_result(100 + n, "rate_limited", **_times(1, 0.001 * n, 0.001)) for n in range(9)]
    probe = probe_of(tmp_path / "run", [*rounds(4, slots=1), *refused], 2)
    assert not probe.steady
    assert (probe.attempted, probe.refused) == (3 + 8, 8)
    assert probe.is_refused
    assert not probe.is_within
    assert probe.failure.startswith("rate_limited")


def test_without_a_steady_part_single_requests_tell(tmp_path: Path) -> None:
    """Where the run was too short, rates are those of so many slots at the latency of all but their first requests."""
    lone = [*rounds(2, slots=1, takes_s=2.0), make_result(9, **_times(1, 0.0, 5.0))]
    probe = probe_of(tmp_path / "run", lone, 2)
    assert not probe.steady
    assert probe.attempted == 1
    assert probe.throughput_per_s == pytest.approx(2 / 2.0)


@pytest.mark.parametrize(
    "changes", [{"exit_code": 2, "said": "no room"}, {"summary": None, "said": "no room"}], ids=["refused", "broken"]
)
def test_a_cell_that_did_not_run_says_why(changes: dict[str, object], tmp_path: Path) -> None:
    """A process that ended otherwise than a run does is no measurement: the probe keeps what it said."""
    probe = probe_of(tmp_path / "run", rounds(4, slots=2), 2, changes=changes)
    assert probe.error == "no room"
    assert not probe.is_within
    assert probe.throughput_per_s == 0


def test_a_run_without_records_did_not_run(tmp_path: Path) -> None:
    """A run that kept no record is no measurement either."""
    probe = probe_of(tmp_path / "run", [], 2)
    assert probe.error is not None
