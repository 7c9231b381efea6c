"""The folder of the service's starts: one service at a time, and a run's directory for each start."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import ConfigError
from bench.executor.opening import begin, concluded
from bench.journal import LineFile
from bench.manifest import HarnessCost
from bench.policy.fingerprint import workload_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.executor.opening import OpenRun
    from bench.providers import Endpoint
    from bench.records import RunStatus, Task

#: Below `--results-dir`.
FOLDER: Final = "service"

_LOCK: Final = "service.lock"


class Requests:
    """A workload that nobody knows before: what clients ask for."""

    kind = "service"
    count = 0
    fingerprint = workload_fingerprint(())

    def __iter__(self) -> Iterator[Task]:
        """Begin with nothing."""
        return iter(())

    def place(self, **_: int) -> int | None:
        """Return None: no task is known before it comes."""
        return None


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other services out of a folder inside the block.

    Raises:
        ConfigError: There is one, or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot keep tasks in {folder}: {error.strerror}", "choose another place with --results-dir"
        ) from error
    lock = LineFile(folder / _LOCK, again=True)
    with contextlib.closing(lock):
        if not lock.lock():
            raise ConfigError(
                f"another service keeps its tasks in {folder}", "end it, or choose another place with --results-dir"
            )
        yield


@contextlib.contextmanager
def start_in(folder: Path, run: ConcurrentConfig, endpoints: Sequence[Endpoint], command: str) -> Iterator[OpenRun]:
    """Make the directory of a start inside the block, and conclude its records at the end.

    Raises:
        ConfigError: It cannot be written.
    """
    config = dataclasses.replace(run, results_dir=folder)
    opened = begin(config, Requests(), endpoints, command)
    status: RunStatus = "completed"
    try:
        yield opened
    except BaseException:
        status = "failed"
        raise
    finally:
        opened.reserve.release()
        journal = opened.journal
        manifest = msgspec.structs.replace(journal.manifest, tasks=journal.drawn)
        error = None if journal.failure is None else str(journal.failure)
        journal.close(concluded(manifest, "failed" if error else status, error, HarnessCost(), ()))
