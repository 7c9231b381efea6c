"""The one writer of a run's records."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final, Self

import msgspec

from bench.errors import ConfigError, JournalError
from bench.journal.directory import MANIFEST, TASKS, WORKLOAD, write_atomically
from bench.journal.lines import LineFile
from bench.journal.reader import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.manifest import RunManifest
    from bench.records import Task

#: How often records are brought to the disk: what a machine that loses its power may lose. A process that is killed
#: loses nothing that was appended.
SYNC_EVERY_S: Final = 1.0


class Journal:
    """The one writer of a run: tasks as they are drawn, results as they end, the manifest as it changes.

    Not thread-safe; the executor calls it under its lock. Raises JournalError where a record cannot be kept.

    Args:
        directory: The run's directory.
        manifest: What is known of the run.
        again: Whether the run has begun before and its files are there; only `reopened` says so.

    Attributes:
        directory: The run's directory.
        manifest: Its manifest as it was last written.
        torn: Files into which torn last lines were moved.
    """

    def __init__(self, directory: Path, manifest: RunManifest, *, again: bool = False) -> None:
        self.directory = directory
        self.manifest = manifest
        self.torn: tuple[Path, ...] = ()
        self._encoder = msgspec.json.Encoder()
        self._known = 0
        self._failure: JournalError | None = None
        # First, because it carries the lock.
        self._tasks = LineFile(directory / TASKS, again=again)
        with contextlib.ExitStack() as undo:
            undo.callback(self._tasks.close)
            if not self._tasks.lock():
                raise _taken(read_manifest(directory))
            self._workload = LineFile(directory / WORKLOAD, again=again)
            undo.callback(self._workload.close)
            if again:
                # Anew, because its last writer may have written it since it was looked at.
                self.manifest = read_manifest(directory)
                mended = (self._workload.mend(), self._tasks.mend())
                self.torn = tuple(path for path in mended if path is not None)
            else:
                self._save_manifest()
            undo.pop_all()

    @classmethod
    def reopened(cls, directory: Path) -> Self:
        """Take over a run that nobody writes, its torn last lines moved aside; nothing else is changed yet.

        Raises:
            ConfigError: Another process writes it.
            JournalError: It is no run, or its files cannot be read and written.
        """
        return cls(directory, read_manifest(directory), again=True)

    def __repr__(self) -> str:
        """Show where it is and how far it got."""
        return f"<Journal {self.directory.name} drawn={self._workload.lines} recorded={self._tasks.lines}>"

    @property
    def drawn(self) -> int:
        """Tasks drawn so far."""
        return self._workload.lines

    @property
    def recorded(self) -> int:
        """Results kept so far."""
        return self._tasks.lines

    @property
    def failure(self) -> JournalError | None:
        """Why records could not be brought to the disk, if they could not."""
        return self._failure

    def count(self, *, drawn: int, recorded: int) -> None:
        """Take note of how many lines a run that was reopened has."""
        self._workload.lines, self._tasks.lines = drawn, recorded

    def go_on(self, manifest: RunManifest, *, known: int) -> None:
        """Begin another segment of a run that was reopened.

        Args:
            manifest: What is known of the run now.
            known: How many of the next tasks to be drawn were drawn before, and are in the file.
        """
        self._known = known
        self.manifest = manifest
        self._save_manifest()

    def drew(self, *tasks: Task) -> None:
        """Keep tasks that were drawn, but for those that are in the file since before the run was reopened."""
        known = min(self._known, len(tasks))
        self._known -= known
        self._workload.append(*map(self._encoder.encode, tasks[known:]))

    def append(self, *lines: bytes) -> None:
        """Keep TaskResults, encoded as JSON; where not all of them fitted, `recorded` counts those that did."""
        self._tasks.append(*lines)

    @contextlib.contextmanager
    def syncing(self, on_failure: Callable[[], object]) -> Iterator[None]:
        """Inside the block, bring the records to the disk every `SYNC_EVERY_S`, in a thread of its own.

        Args:
            on_failure: Called from that thread, once, if the disk refuses or the records are gone; `failure` says why.
        """
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(SYNC_EVERY_S):
                try:
                    self.sync()
                except JournalError as failure:
                    self._failure = failure
                    on_failure()
                    return

        thread = threading.Thread(target=work, name="journal-sync", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def sync(self) -> None:
        """Bring the records to the disk; from any thread."""
        self._workload.sync()
        self._tasks.sync()

    def close(self, manifest: RunManifest) -> None:
        """Bring the records to the disk, then the manifest in its last form, and let others write."""
        self.manifest = manifest
        with contextlib.ExitStack() as steps:
            steps.callback(self.abandon)
            steps.callback(self._save_manifest)
            steps.callback(self.sync)

    def abandon(self) -> None:
        """Bring the records to the disk and let others write; the manifest stays as it is."""
        with contextlib.ExitStack() as files:
            # The lock goes with the tasks' file.
            files.callback(self._tasks.close)
            files.callback(self._workload.close)

    def _save_manifest(self) -> None:
        write_atomically(self.directory / MANIFEST, msgspec.json.format(self._encoder.encode(self.manifest), indent=2))


def _taken(manifest: RunManifest) -> ConfigError:
    writer = manifest.segments[-1] if manifest.segments else None
    who = "another process" if writer is None else f"process {writer.pid} on {writer.host}"
    return ConfigError(
        f"{manifest.run_id} is being written by {who}", "wait for its end, or end it, and resume the run then"
    )
