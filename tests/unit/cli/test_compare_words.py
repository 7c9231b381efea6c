"""What `compare` says in the end, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.cli.compare_words import CompareWatcher, say_analysis
from bench.experiment.analyse import with_analysis
from bench.policy.objectives import parse_objectives
from tests.experiments import FACTS, make_experiment

if TYPE_CHECKING:
    import pytest


def test_r19_what_was_not_alike_comes_before_any_winner(capsys: pytest.CaptureFixture[str]) -> None:
    """Where arms were not given the same work, that is the first thing said."""
    experiment = make_experiment(lambda arm, block: (130.0 if arm.mode == "asyncio" else 100.0) + block)
    cells = [
        msgspec.structs.replace(cell, workload="other") if cell.arm == "lean/asyncio@8" else cell
        for cell in experiment.cells
    ]
    say_analysis(with_analysis(msgspec.structs.replace(experiment, cells=tuple(cells))))
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "not alike: lean/threading@8 and lean/asyncio@8 were not given the same prompts"
    assert "finished the most" in second


def test_the_time_left_counts_every_null_server(capsys: pytest.CaptureFixture[str]) -> None:
    """What is left counts a cell of every arm for each null server, ceiling and calibration, from the first line on."""
    whole = make_experiment(lambda _arm, block: 100.0 + block, blocks=2)
    watcher = CompareWatcher(msgspec.structs.replace(whole, cells=()), nulls=2, quiet=False)
    assert repr(watcher) == "<CompareWatcher 0 of 10>"
    for cell in whole.cells:
        watcher.ended(cell)
    assert repr(watcher) == "<CompareWatcher 6 of 10>"
    assert "s left" in capsys.readouterr().err


def test_r49_what_arrived_and_what_was_sent_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an open loop the rates, what was dropped and the blocks in overload stand in a row for each arm."""
    facts = msgspec.structs.replace(
        FACTS, load_model="open", little_ratio=None, offered_per_s=60.0, achieved_per_s=46.5, dropped=3, overloaded=True
    )
    names = ("lean/threading@8", "lean/asyncio@8", "lean/threading@8 (again)")
    experiment = make_experiment(
        lambda _arm, block: 100.0 + block, facts=dict.fromkeys(names, facts), arrivals_per_s=60.0
    )
    say_analysis(with_analysis(experiment))
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("lean/asyncio@8  ")]
    assert row.split()[1:] == ["60.0", "46.5", "18", "6", "of", "6"]
    assert "is INVALID: overload: requests under way" in out
    assert "Verdicts on p50 latency" in out


def test_objectives_on_percentiles_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Each objective on a percentile has a line for each arm: met, not met, or too few samples to tell."""
    goals = parse_objectives("ttft_p50<1s,ttft_p99<1s,latency<9s")
    experiment = make_experiment(lambda _arm, block: 100.0 + block)
    cells = [
        msgspec.structs.replace(cell, objectives=goals.aggregates({"ttft_p50": 1.5, "ttft_p99": None}))
        for cell in experiment.cells
    ]
    say_analysis(with_analysis(msgspec.structs.replace(experiment, cells=tuple(cells))))
    out = capsys.readouterr().out
    assert "objective ttft_p50<1s: lean/asyncio@8: not met (1,500.0 ms)" in out
    assert "objective ttft_p99<1s: lean/asyncio@8: too few samples\n" in out
    assert "latency<9s" not in out
