"""What `compare` says in the end, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.cli.compare_words import say_analysis
from bench.experiment.analyse import with_analysis
from tests.experiments import make_experiment

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
