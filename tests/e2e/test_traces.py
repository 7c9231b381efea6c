"""`run --trace` and `traces push`: every mode traced alike, and nothing that LangSmith does can hurt a run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import pytest

from bench.journal import read_manifest
from bench.tracing.outcome import Outcome, read_outcome
from tests.command import records, the_run, wait_until
from tests.faultserver import FaultServer
from tests.langsmith_receiver import Receiver, receiving
from tests.tracing_runs import check_arrived, settings
from tests.wire import answer, completion

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from bench.config import TraceTo
    from tests.command import StartCommand
    from tests.faultserver import Exchange

#: Three topics twice, a fifth of a second each.
WORK: Final = (
    *("--provider", "simulator", "--simulator", "ttft=0.1", "itl=0.01", "tokens=8"),
    *("--client", "lean", "--topics", "A", "B", "C", "--no-report"),
)

#: The topic whose answer comes last.
LAST: Final = "Omega"

#: Keys as providers give them, each holding a word that stands nowhere else.
CANARIES: Final = {
    "OPENAI_API_KEY": "sk-proj-kanarie0123456789ABCDEFabcdef",
    "BIGMODEL_API_KEY": "0kanarie123456789abcdef0123456789.AbCdEf0123456789",
    "ARK_API_KEY": "kanarie-odd+/=:key",
}

#: What a run's end may wait for its traces, and what a loaded machine may take to end a process.
END_S: Final = 5.0
SLACK_S: Final = 5.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint that takes everything."""
    with receiving() as receiver:
        yield receiver


def ended(command: subprocess.Popen[str]) -> tuple[str, str]:
    """What a command that succeeded said."""
    out, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    return out, err


