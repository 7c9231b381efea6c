"""From a configuration to a workload that was read through once: counted, checked, fingerprinted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bench.errors import WorkloadError
from bench.policy.fingerprint import task_fingerprint, workload_fingerprint
from bench.workload.lines import LinesFile
from bench.workload.prompts import Prompts
from bench.workload.topics import DEFAULT_TOPICS, Topics, TopicsFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from bench.config import ConcurrentConfig
    from bench.records import JsonObject, Task
    from bench.workload._base import Source, Workload


def build_workload(config: ConcurrentConfig, stdin: BinaryIO) -> Workload:
    """Return the workload that a configuration names: its topics, file or prompts, or the default topics.

    The source is read through before this returns, without being kept in memory.

    Args:
        config: The run's settings.
        stdin: Standard input; read only if a file is named `-`.

    Raises:
        WorkloadError: The source cannot be read, is empty, or a part of it is wrong.
    """
    return RepeatedWorkload(_source(config, stdin), config.iterations)


class RepeatedWorkload:
    """A source repeated as a whole: all of iteration 0, then all of iteration 1, and so on.

    Args:
        source: What is repeated.
        iterations: How often, at least once.

    Raises:
        WorkloadError: The source is empty, or a part of it is wrong.
    """

    def __init__(self, source: Source, iterations: int) -> None:
        self.kind = source.kind
        self._source = source
        self._iterations = iterations
        self._per_iteration = 0
        once = workload_fingerprint(self._checked_fingerprints())
        if not self._per_iteration:
            raise WorkloadError(f"{source.name} holds no task", "give it at least one line that is not blank")
        self.count = self._per_iteration * iterations
        self.fingerprint = workload_fingerprint(itertools.repeat(once, iterations))

    def __repr__(self) -> str:
        """Show kind and size."""
        return f"<RepeatedWorkload {self.kind} tasks={self.count} iterations={self._iterations}>"

    def __iter__(self) -> Iterator[Task]:
        """Begin again at the first task."""
        for iteration in range(self._iterations):
            for _, task in self._source.located():
                yield replace(task, iteration=iteration) if iteration else task

    def _checked_fingerprints(self) -> Iterator[str]:
        for place, task in self._source.located():
            self._per_iteration += 1
            try:
                yield task_fingerprint(task)
            except (ValueError, OverflowError, RecursionError) as error:
                # A lone surrogate, a number beyond 64 bits, or nesting too deep: no request could carry it.
                raise WorkloadError(f"{place} cannot be written as JSON: {error}", "mend it or leave it out") from error


def _source(config: ConcurrentConfig, stdin: BinaryIO) -> Source:
    wanted = {"max_tokens": config.max_tokens, "temperature": config.temperature}
    params: JsonObject = {name: value for name, value in wanted.items() if value is not None}
    if config.prompts is not None:
        return Prompts(LinesFile(config.prompts, stdin), params)
    if config.topics_file is not None:
        return TopicsFile(LinesFile(config.topics_file, stdin), params)
    return Topics(config.topics or DEFAULT_TOPICS, params)
