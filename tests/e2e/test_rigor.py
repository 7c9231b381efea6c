"""Rules that take a real server: what the harness does to what it measures, and what it says of where it ran."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psutil
import pytest

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor, RunOutcome
from bench.experiment.store import EXPERIMENT, load
from bench.journal import MANIFEST, SUMMARY, iter_last_results
from bench.policy.schedule import schedule
from bench.providers import Endpoint
from bench.records import Mode, TaskResult
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.summary import summarise
from tests.command import COMMAND
from tests.modes import every_mode
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.experiment.records import Cell, Experiment
    from bench.records import Glimpse, Task

every_client = pytest.mark.parametrize("client", ["openai", "lean"])

#: One block of two modes and the control, four slots, answers of 30 ms.
SMALL: Final = (
    *("compare", "--modes", "asyncio", "multiprocessing", "-c", "4", "--client", "lean", "--repeats", "1"),
    *("--min-duration", "0.2", "--simulator", "ttft=0.02", "itl=0.002", "tokens=6", "--no-report"),
)


class OnePrompt(CountedWorkload):
    """Tasks that all ask the same."""

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks."""
        for task in super().__iter__():
            yield msgspec.structs.replace(task, messages=({"role": "user", "content": "同一个问题"},))


class Sleeper:
    """An observer that takes 50 ms over every second record."""

    def __init__(self) -> None:
        self.records = 0

    def ready(self) -> None:
        """Do nothing."""

    def drawn(self) -> None:
        """Do nothing."""

    def recorded(self, glimpse: Glimpse | TaskResult) -> None:  # noqa: ARG002 - what it is does not matter
        """Take time."""
        self.records += 1
        if self.records % 2:
            time.sleep(0.05)


def execute(
    folder: Path, server: SimulatorProcess, workload: CountedWorkload, /, *observers: Sleeper, **settings: object
) -> RunOutcome:
    """Run a workload."""
    config = ConcurrentConfig(results_dir=folder, **settings)  # type: ignore[arg-type] # any of its settings
    endpoint = Endpoint(provider="simulator", base_url=server.base_url, model="simulated", pid=server.pid)
    return ConcurrentBigModelExecutor(config).open(workload, endpoint).execute(observers=observers)


def results_of(outcome: RunOutcome) -> list[TaskResult]:
    """The records of a run, in the order of the workload."""
    return sorted(iter_last_results(outcome.directory, TaskResult), key=lambda result: result.index)


@every_mode
def test_r09_who_watches_moves_no_time(mode: Mode, tmp_path: Path) -> None:
    """An observer that takes 50 ms over a record moves neither that task's times nor those of its slot's next one."""
    with SimulatorProcess(SimulatorSettings(ttft_s=0.02, itl_s=0.002, tokens=4)) as server:
        results = results_of(execute(tmp_path, server, CountedWorkload(30), Sleeper(), mode=mode, concurrency=1))
    # The first one pays for the connection.
    watched, others = results[2::2], results[1::2]
    for name in ("service_s", "ttft_s"):
        medians = [statistics.median(getattr(result, name) for result in group) for group in (watched, others)]
        # Half of what the observer takes: a busy machine moves a median by some milliseconds.
        assert abs(medians[0] - medians[1]) < 0.025, name


@every_client
@pytest.mark.parametrize("mode", ["threading", "asyncio"])
def test_r21_as_many_connections_as_slots(mode: Mode, client: str, tmp_path: Path) -> None:
    """Five times 128 requests at once, with nothing to do between, take 128 connections, and 5 % more at most."""
    trace = tmp_path / "bursts.txt"
    trace.write_text("".join(f"{0.8 * burst}\n" * 128 for burst in range(5)), encoding="utf-8")
    with SimulatorProcess(SimulatorSettings(ttft_s=0.1, tokens=2)) as server:
        outcome = execute(
            tmp_path, server, CountedWorkload(640), mode=mode, client=client, concurrency=128, arrival_times=trace
        )
        used = server.stats().connections_used
    assert outcome.summary.tasks.ok == 640
    assert used <= 1.05 * 128


