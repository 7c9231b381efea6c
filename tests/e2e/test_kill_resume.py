"""Kill -9 again and again: with `--resume` of the command, without it of its workers; nothing is lost or done twice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, get_args

import psutil
import pytest

from bench.journal import iter_last_results, read_manifest
from bench.records import Mode
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import the_run, wait_until, write_topics
from tests.killing import Answered, Plan, check_whole, kill_and_resume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import StartCommand
    from tests.conftest import Show

MODES: tuple[Mode, ...] = get_args(Mode)

KILLED: Final = "kill -9 of the command, each followed by --resume"
WORKERS_KILLED: Final = "kill -9 of random workers, without --resume"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A simulator whose answers have 100 kB, and which writes down what it did."""
    with SimulatorProcess(SimulatorSettings(tokens=16_000, request_log=str(tmp_path / "requests.jsonl"))) as simulator:
        yield simulator


@pytest.mark.parametrize("mode", ["asyncio", "multiprocessing"])
def test_f04_kills_and_resumes(mode: Mode, tmp_path: Path, start: StartCommand, show: Show) -> None:
    """Killed three times and resumed, a run has each answer once in the end."""
    # Slow enough that it cannot end before it is killed, 40 tasks from its end.
    settings = SimulatorSettings(ttft_s=0.1, tokens=16_000, request_log=str(tmp_path / "requests.jsonl"))
    plan = Plan(mode=mode, slots=4, tasks=120, kills=3, torn=1, until=0.6)
    with SimulatorProcess(settings) as server:
        run, torn = kill_and_resume(plan, server.base_url, tmp_path, start)
    show(KILLED, check_whole(plan, run, tmp_path, torn))


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_f04_twenty_kills(
    mode: Mode, server: SimulatorProcess, tmp_path: Path, start: StartCommand, show: Show
) -> None:
    """Killed 20 times at random moments, at least three times in the middle of a write, a run of 2,000 tasks and 200 MB
    has each answer once in the end.
    """
    plan = Plan(mode=mode, slots=1 if mode == "serial" else 8, tasks=2000, kills=20, torn=3)
    run, torn = kill_and_resume(plan, server.base_url, tmp_path, start)
    assert torn >= plan.torn
    show(KILLED, check_whole(plan, run, tmp_path, torn))


@pytest.mark.parametrize(
    ("mode", "tasks", "kills"),
    [
        *(pytest.param(mode, 120, 2) for mode in ("multiprocessing", "hybrid")),
        *(
            pytest.param(mode, 2000, 20, marks=[pytest.mark.full, pytest.mark.timeout(600)])
            for mode in ("multiprocessing", "hybrid")
        ),
    ],
)
def test_f01_random_workers_killed(
    mode: Mode, tasks: int, kills: int, tmp_path: Path, start: StartCommand, show: Show
) -> None:
    """Whichever workers are killed, whenever, the run goes on and ends by itself with an answer to each task."""
    topics = write_topics(tmp_path / "topics.txt", tasks)
    draw = random.Random(f"{mode} {kills}")
    with SimulatorProcess(SimulatorSettings(ttft_s=0.03, tokens=8)) as server:
        command = start(
            *["-m", mode, "-c", "4", *(["--processes", "2"] if mode == "hybrid" else []), "--client", "lean"],
            *["--topics-file", str(topics), "--base-url", server.base_url, "--model", "m", "--no-report"],
            *["--retry-delay", "0", "--retries", "20"],
            cwd=tmp_path,
        )
        for moment in sorted(draw.randint(4, int(tasks * 0.95)) for _ in range(kills)):
            wait_until(lambda moment=moment: server.stats().requests >= moment, "no progress")  # type: ignore[misc]
            assert command.poll() is None, "it ended by itself too early"
            draw.choice(workers(command.pid)).kill()
        _, err = command.communicate(timeout=200)
        calls = server.stats().requests
    assert command.returncode == 0, err
    run = the_run(tmp_path / "results")
    results = list(iter_last_results(run, Answered))
    assert len({result.task_id for result in results}) == len(results) == tasks
    assert {result.status for result in results} == {"ok"}
    # A death costs each slot of its process the call that was under way.
    most = tasks + kills * (2 if mode == "hybrid" else 1)
    assert tasks <= calls <= most
    assert read_manifest(run).status == "completed"
    line = f"{mode:15}  {kills} workers killed; {tasks} tasks: {len(results)} answers, each once"
    show(WORKERS_KILLED, f"{line}; {calls} calls at the server, at most {most} allowed")


def workers(pid: int) -> list[psutil.Process]:
    """The worker processes of a command: what its fork server has started."""
    found: list[psutil.Process] = []

    def look() -> bool:
        found.clear()
        for server in psutil.Process(pid).children():
            found.extend(child for child in server.children() if child.status() != psutil.STATUS_ZOMBIE)
        return bool(found)

    wait_until(look, "no worker")
    return found
