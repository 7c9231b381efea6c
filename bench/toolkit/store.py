"""The file in which tasks are kept: SQLite, for many processes and threads at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

from bench.cache.database import transaction
from bench.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Marks a SQLite file as ours: "btsk".
_APPLICATION_ID: Final = 0x6274736B

#: Version of the tables below. 1: first version.
_VERSION: Final = 1

#: What tasks hold is their owner's business.
_FILE_MODE: Final = 0o600

#: How long to wait for the file while others write to it; a write takes well below a millisecond.
_BUSY_TIMEOUT_S: Final = 10.0

# The index `live` is the promise that of one kind of work there is one live task, whatever the program does.
_SCHEMA: Final = """
BEGIN IMMEDIATE;
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
PRAGMA application_id = {application_id};
PRAGMA user_version = {version};
COMMIT;
"""


class Store:
    """The file behind a TaskManager; callable from any thread, and from a fork of the process that opened it.

    It is in WAL mode with synchronous=NORMAL: a process that is killed loses nothing that it wrote, a machine that
    loses power may lose the last changes, and neither leaves a damaged file.

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
            with _locked(self._path.parent):
                self._connection = _connected(self._path)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError | sqlite3.Error) -> JournalError:
        why = error.strerror if isinstance(error, OSError) else error
        return JournalError(f"the tasks in {self._path} cannot be read or written: {why}")


def _connected(path: Path) -> sqlite3.Connection:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new:
            _refuse_others(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            connection.executescript(_SCHEMA.format(application_id=_APPLICATION_ID, version=_VERSION))
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    names = ("application_id", "user_version")
    marks = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    if marks != (_APPLICATION_ID, _VERSION):
        raise ConfigError(f"{path} is a database, and not of this version's tasks", "choose another file")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from making the file during the block; where the file system knows no locks, do not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
