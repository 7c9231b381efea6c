"""A thread that reads a run's records as they come, so that neither reading nor what is done with them delays it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import msgspec

from bench.book.records import Answer
from bench.errors import JournalError
from bench.journal import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from bench.records import Glimpse, TaskResult


class Follower:
    """An observer that hands each record of a run on, those before it too, from a thread of its own.

    As a context manager it works inside the block; at the end of it every record has been handed on.

    Args:
        run: The run's directory.
        take: Takes a record; called from one thread.
        rest: Called there when all that has come so far was taken.

    Attributes:
        failure: Why it stopped before the end, if it did.
    """

    def __init__(self, run: Path, take: Callable[[Answer], None], rest: Callable[[], None]) -> None:
        self.failure: Exception | None = None
        self._path = run / TASKS
        self._take = take
        self._rest = rest
        self._came = threading.Event()
        self._ended = threading.Event()
        self._offset = 0
        self._decoder = msgspec.json.Decoder(Answer)
        self._thread = threading.Thread(target=self._work, name="book-follower", daemon=True)

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Follower {self._path} bytes={self._offset}>"

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take what is left, and end."""
        self._ended.set()
        self._came.set()
        self._thread.join()

    def ready(self) -> None:
        """Do nothing."""

    def drawn(self) -> None:
        """Do nothing."""

    def recorded(self, _glimpse: Glimpse | TaskResult) -> None:
        """Wake the thread."""
        self._came.set()

    def _work(self) -> None:
        try:
            last = False
            while not last:
                self._came.wait()
                # Before reading: what comes meanwhile, and the end, make another round.
                self._came.clear()
                last = self._ended.is_set()
                self._read()
        except Exception as failure:  # noqa: BLE001 - the thread's edge: the run goes on, and its end tells it
            self.failure = failure

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    self._take(self._decoder.decode(line))
        except OSError as error:
            raise JournalError(f"cannot read {self._path}: {error.strerror}") from error
        self._rest()
