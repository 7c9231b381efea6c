"""`compare` as a user calls it: cells in fresh processes, an experiment that can be gone on with, gates."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.experiment.analyse import with_analysis
from bench.experiment.store import EXPERIMENT, load
from tests.command import COMMAND, wait_until
from tests.experiments import MACHINE, make_experiment

if TYPE_CHECKING:
    from pathlib import Path

    from bench.experiment.records import Experiment
    from tests.command import StartCommand

#: Small: two modes, four slots, answers of 30 ms.
SMALL: Final = (
    *("compare", "--modes", "threading", "asyncio", "-c", "4", "--client", "lean", "--min-duration", "0.2"),
    *("--simulator", "ttft=0.02", "itl=0.002", "tokens=6", "--no-report"),
)


def compare(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Call the command and wait for it."""
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, check=False, encoding="utf-8")


def the_experiment(folder: Path) -> Path:
    """The one experiment below `results`."""
    (path,) = (folder / "results").glob("*/" + EXPERIMENT)
    return path.parent


def test_an_experiment_is_whole(tmp_path: Path) -> None:
    """Every arm runs once a block in a process of its own, on the same work, with its records beside it."""
    done = compare(*SMALL, "--repeats", "2", cwd=tmp_path)
    assert done.returncode in {0, 1}, done.stderr
    directory = the_experiment(tmp_path)
    experiment = load(directory)
    assert experiment.status == "completed"
    measured = [cell for cell in experiment.cells if cell.kind == "measurement"]
    assert [cell.arm for cell in measured] == [name for order in experiment.plan.order for name in order]
    assert {cell.exit_code for cell in measured} == {0}
    assert len({cell.workload for cell in measured}) == 1
    assert len({cell.run for cell in experiment.cells}) == len(experiment.cells)
    pids = {
        msgspec.json.decode((directory / "cells" / str(cell.run) / "run.json").read_bytes())["segments"][0]["pid"]
        for cell in measured
    }
    assert len(pids) == len(measured)
    again_with_a_slower_server(tmp_path, directory.name, experiment)


def again_with_a_slower_server(folder: Path, baseline: str, before: Experiment) -> None:
    """Show that cells have the baseline's tasks, whatever the server's pace is now."""
    server = ("--simulator", "ttft=0.05", "itl=0.002", "tokens=6", "--no-report")
    shape = ("--modes", "asyncio", "-c", "4", "--client", "lean", "--min-duration", "0.2", "--repeats", "1")
    done = compare("compare", *shape, *server, "--baseline", baseline, cwd=folder)
    assert done.returncode in {0, 1}, done.stderr
    assert f"baseline: {baseline}; as many tasks as it had" in done.stderr
    (other,) = {path.parent for path in (folder / "results").glob("*/" + EXPERIMENT)} - {folder / "results" / baseline}
    now = load(other)
    assert now.plan.tasks == before.plan.tasks
    assert now.plan.source == before.plan.source is not None
    assert {cell.workload for each in (now, before) for cell in each.cells if cell.kind == "measurement"} == {
        before.cells[-1].workload
    }


@pytest.mark.full
def test_r31_what_the_client_adds_is_measured_in_every_cell(tmp_path: Path) -> None:
    """Against a server that stamps what it sends each cell says how much later the client saw it: above 0."""
    compare(*SMALL, "--repeats", "1", cwd=tmp_path)
    lags = [cell.figures.client_lag_p50_s for cell in load(the_experiment(tmp_path)).cells]
    assert lags
    assert all(lag is not None and 0 < lag < 0.5 for lag in lags)


@pytest.mark.full
def test_r44_an_interrupted_experiment_is_gone_on_with(tmp_path: Path, start: StartCommand) -> None:
    """Ctrl+C keeps every finished cell; `--resume` does the others, by the plan, and none twice."""
    command = start(*SMALL, "--repeats", "3", cwd=tmp_path)
    wait_until(lambda: cells_of(tmp_path) >= 3, "three cells")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    directory = the_experiment(tmp_path)
    before = load(directory)
    assert before.status == "interrupted"
    assert 3 <= len(before.cells) < 2 + 9
    done = compare(*SMALL, "--resume", directory.name, cwd=tmp_path)
    assert done.returncode in {0, 1}, done.stderr
    after = load(directory)
    assert after.status == "completed"
    assert after.cells[: len(before.cells)] == before.cells
    assert after.plan == before.plan
    keys = [(cell.arm, cell.kind, cell.block) for cell in after.cells]
    assert len(keys) == len(set(keys)) == 2 + 9