@every_client
def test_r22_every_request_that_the_server_saw_is_an_attempt(client: str, tmp_path: Path) -> None:
    """Against a server that fails always, requests at the server and recorded attempts are equally many."""
    with SimulatorProcess(SimulatorSettings(tokens=2, error_rate=1.0)) as server:
        outcome = execute(
            tmp_path, server, CountedWorkload(12), mode="asyncio", client=client, concurrency=4, retries=2,
            retry_delay=0.01,
        )  # fmt: skip
        requests = server.stats().requests
    attempts = [attempt for result in results_of(outcome) for attempt in result.attempts]
    assert (len(attempts), requests) == (36, 36)
    assert {attempt.http_status for attempt in attempts} == {500}
    assert sum(attempt.wait_before_s > 0 for attempt in attempts) == 24


@every_mode
def test_r27_equal_prompts_are_asked_each_time(mode: Mode, tmp_path: Path) -> None:
    """Tasks that all ask the same are sent one by one: nothing is answered from memory, or for two at once."""
    slots = 1 if mode == "serial" else 4
    with SimulatorProcess(SimulatorSettings(ttft_s=0.01, tokens=2)) as server:
        results = results_of(execute(tmp_path, server, OnePrompt(24), mode=mode, concurrency=slots))
        assert server.stats().requests == 24
    assert len({result.fingerprint for result in results}) == 1
    assert [len(result.attempts) for result in results] == [1] * 24
    assert not any(result.cached for result in results)


def test_r30_connections_queue_at_a_server_that_is_busy() -> None:
    """A server that does nothing at all keeps 512 connections waiting, four for each of 128 slots, and refuses none."""
    with SimulatorProcess(SimulatorSettings()) as server, contextlib.ExitStack() as stack:
        process = psutil.Process(server.pid)
        host, _, port = server.base_url.removeprefix("http://").partition("/")[0].rpartition(":")
        process.suspend()
        stack.callback(process.resume)
        for _ in range(512):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=0.9))


@pytest.fixture(scope="module")
def experiment_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do a small experiment once for all that only look at it."""
    return compared(tmp_path_factory.mktemp("experiment"))


def compared(folder: Path) -> Path:
    """Do a small experiment and return its directory."""
    done = subprocess.run([*COMMAND, *SMALL], cwd=folder, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode in {0, 1}, done.stderr
    (path,) = (folder / "results").glob("*/" + EXPERIMENT)
    return path.parent


@pytest.fixture
def experiment(experiment_directory: Path) -> Experiment:
    """Return what the experiment stored."""
    return load(experiment_directory)


def measured(experiment: Experiment) -> list[Cell]:
    """The cells that measured."""
    return [cell for cell in experiment.cells if cell.kind == "measurement"]


def test_r23_cold_and_steady_stand_side_by_side(experiment: Experiment) -> None:
    """Every cell has its whole time and its steady rate, both are compared, and starting processes took time."""
    cells = measured(experiment)
    assert all(cell.figures.cold_s and cell.figures.throughput for cell in cells)
    assert all(cell.figures.cold_s > cell.facts.duration_s for cell in cells if cell.figures.cold_s)  # type: ignore[operator] # it has both
    started = [cell.figures.startup_s for cell in cells if "multiprocessing" in cell.arm]
    assert started
    assert all(startup_s is not None and startup_s > 0 for startup_s in started)
    assert experiment.analysis is not None
    assert {"cold", "throughput"} <= {each.metric for each in experiment.analysis.comparisons}
    assert experiment.environment["start_method"] in {"forkserver", "spawn"}


def test_r30_the_server_tells_of_itself(experiment: Experiment) -> None:
    """Every cell has the server's own CPU time, how late it sent, and what it saw at once."""
    for cell in measured(experiment):
        around = cell.conditions
        assert around.server_cpu_share is not None
        assert around.server_cpu_share > 0
        assert around.server_lateness_p99_s is not None
        assert around.server_peak_in_flight == 4
        assert around.server_connections == 4


