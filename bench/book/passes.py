"""What earlier runs of a book have answered, and what is left for the next one.

The runs' journals are the only truth: nothing is remembered elsewhere of what was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench.book.chosen import Chosen
from bench.book.records import Answer
from bench.config import MAX_VERSIONS
from bench.errors import ConfigError, JournalError
from bench.executor import SHAPING, check_asked, check_settings
from bench.journal import MANIFEST, iter_last_results, read_manifest
from bench.workload.build import sample_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.manifest import RunManifest
    from bench.providers import Endpoint
    from bench.records import Task

#: What says that a task is the same, wherever it stands: its custom_id and its version.
Key = tuple[str | None, int]

#: Settings without which an answer would have been another; where one changes, a text is written anew.
KEEPING: Final = ("provider", "model", "base_url", "simulator", "max_tokens", "temperature")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a pass is asked for, and whom.

    Attributes:
        config: The settings of its run.
        routes: Providers and models; where they are does not matter.
    """

    config: ConcurrentConfig
    routes: Sequence[Endpoint]


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
        again: Those among them that another is to take the place of.
        failed: The last failure of tasks without one.
        workload: The tasks of the run that is next; None where nothing is left.
        taken_up: The run that goes on, or None where a new one begins.
        unread: Runs that could not be read, and those of other settings, in words.
    """

    index_of: dict[Key, int]
    answered: dict[Key, Kept] = field(default_factory=dict)
    again: dict[Key, Kept] = field(default_factory=dict)
    failed: dict[Key, Kept] = field(default_factory=dict)
    workload: Chosen | None = None
    taken_up: Path | None = None
    unread: list[str] = field(default_factory=list)


def plan_pass(
    runs: Path,
    kind: str,
    tasks: Callable[[], Iterable[Task]],
    asking: Asking,
    again: Collection[tuple[int, int]] = (),
) -> PassPlan:
    """Find out what is left of a pass.

    A run goes on if it is the last one, its settings are the same, and what was left before it is what it was begun
    with. Else those tasks that no run with the same `KEEPING` has answered are for a new one.

    Args:
        runs: Where the book's runs are.
        kind: The kind of workload that the pass has in `run.json`.
        tasks: Returns the tasks of the whole pass, in order, the same each time.
        asking: How the next run asks, and whom.
        again: Chapters (from 1) and versions (from 0) that are written once more, as another sample.
    """
    plan = PassPlan(index_of={(task.custom_id, task.version): task.index for task in tasks()})
    earlier = _runs_of(runs, kind, asking, plan.unread)
    left_before_last = _read(earlier, plan)
    for key, index in plan.index_of.items():
        if (index + 1, key[1]) in again and key in plan.answered:
            plan.again[key] = plan.answered.pop(key)
    left = plan.index_of.keys() - plan.answered.keys()
    if plan.again:
        # Seeds of versions are less than that apart.
        further = MAX_VERSIONS * len(earlier)
        plan.workload = Chosen(kind, lambda: _sampled(tasks(), plan.again, further, asking.config.seed), left)
    elif left:
        plan.workload = Chosen(kind, tasks, left)
        before = Chosen(kind, tasks, left_before_last)
        if earlier and _goes_on(earlier[-1][1], before, asking):
            plan.taken_up, plan.workload = earlier[-1][0], before
    return plan


def _sampled(tasks: Iterable[Task], again: Collection[Key], further: int, seed: int) -> Iterator[Task]:
    """Yield tasks, with other seeds those whose answers are to be others."""
    for task in tasks:
        yield sample_of(task, further, seed) if (task.custom_id, task.version) in again else task


def _runs_of(runs: Path, kind: str, asking: Asking, unread: list[str]) -> list[tuple[Path, RunManifest]]:
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
        if _is_same(manifest, asking, KEEPING):
            found.append((path.parent, manifest))
        else:
            others += 1
    if others and not found:
        unread.append(f"{others} earlier runs had other settings ({', '.join(KEEPING)} count): all is written anew")
    return sorted(found, key=lambda each: (each[1].segments[0].started_at, each[1].run_id))


def _goes_on(manifest: RunManifest, before: Chosen, asking: Asking) -> bool:
    return manifest.workload.get("fingerprint") == before.fingerprint and _is_same(manifest, asking, SHAPING)


def _is_same(manifest: RunManifest, asking: Asking, names: Iterable[str]) -> bool:
    """Say whether a run asked the same models with the same settings."""
    try:
        check_settings(manifest, {name: getattr(asking.config, name) for name in names})
        check_asked(manifest, asking.routes)
    except ConfigError:
        return False
    return True


def _read(earlier: Iterable[tuple[Path, RunManifest]], plan: PassPlan) -> set[Key]:
    """Take in the records of runs, and return the keys that had no answer before the last of them.

    None are where that one cannot be read.
    """
    left: set[Key] = set()
    for run, _ in earlier:
        left = plan.index_of.keys() - plan.answered.keys()
        try:
            for answer in iter_last_results(run, Answer):
                _take(Kept(run=run.name, answer=answer), plan)
        except JournalError as error:
            plan.unread.append(str(error))
            # No run is begun with nothing to do: this one is not gone on with.
            left = set()
    return left


def _take(kept: Kept, plan: PassPlan) -> None:
    key = (kept.answer.custom_id, kept.answer.version)
    if key not in plan.index_of:
        return
    if kept.answer.status == "ok":
        plan.answered[key] = kept
        plan.failed.pop(key, None)
    elif key not in plan.answered:
        plan.failed[key] = kept