@pytest.mark.full
def test_r49_an_open_loop_that_gets_too_much_is_stopped_and_marked(tmp_path: Path) -> None:
    """At twice what two slots can answer every cell is ended and in overload; the ceiling is asked as fast as it can.

    A cell that is ended for it is whole: its records are kept, and it is judged like the others.
    """
    options = ("--modes", "asyncio", "-c", "2", "--client", "lean", "--min-duration", "2", "--repeats", "1")
    server = ("--simulator", "ttft=0.03", "itl=0", "tokens=2", "--no-report")
    done = compare("compare", *options, "--rate", "120", "--slo", "latency_p50<1ms", *server, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    experiment = load(the_experiment(tmp_path))
    ceiling, *measured = experiment.cells
    assert (ceiling.kind, ceiling.facts.load_model) == ("ceiling", "closed")
    assert ceiling.tasks >= 500, "what is over at once has no rate"
    assert ceiling.figures.throughput is not None
    for cell in measured:
        assert (cell.facts.load_model, cell.facts.ceiling_per_s) == ("open", ceiling.figures.throughput)
        assert cell.facts.offered_per_s == pytest.approx(120.0)
        assert (cell.facts.achieved_per_s or 0) < 90
        assert "overload" in {reason.rule for reason in cell.reasons}
        assert (cell.exit_code, cell.error) == (1, None)
        assert cell.work is not None
        assert 40 < cell.work.tasks == cell.tasks < 0.8 * experiment.plan.tasks[2]
        assert [(str(each.objective), each.met) for each in cell.objectives] == [("latency_p50<0.001s", False)]
    assert "Arrivals" in done.stdout
    assert "1 of 1" in done.stdout, "the block is said to be in overload"
    assert experiment.settings["rate"] == 120.0


def cells_of(folder: Path) -> int:
    """How many cells are written down."""
    return sum(len(load(path.parent).cells) for path in (folder / "results").glob("*/" + EXPERIMENT))


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("asyncio.success_rate >= 0.99", 0),
        ("asyncio.latency_p50 < 1us", 3),
        ("asyncio.throughput >= 0.95 * baseline", 0),
        ("threading.throughput >= 0.95 * baseline", 3),
        ("serial.throughput >= 1", 3),
    ],
)
def test_r42_gates(tmp_path: Path, gate: str, code: int) -> None:
    """A gate that holds passes; one that fails, or cannot be shown, is exit code 3 and says which."""
    now = kept(tmp_path, "now", make_experiment(lambda _arm, block: 100.0 + block))
    before = kept(
        tmp_path, "before", make_experiment(lambda arm, block: 100.0 + block + 50.0 * (arm.mode == "threading"))
    )
    done = compare(*SMALL, "--resume", now, "--gate", gate, "--baseline", before, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert gate in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"environment": MACHINE | {"cpu": {"model": "another", "logical": 2, "usable_cores": 2}}}, "model is a proc"),
        ({"cells": ()}, "not given the same prompts"),
    ],
    ids=["another machine", "other prompts"],
)
def test_r40_what_is_no_baseline_shows_nothing(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    """A gate is not held against an experiment of another machine or of other work: exit code 3, and why."""
    experiment = make_experiment(lambda _arm, block: 100.0 + block)
    if "cells" in changes:
        other = (msgspec.structs.replace(cell, workload="other") for cell in experiment.cells)
        changes = {"cells": tuple(other)}
    now = kept(tmp_path, "now", experiment)
    before = kept(tmp_path, "before", msgspec.structs.replace(experiment, **changes))
    gate = "asyncio.throughput >= 0.5 * baseline"
    done = compare(*SMALL, "--resume", now, "--gate", gate, "--baseline", before, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert f"gate not shown: {gate}" in done.stdout
    assert said in done.stdout


def kept(folder: Path, name: str, experiment: Experiment) -> str:
    """Keep an experiment whose cells are all done below `results`, and return its name."""
    ceilings = [
        msgspec.structs.replace(
            next(cell for cell in experiment.cells if cell.arm == arm.name), kind="ceiling", block=-1
        )
        for arm in experiment.plan.arms
        if arm.again is None
    ]
    (folder / "results" / name / "cells").mkdir(parents=True)
    whole = with_analysis(msgspec.structs.replace(experiment, cells=(*ceilings, *experiment.cells)))
    (folder / "results" / name / EXPERIMENT).write_bytes(msgspec.json.encode(whole))
    return name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gate", "asyncio is fast"), "is no gate"),
        (("--slo", "ttft<soon"), "is no objective"),
        (("--budget", "-1m"), "--budget"),
        (("--resume", "nothing"), "'nothing' is no experiment"),
        (("--modes", "hybrid", "-c", "1"), "hybrid takes at least 2"),
        (("--repeats", "0"), "--repeats"),
        (("--concurrency", "0"), "--concurrency"),
        (("--gate", "asyncio.throughput >= 0.95 * baseline"), "add --baseline EXPERIMENT"),
        (("--baseline", "nothing"), "'nothing' is no experiment"),
        (("--modes", "multiprocessing", "asyncio", "-c", "1", "100000"), "is the most that fits"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """What makes no experiment is refused with its option's name, before anything is sent."""
    done = compare("compare", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists(), "not even the first request was sent"