def test_r32_every_cell_says_what_the_machine_did(experiment: Experiment) -> None:
    """Every cell has what the machine, its host, other programs and the harness took while it ran."""
    for cell in measured(experiment):
        around = msgspec.structs.asdict(cell.conditions)
        names = {"steal_share", "busy_share", "foreign_share", "pressure_share", "runnable"}
        names |= {"switches_voluntary", "switches_involuntary", "gc_collections", "open_files"}
        assert {name: around[name] for name in names if around[name] is None} == {}
        assert cell.facts.cpu_share_client is not None
        assert cell.figures.cpu_us_per_task is not None
        assert cell.figures.peak_pss_mb is not None


@pytest.mark.full
def test_r32_a_busy_machine_is_said_and_bars_the_verdict(tmp_path: Path) -> None:
    """With a program on every core the experiment itself says that others used the machine, and names no winner."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(psutil.cpu_count() or 1)]
    try:
        experiment = load(compared(tmp_path))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    for cell in measured(experiment):
        assert not cell.valid
        assert "foreign-cpu" in {reason.rule for reason in cell.reasons}
    assert experiment.analysis is not None
    verdicts = [each.verdict for each in experiment.analysis.comparisons if each.metric == "throughput"]
    assert {verdict.outcome for verdict in verdicts} == {"no_verdict"}
    assert all(any("other programs used" in reason for reason in verdict.reasons) for verdict in verdicts)


def test_r39_numbers_are_made_again_from_the_records(experiment: Experiment, experiment_directory: Path) -> None:
    """The summary of every run is the same, byte for byte, when it is made anew from the records."""
    for cell in experiment.cells:
        run = experiment_directory / "cells" / str(cell.run)
        again = msgspec.json.format(msgspec.json.encode(summarise(run)), indent=2)
        assert (run / SUMMARY).read_bytes() == again


def test_r43_a_run_says_what_it_was_made_with(experiment: Experiment, experiment_directory: Path) -> None:
    """Versions, machine, limits, all settings with their defaults, seed, model, address and times are in run.json."""
    cell = measured(experiment)[0]
    run = experiment_directory / "cells" / str(cell.run)
    found: dict[str, Any] = msgspec.json.decode((run / MANIFEST).read_bytes())
    around = found["environment"]
    assert {"version", "implementation", "build", "gil"} <= set(around["python"])
    assert {"model", "logical", "allowed"} <= set(around["cpu"])
    assert {"openai", "aiohttp", "httptools", "uvloop"} <= set(around["packages"])
    assert {"open_files", "processes", "somaxconn"} <= set(around["limits"])
    assert {"git", "start_method", "memory_bytes"} <= set(around)
    assert around["system"]["release"]
    settings = {field.name for field in dataclasses.fields(ConcurrentConfig)} - {"topics"}
    assert set(found["config"]) == settings
    assert found["config"]["seed"] == experiment.plan.seed * 1000 + 1
    assert {"provider", "model", "base_url"} <= set(found["endpoint"])
    assert found["command"]
    assert all(segment["started_at"] and segment["ended_at"] for segment in found["segments"])


def test_r43_the_plan_follows_from_what_is_stored(experiment: Experiment) -> None:
    """The stored arms, blocks and seed give the stored order again."""
    plan = experiment.plan
    assert schedule([arm.name for arm in plan.arms], len(plan.order), plan.seed) == plan.order


def test_r19_what_arms_were_asked_and_answered_is_stored(experiment: Experiment) -> None:
    """Every cell says what it was asked and answered, and arms that did the same have no difference."""
    for cell in measured(experiment):
        assert cell.work is not None
        assert cell.work.workload_fingerprint == cell.workload
        assert cell.work.tasks == experiment.plan.tasks[4]
        assert (cell.work.finish_reasons, cell.work.errors, cell.work.cached) == ({"stop": cell.tasks}, {}, 0)
        assert cell.work.output_tokens_p50 == 6
        assert cell.work.in_flight_mean is not None
    assert experiment.analysis is not None
    assert not [words for words in experiment.analysis.differences if "in flight" not in words]
