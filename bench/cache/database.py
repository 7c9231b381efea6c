"""The cache's file: opened or made, set aside where it is damaged, and found again where somebody removed it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger("bench.cache")

#: Marks a SQLite file as a cache of this program: "bcch".
_APPLICATION_ID: Final = 0x62636368

#: Version of the tables below. 1: first version.
_VERSION: Final = 1

#: Answers are their owner's business.
_FILE_MODE: Final = 0o600

#: How long to wait for the file while others write to it; a write takes well below a millisecond.
_BUSY_TIMEOUT_S: Final = 5.0

#: What SQLite keeps beside the file.
_COMPANIONS: Final = ("-wal", "-shm")

#: Kinds of SQLite's errors that mean that the file holds nonsense.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, stored_s REAL NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL
);
CREATE TABLE claims (key TEXT PRIMARY KEY, token BLOB NOT NULL, owner TEXT NOT NULL, until_ns INTEGER NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA application_id = {application_id};
PRAGMA user_version = {version};
COMMIT;
"""


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file holds nonsense, rather than that it cannot be used just now."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # not every error comes from SQLite itself
    return code is not None and code & 0xFF in _DAMAGE


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what the block writes one change, which is there whole or not at all, and keep other writers out."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


class Database:
    """The file behind a cache; one thread at a time.

    It is in WAL mode with synchronous=NORMAL: a process that is killed loses nothing that it stored, a machine that
    loses power may lose the last answers, and neither leaves a damaged file.

    Args:
        path: The file; it and its folder are made where they are missing.

    Raises:
        ConfigError: It cannot be used, or is something else than a cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        self._connection, self._identity = self._opened()

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<Database {self.path}>"

    def current(self) -> sqlite3.Connection:
        """Return the connection, to the file that now has the name: it may have been removed or set aside meanwhile.

        Raises:
            ConfigError: It was, and no new one can be made.
            RuntimeError: This process is a fork of the one that opened it: both using it would damage it.
        """
        if os.getpid() != self._pid:
            raise RuntimeError(f"{self.path} was opened in process {self._pid} and is used in its fork {os.getpid()}")
        if _identity(self.path) != self._identity:
            self._reopen()
        return self._connection

    def set_aside(self, reason: sqlite3.Error) -> None:
        """Rename the file because it is damaged, and go on with a new one.

        Raises:
            ConfigError: It cannot be renamed, or no new one can be made.
        """
        self._connection.close()
        with _locked(self.path.parent):
            # Another process may have been quicker.
            if _identity(self.path) == self._identity:
                _rename(self.path, str(reason))
        self._connection, self._identity = self._opened()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._connection.close()

    def _reopen(self) -> None:
        self._connection.close()
        self._connection, self._identity = self._opened()

    def _opened(self) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path.parent):
                try:
                    return _connected(self.path), _identity(self.path)
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                    _rename(self.path, str(error))
                return _connected(self.path), _identity(self.path)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"the cache {self.path} cannot be used: {why}", "choose another file with --cache-file, or --no-cache"
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    """Open the file, and make its tables where it is new.

    Raises:
        ConfigError: It is something else than a cache.
        OSError: It cannot be made.
        sqlite3.Error: It cannot be opened, or is damaged.
    """
    _make(path)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new:
            _refuse_others(connection, path)
        is_wal = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal"
        # Where a file system cannot have it, the old journal needs more care.
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if is_wal else 'FULL'}")
        if is_new:
            connection.executescript(_SCHEMA.format(application_id=_APPLICATION_ID, version=_VERSION))
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    marks = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if marks != (_APPLICATION_ID, _VERSION):
        raise ConfigError(
            f"{path} is a database, and no cache of this version of this program",
            "choose another file with --cache-file, or move that one away",
        )


def _make(path: Path) -> None:
    """Make an empty file where there is none, readable to its owner alone; refuse what is no file.

    A file that is there is not opened: closing it again would end the locks of this process's other connections.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))
        # Of a file that was removed without them.
        for companion in _COMPANIONS:
            path.with_name(path.name + companion).unlink(missing_ok=True)
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
        raise ConfigError(f"the cache {path} is {kind}", "name a file with --cache-file")


def _rename(path: Path, reason: str) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for companion in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + companion).rename(aside.with_name(aside.name + companion))
    _log.warning("the cache %s is damaged (%s): it is kept as %s, and a new one begun", path, reason, aside.name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from opening or renaming the cache during the block.

    Where the file system knows no locks there is none to be had.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that has its name later, or None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, at every question to the cache
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
