"""What earlier runs of a book have answered, and what is left for the next one.

The runs' journals are the only truth: nothing is remembered elsewhere of what was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench.book.chosen import Chosen
from bench.book.records import Answer
from bench.errors import ConfigError, JournalError
from bench.executor import SHAPING, check_settings
from bench.journal import MANIFEST, iter_last_results, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.manifest import RunManifest
    from bench.records import Task

#: What says that a task is the same, wherever it stands: its custom_id and its version.
Key = tuple[str | None, int]

#: Settings without which an answer would have been another; where one changes, a text is written anew.
KEEPING: Final = ("provider", "model", "base_url", "simulator", "max_tokens", "temperature")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An answer, and the run that it is of."""

    run: str
    answer: Answer


@dataclass(kw_only=True)
class PassPlan:
    """What is there of a pass, and what is to be done.

    Attributes:
        index_of: Every task that is wanted, by its key, with the index of its chapter.
        answered: The answers that there are.
        failed: The last failure of tasks without one.
        workload: The tasks of the run that is next; None where nothing is left.
        left: How many of them have no answer.
        taken_up: The run that goes on, or None where a new one begins.
        unread: Runs that could not be read, and those of other settings, in words.
    """

    index_of: dict[Key, int]
    answered: dict[Key, Kept] = field(default_factory=dict)
    failed: dict[Key, Kept] = field(default_factory=dict)
    workload: Chosen | None = None
    left: int = 0
    taken_up: Path | None = None
    unread: list[str] = field(default_factory=list)


def plan_pass(runs: Path, kind: str, tasks: Callable[[], Iterable[Task]], config: ConcurrentConfig) -> PassPlan:
    """Find out what is left of a pass.

    A run goes on if it is the last one, its settings are the same, and what was left before it is what it was begun
    with. Else those tasks that no run with the same `KEEPING` has answered are for a new one.

    Args:
        runs: Where the book's runs are.
        kind: The kind of workload that the pass has in `run.json`.
        tasks: Returns the tasks of the whole pass, in order, the same each time.
        config: The run's settings.
    """
    plan = PassPlan(index_of={(task.custom_id, task.version): task.index for task in tasks()})
    earlier = _runs_of(runs, kind, config, plan.unread)
    for place, (run, manifest) in enumerate(earlier):
        if place == len(earlier) - 1:
            before = Chosen(kind, tasks, plan.index_of.keys() - plan.answered.keys())
            if _goes_on(manifest, before, config):
                plan.taken_up, plan.workload = run, before
        try:
            _read(run, plan)
        except JournalError as error:
            plan.unread.append(str(error))
    left = plan.index_of.keys() - plan.answered.keys()
    plan.left = len(left)
    if not left:
        plan.workload = plan.taken_up = None
    elif plan.taken_up is None:
        plan.workload = Chosen(kind, tasks, left)
    return plan


def _runs_of(runs: Path, kind: str, config: ConcurrentConfig, unread: list[str]) -> list[tuple[Path, RunManifest]]:
    """Return the runs of a pass with the same settings, in the order in which they were begun."""
    found = []
    others = 0
    for path in sorted(runs.glob(f"*/{MANIFEST}")):
        try:
            manifest = read_manifest(path.parent)
        except JournalError as error:
            unread.append(str(error))
            continue
        if manifest.workload.get("kind") != kind:
            continue
        if _why_not(manifest, config, KEEPING):
            others += 1
        else:
            found.append((path.parent, manifest))
    if others and not found:
        unread.append(f"{others} earlier runs had other settings ({', '.join(KEEPING)} count): all is written anew")
    return sorted(found, key=lambda each: (each[1].segments[0].started_at, each[1].run_id))


def _goes_on(manifest: RunManifest, before: Chosen, config: ConcurrentConfig) -> bool:
    return manifest.workload.get("fingerprint") == before.fingerprint and not _why_not(manifest, config, SHAPING)


def _why_not(manifest: RunManifest, config: ConcurrentConfig, names: Iterable[str]) -> str:
    """Return which setting is another than a run's, in words, or an empty string."""
    try:
        check_settings(manifest, {name: getattr(config, name) for name in names})
    except ConfigError as error:
        return error.message
    return ""


def _read(run: Path, plan: PassPlan) -> None:
    for answer in iter_last_results(run, Answer):
        key = (answer.custom_id, answer.version)
        if key not in plan.index_of:
            continue
        kept = Kept(run=run.name, answer=answer)
        if answer.status == "ok":
            plan.answered[key] = kept
            plan.failed.pop(key, None)
        elif key not in plan.answered:
            plan.failed[key] = kept
