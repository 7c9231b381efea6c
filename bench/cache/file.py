"""The cache's file: opened or made, set aside where it is damaged, and found again where somebody removed it."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from bench.database import COMPANIONS, Form, connected, locked
from bench.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("bench.cache")

#: Marked "bcch". Versions: 1, the first one.
_FORM: Final = Form(
    name="cache",
    application_id=0x62636368,
    version=1,
    tables="""
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, stored_s REAL NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL
);
CREATE TABLE claims (key TEXT PRIMARY KEY, token BLOB NOT NULL, owner TEXT NOT NULL, until_ns INTEGER NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
""",
    advice="choose another file with --cache-file, or --no-cache",
)

#: Kinds of SQLite's errors that mean that the file holds nonsense.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file holds nonsense, rather than that it cannot be used just now."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # not every error comes from SQLite itself
    return code is not None and code & 0xFF in _DAMAGE


class CacheFile:
    """The file behind a cache; one thread at a time.

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
        return f"<CacheFile {self.path}>"

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
        with locked(self.path.parent):
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
            with locked(self.path.parent):
                try:
                    return connected(self.path, _FORM), _identity(self.path)
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                    _rename(self.path, str(error))
                return connected(self.path, _FORM), _identity(self.path)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"the cache {self.path} cannot be used: {why}", _FORM.advice) from error


def _rename(path: Path, reason: str) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for companion in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + companion).rename(aside.with_name(aside.name + companion))
    _log.warning("the cache %s is damaged (%s): it is kept as %s, and a new one begun", path, reason, aside.name)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that has its name later, or None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, at every question to the cache
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
