"""The file in which tasks are kept: SQLite, for many processes and threads at once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

from bench.database import Form, connected, locked, transaction
from bench.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Marked "btsk". Versions: 1, the first one. The index `live` is the promise that of one kind of work there is one live
#: task, whatever the program does.
_FORM: Final = Form(
    name="file of tasks",
    application_id=0x6274736B,
    version=1,
    tables="""
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, task_key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    total_count INTEGER NOT NULL, status TEXT NOT NULL, success_count INTEGER NOT NULL DEFAULT 0,
    failed_count INTEGER NOT NULL DEFAULT 0, error_message TEXT, owner TEXT NOT NULL, created_at TEXT NOT NULL,
    started_at TEXT, ended_at TEXT, begun_ns INTEGER, last_ns INTEGER, elapsed_ns INTEGER
);
CREATE UNIQUE INDEX live ON tasks (fingerprint) WHERE status IN ('pending', 'running');
CREATE INDEX kinds ON tasks (fingerprint);
CREATE INDEX keys ON tasks (task_key);
CREATE TABLE results (
    sequence INTEGER PRIMARY KEY, number INTEGER NOT NULL, item TEXT, success INTEGER NOT NULL, result BLOB NOT NULL
);
CREATE INDEX results_of ON results (number);
CREATE UNIQUE INDEX items ON results (number, item) WHERE item IS NOT NULL;
""",
    advice="choose another file",
)


class Store:
    """The file behind a TaskManager; callable from any thread, and from a fork of the process that opened it.

    Args:
        path: The file; it and its folder are made where they are missing.

    Raises:
        ConfigError: It is something else.
        JournalError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forked_from: sqlite3.Connection | None = None
        self._open()

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<Store {self._path}>"

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make what the block reads and writes one change, which nobody's other change comes between.

        Raises:
            JournalError: The file cannot be read or written.
        """
        if os.getpid() != self._pid:
            # A connection must not be used on both sides of a fork, nor closed on this one.
            self._forked_from = self._connection
            self._open()
        try:
            with self._lock, transaction(self._connection):
                yield self._connection
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._connection.close()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._path.parent):
                self._connection = connected(self._path, _FORM)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError | sqlite3.Error) -> JournalError:
        why = error.strerror if isinstance(error, OSError) else error
        return JournalError(f"the tasks in {self._path} cannot be read or written: {why}")
