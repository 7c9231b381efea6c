"""Doing a search: probe after probe, every one written down before the next is decided on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from bench.clock import utc_label, utc_now
from bench.experiment.cell import run_cell
from bench.experiment.plan import cell_seed
from bench.experiment.records import Arm
from bench.experiment.store import CELLS, write_tasks
from bench.tuning.answer import next_step
from bench.tuning.reading import read_probe
from bench.tuning.records import Answer, Tuning
from bench.tuning.store import save

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.experiment.conduct import Target
    from bench.policy.objectives import Objectives
    from bench.records import Mode, Task
    from bench.stop import StopSignal
    from bench.tuning.asking import Ask
    from bench.tuning.records import Probe


class Watcher(Protocol):
    """Told of a search's progress; must return at once and must not raise."""

    def begun(self, ask: Ask) -> None:
        """A probe starts."""

    def ended(self, probe: Probe) -> None:
        """A probe was written down."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a search is done with.

    Attributes:
        directory: The search's.
        source: The tasks; probes go through them in turn, and anew where they end.
        target: Whom probes ask.
        command: Returns the command of a probe: of an arm, the file of its tasks, whom it asks, and its seed.
        environment: Of the probes' processes.
        run_command: Returns the command that runs a mode with an N, for the answer.
        objectives: What counts as good.
        seed: Seeds of the probes follow from it.
        stop: Ends it early.
        watcher: Told of progress.
    """

    directory: Path
    source: Sequence[Task]
    target: Target
    command: Callable[[Arm, Path, Target, int], list[str]]
    environment: Mapping[str, str]
    run_command: Callable[[Mode, int], str]
    objectives: Objectives | None
    seed: int
    stop: StopSignal
    watcher: Watcher


def conduct(tuning: Tuning, setup: Setup) -> Tuning:
    """Probe until there is an answer; each probe is written down as it ends.

    Returns:
        The search with its answer, `completed`; or `interrupted` and without one.

    Raises:
        JournalError: The search cannot be written, or a probe's records cannot be read.
    """
    while True:
        step = next_step(tuning.probes, tuning.goal)
        if isinstance(step, Answer):
            answer = _with_command(step, setup)
            return msgspec.structs.replace(tuning, status="completed", ended_at=utc_label(utc_now()), answer=answer)
        setup.watcher.begun(step)
        probe = _probe(tuning, setup, step)
        tuning = msgspec.structs.replace(tuning, probes=(*tuning.probes, probe))
        if setup.stop.wait_draining(0):
            # It was cut short, and tells nothing; what it cost is kept.
            return msgspec.structs.replace(tuning, status="interrupted", ended_at=utc_label(utc_now()))
        save(setup.directory, tuning)
        setup.watcher.ended(probe)


def _probe(tuning: Tuning, setup: Setup, ask: Ask) -> Probe:
    number = len(tuning.probes)
    tasks = setup.directory / f"tasks-{number}.jsonl"
    # Where the probe before it ended: a provider that keeps what it computed of a prompt would be quicker each time.
    begin = tuning.requests % len(setup.source)
    write_tasks(tasks, [*setup.source[begin:], *setup.source[:begin]], ask.requests)
    arm = Arm(
        name=f"{tuning.client}/{ask.mode}@{ask.concurrency}",
        mode=ask.mode,
        concurrency=ask.concurrency,
        client=tuning.client,
    )
    command = setup.command(arm, tasks, setup.target, cell_seed(setup.seed, number))
    observed = run_cell(command, setup.directory / CELLS, setup.environment, setup.target.server, setup.stop)
    return read_probe(ask, observed, setup.objectives)


def _with_command(answer: Answer, setup: Setup) -> Answer:
    if answer.mode is None or answer.concurrency is None:
        return answer
    return msgspec.structs.replace(answer, command=setup.run_command(answer.mode, answer.concurrency))
