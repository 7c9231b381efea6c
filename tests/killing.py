"""Kill -9 at chosen moments of a run, and what must be true of the run in the end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bench.journal import iter_lines, read_manifest
from bench.records import Status, Task
from tests.command import requests, the_run, wait_until, write_topics

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from bench.records import Mode
    from tests.command import StartCommand

#: How long a run is watched for a write to be caught in; it writes hundreds of times in that.
CATCH_S: Final = 10.0

#: How many looks there are between two counts of the records, which take long beside them.
LOOKS: Final = 500


class Answered(msgspec.Struct, frozen=True):
    """What a record says of its task and of the answer."""

    task_id: str
    status: Status
    content: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that is killed again and again.

    Attributes:
        mode: Its concurrency model.
        slots: N.
        tasks: How many tasks it has.
        kills: How often it is killed.
        torn: How many of the kills are to come in the middle of a write, at least.
        until: The share of its tasks after which it is not killed any more.
    """

    mode: Mode
    slots: int
    tasks: int
    kills: int
    torn: int
    until: float = 0.95

    def moments(self) -> list[int]:
        """How many records there are at each kill: uniform between the first one and the last moment."""
        draw = random.Random(f"{self.mode} {self.tasks}")
        return sorted(draw.randint(1, int(self.tasks * self.until)) for _ in range(self.kills))


class Journal:
    """The tasks' file of a run, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._lines = 0

    def lines(self) -> int:
        """How many whole lines there are."""
        while block := self._file.read(1 << 20):
            self._lines += block.count(b"\n")
        return self._lines

    def is_torn(self) -> bool:
        """Whether the last line has no end at this moment."""
        descriptor = self._file.fileno()
        size = os.fstat(descriptor).st_size
        return bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"

    def close(self) -> None:
        """Close it."""
        self._file.close()


def kill_in_time(
    command: subprocess.Popen[str], path: Path, lines: int, most: int, *, in_a_write: bool
) -> tuple[int, bool]:
    """Kill a command once its journal has so many lines, or in a write that is caught then, before it has `most`.

    Returns:
        How many lines there are then, and whether the last one is torn.
    """
    wait_until(lambda: path.exists() or command.poll() is not None, "no journal")
    journal = Journal(path)
    try:
        wait_until(lambda: journal.lines() >= lines or command.poll() is not None, "no progress")
        deadline_ns = time.perf_counter_ns() + int(CATCH_S * 1e9)
        while in_a_write and journal.lines() < most and time.perf_counter_ns() < deadline_ns:
            if any(journal.is_torn() for _ in range(LOOKS)):
                break
        # Not by the command's own method, which looks first whether it runs: the write would be over.
        with contextlib.suppress(ProcessLookupError):
            os.kill(command.pid, signal.SIGKILL)
        _, err = command.communicate()
        assert command.returncode == -signal.SIGKILL, f"it ended before it was killed: {err}"
        return journal.lines(), journal.is_torn()
    finally:
        journal.close()


def kill_and_resume(plan: Plan, base_url: str, folder: Path, start: StartCommand) -> tuple[Path, int]:
    """Begin a run, kill it as planned, resume it each time, and let it end at last.

    Returns:
        Its directory, and how many kills left a torn line.
    """
    topics = write_topics(folder / "topics.txt", plan.tasks)
    command = start(
        *["-m", plan.mode, *([] if plan.mode == "serial" else ["-c", str(plan.slots)]), "--client", "lean"],
        *["--topics-file", str(topics), "--base-url", base_url, "--model", "m", "--no-report"],
        # 100 kB in one piece.
        *["--no-stream", "--max-tokens", "16000", "--quiet"],
        cwd=folder,
    )
    wait_until(lambda: (folder / "results").is_dir() and any((folder / "results").iterdir()), "no run")
    run = the_run(folder / "results")
    reached = torn = 0
    for moment in plan.moments():
        # At least one record later than before: else it might not have begun yet.
        least = max(moment, reached + 1)
        most = max(least, int(plan.tasks * plan.until))
        reached, is_torn = kill_in_time(command, run / "tasks.jsonl", least, most, in_a_write=torn < plan.torn)
        torn += is_torn
        command = start("--resume", run.name, cwd=folder)
    _, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    return run, torn


def check_whole(plan: Plan, run: Path, folder: Path, torn: int) -> str:
    """Each task has one good answer and the last word; every answer is the server's own; no call was wasted.

    Returns:
        What was counted, in a line.
    """
    lines = list(answered(run))
    ok = [line for line in lines if line.status == "ok"]
    last = {line.task_id: line.status for line in lines}
    tasks = [msgspec.json.decode(line, type=Task) for line in iter_lines(run / "workload.jsonl")]
    assert [task.index for task in tasks] == list(range(plan.tasks))
    assert set(last) == {task.task_id for task in tasks}
    assert set(last.values()) == {"ok"}
    assert len(ok) == plan.tasks
    served = requests(folder / "requests.jsonl")
    sent = {line.digest for line in served if line.outcome == "ok"}
    digests = {line.task_id: (line.content or "")[1:17] for line in ok}
    assert digests == {task.task_id: digest(task) for task in tasks}
    assert set(digests.values()) <= sent
    most = plan.tasks + 2 * plan.kills * plan.slots
    assert len(served) <= most
    assert len(list(run.glob("tasks.jsonl.torn-*"))) == torn
    manifest = read_manifest(run)
    assert (manifest.status, len(manifest.segments)) == ("completed", plan.kills + 1)
    kills = f"{plan.mode:15}  {plan.kills} kills, {torn} of them within a write"
    kept = f"{plan.tasks} tasks: {len(ok)} answers kept, each once and as sent"
    return f"{kills}; {kept}; {len(served)} calls at the server, at most {most} allowed"


def answered(run: Path) -> Iterator[Answered]:
    """Every line of a run's records."""
    for line in iter_lines(run / "tasks.jsonl"):
        yield msgspec.json.decode(line, type=Answered)


def digest(task: Task) -> str:
    """What the simulator puts first into its answer to a task."""
    return hashlib.sha256(str(task.messages[-1]["content"]).encode()).hexdigest()[:16]
