"""Experiments reported on and compared by the command."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from tests.command import COMMAND
from tests.experiment_cases import MACHINE, Made, make_experiment
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Made(modes=("asyncio",))


def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder and wait for it."""
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, encoding="utf-8", check=False)


def test_report_draws_an_experiment(tmp_path: Path) -> None:
    """`report EXPERIMENT`, by its id, writes the page into the experiment's directory and names it."""
    directory = make_experiment(tmp_path / "results", SMALL)
    done = call("report", directory.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (directory / "report.html").is_file()
    assert str((directory / "report.html").relative_to(tmp_path)) in done.stdout


def test_report_writes_markdown(tmp_path: Path) -> None:
    """`report --markdown` writes an experiment or a run to standard output alone, and draws nothing."""
    directory = make_experiment(tmp_path / "results", SMALL)
    done = call("report", "--markdown", str(directory), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## asyncio measured\n")
    assert "| openai/asyncio@8" in done.stdout
    assert not (directory / "report.html").exists()
    of_run = call("report", "--markdown", str(make_run(tmp_path / "runs", Plan())), cwd=tmp_path)
    assert of_run.stdout.startswith("## asyncio, 8 requests in flight\n")


def test_an_experiment_has_a_report_of_its_own(tmp_path: Path) -> None:
    """An experiment named together with a run is refused as wrong usage, with what to do."""
    directory = make_experiment(tmp_path / "results", SMALL)
    done = call("report", str(directory), str(make_run(tmp_path / "runs", Plan())), cwd=tmp_path)
    assert done.returncode == 2
    assert "name it alone" in done.stderr


def test_diff_compares_two_experiments(tmp_path: Path) -> None:
    """`compare --diff A B` says that they ran at different times, and shows each arm's ratio with its interval."""
    a = make_experiment(tmp_path / "results", Made(modes=("asyncio",), seed=1))
    b = make_experiment(tmp_path / "results", Made(modes=("asyncio",), seed=2, faster={"asyncio": 1.5}))
    done = call("compare", "--diff", a.name, b.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "they ran at different times" in done.stdout
    assert "B is better" in done.stdout
    assert "blocks not paired" in done.stdout
    assert re.search(r"0\.6[5-8] +0\.6\d to 0\.6\d", done.stdout)
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_diff_across_machines_carries_no_verdict(tmp_path: Path) -> None:
    """Between machines the ratios are shown and no verdict is given."""
    a = make_experiment(tmp_path / "results", Made(modes=("asyncio",), seed=1))
    other = {**MACHINE, "cpu": {"model": "another"}}
    b = make_experiment(
        tmp_path / "results", Made(modes=("asyncio",), seed=2, faster={"asyncio": 1.5}, environment=other)
    )
    done = call("compare", "--diff", str(a), str(b), cwd=tmp_path)
    assert "no verdict across the two" in done.stdout
    assert "the processor was not the same" in done.stdout
    assert "is better" not in done.stdout


def test_diff_takes_two(tmp_path: Path) -> None:
    """One experiment alone is refused as wrong usage, and so is one that is not there."""
    a = make_experiment(tmp_path / "results", SMALL)
    assert call("compare", "--diff", a.name, cwd=tmp_path).returncode == 2
    missing = call("compare", "--diff", a.name, "nowhere", cwd=tmp_path)
    assert missing.returncode == 2
    assert "'nowhere' is no experiment" in missing.stderr
