"""Signals: what was answered is kept, nothing is left running, and the exit code says what happened."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from bench.journal import iter_lines, read_manifest
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import records, requests, the_run, wait_until, write_topics
from tests.modes import modes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from bench.records import Mode, TaskResult
    from tests.command import StartCommand


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A simulator that answers in 0.4 s and writes down what it did."""
    settings = SimulatorSettings(ttft_s=0.3, itl_s=0.01, tokens=11, request_log=str(tmp_path / "requests.jsonl"))
    with SimulatorProcess(settings) as simulator:
        yield simulator


@pytest.fixture(params=modes("threading", "multiprocessing", "asyncio"))
def mode(request: pytest.FixtureRequest) -> Mode:
    """Every concurrency model."""
    chosen: Mode = request.param
    return chosen


def begin(
    start: StartCommand, server: SimulatorProcess, mode: Mode, folder: Path, *options: str
) -> subprocess.Popen[str]:
    """Start a run of many tasks."""
    topics = write_topics(folder / "topics.txt", 400)
    count = [] if mode == "serial" else ["-c", "4"]
    arguments = ["-m", mode, *count, "--topics-file", str(topics), "--no-report", *options]
    return start(*arguments, "--base-url", server.base_url, "--model", "m", cwd=folder)


def busy(server: SimulatorProcess, mode: Mode) -> None:
    """Wait until some tasks are answered and all slots are busy."""
    slots = 1 if mode == "serial" else 4
    wait_until(lambda: server.stats().outcomes["ok"] >= slots + 1, "no answers")
    wait_until(lambda: server.stats().in_flight == slots, "slots not busy")


def answered_before(folder: Path, instant_ns: int) -> set[str]:
    """Digests of the prompts that the server had answered before an instant."""
    return {
        str(line.digest)
        for line in requests(folder / "requests.jsonl")
        if line.outcome == "ok" and line.finished_ns is not None and line.finished_ns < instant_ns
    }


def digest_of(result: TaskResult) -> str:
    """What the simulator put first into its answer."""
    return (result.content or "")[1:17]


def check_kept(folder: Path, signalled_ns: int) -> list[TaskResult]:
    """Whatever the server had answered 200 ms before the signal is `ok`, once; no task has two records."""
    results = records(the_run(folder / "results"))
    ids = [result.task_id for result in results]
    assert len(ids) == len(set(ids))
    kept = {digest_of(result) for result in results if result.status == "ok"}
    due = answered_before(folder, signalled_ns - 200_000_000)
    assert due
    assert due <= kept
    return results


def test_interrupt_once(mode: Mode, server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """Ctrl+C (SIGINT to the whole group) lets what is in flight finish, keeps it all, and exits with 130."""
    command = begin(start, server, mode, tmp_path)
    busy(server, mode)
    signalled_ns = time.perf_counter_ns()
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=30)
    results = check_kept(tmp_path, signalled_ns)
    assert command.returncode == 130, err
    assert {result.status for result in results} == {"ok"}
    assert server.stats().requests == len(results)
    assert read_manifest(the_run(tmp_path / "results")).status == "interrupted"
    assert "in flight" in err
    assert "Traceback" not in out + err


