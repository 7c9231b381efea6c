"""From a configuration to a workload that was read through once: counted, checked, fingerprinted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bench.errors import WorkloadError
from bench.policy.fingerprint import task_fingerprint, workload_fingerprint
from bench.workload.lines import LinesFile
from bench.workload.outline import OutlineTasks, read_outline
from bench.workload.places import Grid
from bench.workload.prompts import Prompts
from bench.workload.topics import DEFAULT_TOPICS, Topics, TopicsFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from bench.config import ConcurrentConfig
    from bench.records import JsonObject, Task
    from bench.workload._base import Source, Workload

#: Providers take seeds of 64 bits with a sign, and none below zero.
_SEEDS: Final = 2**63


def build_workload(config: ConcurrentConfig, stdin: BinaryIO) -> Workload:
    """Return the workload that a configuration names: its topics, file or prompts, or the default topics.

    The source is read through before this returns, without being kept in memory.

    Args:
        config: The run's settings.
        stdin: Standard input; read only if a file is named `-`.

    Raises:
        WorkloadError: The source cannot be read, is empty, or a part of it is wrong.
    """
    return RepeatedWorkload(source_of(config, stdin), config.iterations, versions=config.versions, seed=config.seed)


class RepeatedWorkload:
    """A source repeated as a whole: all of iteration 0, then all of iteration 1, and so on.

    The versions of an item follow each other. The first one is the request as it stands; each further one has another
    `seed` in its parameters, so that it is another sample.

    Args:
        source: What is repeated.
        iterations: How often, at least once.
        versions: Tasks of each item.
        seed: Where the seeds of versions are counted from, if the item has none of its own.

    Raises:
        WorkloadError: The source is empty, or a part of it is wrong.
    """

    def __init__(self, source: Source, iterations: int, *, versions: int = 1, seed: int = 0) -> None:
        self.kind = source.kind
        self._source = source
        self._iterations = iterations
        self._versions = versions
        self._seed = seed
        self._items = 0
        once = workload_fingerprint(self._checked_fingerprints())
        if not self._items:
            raise WorkloadError(f"{source.name} holds no task", "give it at least one line that is not blank")
        self._grid = Grid(items=self._items, iterations=iterations, versions=versions)
        self.count = self._grid.count
        self.fingerprint = workload_fingerprint(itertools.repeat(once, iterations))

    def __repr__(self) -> str:
        """Show kind and size."""
        return f"<RepeatedWorkload {self.kind} tasks={self.count} iterations={self._iterations}>"

    def __iter__(self) -> Iterator[Task]:
        """Begin again at the first task."""
        for iteration in range(self._iterations):
            for _, task in self._source.located():
                repeated = replace(task, iteration=iteration) if iteration else task
                for version in range(self._versions):
                    yield version_of(repeated, version, self._seed)

    def place(self, *, index: int, iteration: int, version: int) -> int | None:
        """Return the place from 0 at which a task comes, None if there is no such task."""
        return self._grid.place(index=index, iteration=iteration, version=version)

    def _checked_fingerprints(self) -> Iterator[str]:
        for place, task in self._source.located():
            self._items += 1
            try:
                for version in range(self._versions):
                    yield task_fingerprint(version_of(task, version, self._seed))
            except (ValueError, OverflowError, RecursionError) as error:
                # A lone surrogate, a number beyond 64 bits, or nesting too deep: no request could carry it.
                raise WorkloadError(f"{place} cannot be written as JSON: {error}", "mend it or leave it out") from error


def version_of(task: Task, version: int, seed: int) -> Task:
    """Return a version of an item's task: the first one is the task itself.

    Args:
        task: The first version.
        version: Which one, from 0.
        seed: What its `seed` is counted from, if the task has none.
    """
    return replace(sample_of(task, version, seed), version=version) if version else task


def sample_of(task: Task, number: int, seed: int) -> Task:
    """Return a task with another seed, so that its answer is another sample.

    Args:
        task: The task.
        number: By how much its seed is another.
        seed: What that is counted from, if the task has none.
    """
    own = task.params.get("seed")
    first = own if isinstance(own, int) else seed
    return replace(task, params={**task.params, "seed": (first + number) % _SEEDS})


def source_of(config: ConcurrentConfig, stdin: BinaryIO) -> Source:
    """Return what a configuration names as the source of its tasks.

    Raises:
        WorkloadError: It cannot be read.
    """
    params = request_params(config)
    if config.outline is not None:
        return OutlineTasks(read_outline(config.outline), params)
    if config.prompts is not None:
        return Prompts(LinesFile(config.prompts, stdin), params)
    if config.topics_file is not None:
        return TopicsFile(LinesFile(config.topics_file, stdin), params)
    return Topics(config.topics or DEFAULT_TOPICS, params)


def request_params(config: ConcurrentConfig) -> JsonObject:
    """Return the parameters that a configuration gives every request."""
    wanted = {"max_tokens": config.max_tokens, "temperature": config.temperature}
    return {name: value for name, value in wanted.items() if value is not None}