def not_taken(receiver: Receiver, folder: Path, start: StartCommand, to: TraceTo = "langsmith") -> tuple[Path, str]:
    """A run whose three traces were not taken, and the line that says so; the command ended soon after the run, whose
    last answer had waited for the sender to begin.
    """
    results = folder / "results"

    async def script(exchange: Exchange) -> None:
        if LAST.encode() in exchange.body:
            await asyncio.to_thread(wait_until, lambda: has_begun(results), "no sender")
        await exchange.send(answer(completion("好")))

    with FaultServer(script) as server:
        command = start(
            *("--base-url", server.base_url, "--model", "m", "--no-stream", "--client", "lean", "--topics", "A", "B"),
            *(LAST, "-c", "3", "--no-report", "--trace", "--trace-to", to),
            cwd=folder,
            env={**settings(receiver), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
        )
        wait_until(lambda: is_completed(results), "no end")
        since_ns = time.perf_counter_ns()
        _, err = ended(command)
    assert (time.perf_counter_ns() - since_ns) / 1e9 < END_S + SLACK_S
    run = the_run(results)
    outcome = outcome_of(run)
    assert (outcome.traces_sent, outcome.traces_failed + outcome.traces_dropped) == (0, 3)
    (line,) = (line for line in err.splitlines() if "traces" in line)
    assert "3 of 3 traces were not sent" in line
    return run, line


def has_begun(results: Path) -> bool:
    """Whether the sender of the one run has noted when its trace begins, which it does before it sends."""
    return any(b"start_us" in notes.read_bytes() for notes in results.glob("*/traces.jsonl"))


def is_completed(results: Path) -> bool:
    """Whether the one run has ended with all its tasks."""
    return any(read_manifest(path.parent).status == "completed" for path in results.glob("*/run.json"))


def outcome_of(run: Path) -> Outcome:
    """How far the last push of a run got."""
    outcome = read_outcome(run)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize(
    "mode",
    [
        "multiprocessing",
        *(pytest.param(mode, marks=pytest.mark.full) for mode in ("asyncio", "serial", "threading", "hybrid")),
    ],
)
def test_every_mode(mode: str, receiver: Receiver, tmp_path: Path, start: StartCommand) -> None:
    """In every mode each iteration is a trace with its tasks and their calls, as its records name it, and no key."""
    slots = () if mode == "serial" else ("-c", "4")
    topics = [f"{name} {value}" for name, value in CANARIES.items()]
    env = {**settings(receiver, TRACING="true"), **CANARIES}
    out, _ = ended(
        start("-m", mode, *slots, *WORK, *("--iterations", "2", "--topics", "A", *topics), cwd=tmp_path, env=env)
    )
    run = the_run(tmp_path / "results")
    check_arrived(run, receiver)
    traces = {record.trace_id for record in records(run)}
    assert traces == {span["id"] for span in receiver.runs.values() if span["parent_run_id"] is None}
    assert len(traces) == 2
    assert outcome_of(run).is_whole
    assert f"traces:  {len(records(run))} in" in out
    assert "kanarie" not in "".join((run / name).read_text() for name in ("traces.json", "traces.jsonl"))
    assert not [body for body in receiver.bodies if b"kanarie" in body.lower()]
    before = len(receiver.paths)
    ended(start("traces", "push", run.name, cwd=tmp_path, env=env))
    assert [path for path in receiver.paths[before:] if "multipart" in path] == []


def test_killed_and_resumed(receiver: Receiver, tmp_path: Path, start: StartCommand) -> None:
    """A run that is killed and resumed leaves one trace an iteration, with every record in it once."""
    command = start("-c", "2", *WORK, "--iterations", "8", "--trace", cwd=tmp_path, env=settings(receiver))
    wait_until(lambda: (tmp_path / "results").is_dir() and any((tmp_path / "results").iterdir()), "no run")
    run = the_run(tmp_path / "results")
    wait_until(lambda: (run / "tasks.jsonl").exists() and len(records(run)) >= 5, "no records")
    command.kill()
    command.communicate()
    killed_at = len(records(run))
    assert killed_at < 24
    wait_until(lambda: (found := read_outcome(run)) is not None and found.ended_at is not None, "no end")
    assert outcome_of(run).traces_sent == killed_at
    ended(start("--resume", run.name, cwd=tmp_path, env=settings(receiver)))
    assert outcome_of(run).traces_sent == 24
    check_arrived(run, receiver)
    assert len(read_manifest(run).segments) == 2


@pytest.mark.full
def test_hanging_endpoint(receiver: Receiver, tmp_path: Path, start: StartCommand) -> None:
    """An endpoint that takes a post and does not answer costs the run nothing, and its end some seconds and a line."""
    receiver.hold.clear()
    run, line = not_taken(receiver, tmp_path, start)
    assert f"traces push {run.relative_to(tmp_path)}" in line
    receiver.hold.set()
    ended(start("traces", "push", run.name, cwd=tmp_path, env=settings(receiver)))
    # What was taken without an answer came twice, under the same ids.
    check_arrived(run, receiver, times=2)
    out, _ = ended(start("traces", "review", run.name, cwd=tmp_path, env=settings(receiver)))
    assert f"All {len(receiver.runs)} spans are in {receiver.url}" in out
    assert f"review:  {run.relative_to(tmp_path)}/review.html" in out


@pytest.mark.full
@pytest.mark.parametrize(
    ("status", "to", "said"),
    [
        (401, "langsmith", "the key is not accepted"),
        (429, "langsmith", "too many requests"),
        (None, "langsmith", "it cannot be reached"),
        (403, "otlp", "--trace-to otlp"),
    ],
)
def test_refusing_endpoint(status: int | None, to: TraceTo, said: str, tmp_path: Path, start: StartCommand) -> None:
    """An endpoint that lets nobody in, has enough, or is not there costs the run nothing, and its end a line."""
    with contextlib.ExitStack() as there:
        receiver = there.enter_context(receiving())
        receiver.status = status or 202
        if status is None:
            there.close()
        run, line = not_taken(receiver, tmp_path, start, to)
    assert said in line
    assert {record.status for record in records(run)} == {"ok"}


def test_without_a_key(tmp_path: Path, start: StartCommand) -> None:
    """LANGSMITH_TRACING without a key is noted in a line and changes nothing; --trace without one is refused."""
    _, err = ended(start(*WORK, cwd=tmp_path, env={"LANGSMITH_TRACING": "true"}))
    assert err.count("LANGSMITH_API_KEY is not set") == 1
    run = the_run(tmp_path / "results")
    assert {record.trace_id for record in records(run)} == {None}
    assert not (run / "traces.json").exists()
    command = start(*WORK, "--trace", cwd=tmp_path)
    _, err = command.communicate(timeout=60)
    assert (command.returncode, "LANGSMITH_API_KEY is not set" in err) == (2, True)