def test_terminate(mode: Mode, server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """SIGTERM to the command does what one Ctrl+C does."""
    command = begin(start, server, mode, tmp_path)
    busy(server, mode)
    signalled_ns = time.perf_counter_ns()
    command.terminate()
    _, err = command.communicate(timeout=30)
    results = check_kept(tmp_path, signalled_ns)
    assert command.returncode == 130, err
    assert {result.status for result in results} == {"ok"}


def test_f08_the_terminal_is_closed(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """A terminal that goes away (SIGHUP, and nobody reads any more) does what one Ctrl+C does."""
    command = begin(start, server, "threading", tmp_path)
    busy(server, "threading")
    for stream in (command.stdout, command.stderr):
        assert stream is not None
        stream.close()
    signalled_ns = time.perf_counter_ns()
    os.killpg(command.pid, signal.SIGHUP)
    assert command.wait(timeout=30) == 130
    assert {result.status for result in check_kept(tmp_path, signalled_ns)} == {"ok"}
    run = the_run(tmp_path / "results")
    assert read_manifest(run).status == "interrupted"
    assert "Traceback" not in (run / "run.log").read_text(encoding="utf-8")


def test_f08_nobody_reads_what_is_said(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """A run whose output nobody reads any more (`| head -1`) goes on to its end."""
    command = start(
        *["-m", "asyncio", "-c", "4", "--topics", *map(str, range(8)), "--no-report"],
        *["--base-url", server.base_url, "--model", "m"],
        cwd=tmp_path,
    )
    for stream in (command.stdout, command.stderr):
        assert stream is not None
        stream.close()
    assert command.wait(timeout=60) == 0
    run = the_run(tmp_path / "results")
    assert [result.status for result in records(run)] == ["ok"] * 8
    assert "Traceback" not in (run / "run.log").read_text(encoding="utf-8")


def test_f08_nohup(server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """Where SIGHUP was to be ignored, as `nohup` has it, it is."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command = begin(start, server, "threading", tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    busy(server, "threading")
    answered = server.stats().requests
    os.killpg(command.pid, signal.SIGHUP)
    wait_until(lambda: server.stats().requests > answered + 8, "it stopped")
    command.terminate()
    command.communicate(timeout=30)


def test_interrupt_twice(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """A second Ctrl+C gives up what is in flight, at once, with a record of each as cancelled."""
    slots = 1 if mode == "serial" else 4
    patient = ("--grace", "1000", "--ttft-timeout", "3000", "--timeout", "3000")
    with SimulatorProcess(SimulatorSettings(ttft_s=3600)) as silent:
        command = begin(start, silent, mode, tmp_path, *patient)
        wait_until(lambda: silent.stats().in_flight == slots, "slots not busy")
        os.killpg(command.pid, signal.SIGINT)
        wait_until(lambda: "in flight" in str(command.stderr and command.stderr.readline()), "no word of stopping")
        os.killpg(command.pid, signal.SIGINT)
        _, err = command.communicate(timeout=30)
    assert command.returncode == 130, err
    run = the_run(tmp_path / "results")
    assert [result.status for result in records(run)] == ["cancelled"] * slots
    assert len(list(iter_lines(run / "workload.jsonl"))) == slots
    assert "Traceback" not in err


def test_grace_runs_out(tmp_path: Path, start: StartCommand) -> None:
    """After the grace time what is still in flight is given up as cancelled."""
    with SimulatorProcess(SimulatorSettings(ttft_s=3600)) as slow:
        command = begin(
            start, slow, "threading", tmp_path, "--grace", "0.2", "--ttft-timeout", "3000", "--timeout", "3000"
        )
        wait_until(lambda: slow.stats().in_flight == 4, "slots not busy")
        command.terminate()
        _, err = command.communicate(timeout=30)
        assert command.returncode == 130, err
        results = records(the_run(tmp_path / "results"))
        assert [result.status for result in results] == ["cancelled"] * 4


def test_kill_parent(mode: Mode, server: SimulatorProcess, tmp_path: Path, start: StartCommand) -> None:
    """Kill -9 of the command loses no written line and leaves no process after 5 s."""
    command = begin(start, server, mode, tmp_path)
    busy(server, mode)
    children = psutil.Process(command.pid).children(recursive=True)
    before = (the_run(tmp_path / "results") / "tasks.jsonl").read_bytes()
    killed_ns = time.perf_counter_ns()
    command.kill()
    command.wait()
    for stream in (command.stdout, command.stderr):
        if stream:
            stream.close()
    wait_until(lambda: not any(map(is_running, children)), f"left running: {children}", 5)
    after = (the_run(tmp_path / "results") / "tasks.jsonl").read_bytes()
    assert after.startswith(before)
    check_kept(tmp_path, killed_ns)


def is_running(process: psutil.Process) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_kill_with_own_servers(tmp_path: Path, start: StartCommand) -> None:
    """Kill -9 of a command that started workers and a simulator of its own leaves none of them after 5 s."""
    topics = write_topics(tmp_path / "topics.txt", 100)
    settings = ["--simulator", "ttft=0.2", "tokens=2"]
    command = start(
        *["-m", "multiprocessing", "-c", "3", "--provider", "simulator", *settings],
        *["--topics-file", str(topics)],
        cwd=tmp_path,
    )
    process = psutil.Process(command.pid)
    # The simulator, the fork server, its resource tracker and three workers.
    wait_until(lambda: len(process.children(recursive=True)) >= 6, "not all processes came up")
    children = process.children(recursive=True)
    command.kill()
    command.communicate()
    wait_until(lambda: not any(map(is_running, children)), f"left running: {children}", 5)
