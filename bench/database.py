"""SQLite files of ours that many processes use at once: opened or made, told from others, written in whole changes.

They are in WAL mode with synchronous=NORMAL: a process that is killed loses nothing that it wrote, a machine that loses
power may lose the last changes, and neither leaves a damaged file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What SQLite keeps beside a file, as endings of its name.
COMPANIONS: Final = ("-wal", "-shm")

#: What is in these files is their owner's business.
_FILE_MODE: Final = 0o600

#: How long to wait for a file while others write to it. A write takes well below a millisecond, and much longer where
#: its process does not get the processor.
_BUSY_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Form:
    """A kind of file.

    Attributes:
        name: What it is called in messages, as in `cache`.
        application_id: What marks a SQLite file as one of this kind.
        version: Version of the tables.
        tables: The statements that make them.
        advice: What to do about a file that is something else.
    """

    name: str
    application_id: int
    version: int
    tables: str
    advice: str


def connected(path: Path, form: Form) -> sqlite3.Connection:
    """Open a file, and make it with its tables where there is none; for any thread, one at a time.

    To be called within `locked`. Every change is to be made in a `transaction`.

    Raises:
        ConfigError: It is something else.
        OSError: It cannot be made.
        sqlite3.Error: It cannot be opened, or is damaged.
    """
    _make(path, form)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new:
            _refuse_others(connection, path, form)
        is_wal = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal"
        # Where a file system cannot have it, the old journal needs more care.
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if is_wal else 'FULL'}")
        if is_new:
            marks = f"PRAGMA application_id = {form.application_id}; PRAGMA user_version = {form.version};"
            connection.executescript(f"BEGIN IMMEDIATE; {form.tables} {marks} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from opening or renaming files of ours in a folder during the block.

    Where the file system knows no locks there is none to be had.

    Raises:
        OSError: The folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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


def _make(path: Path, form: Form) -> None:
    """Make an empty file where there is none, readable to its owner alone; refuse what is no file.

    A file that is there is not opened: closing it again would end the locks of this process's other connections.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))
        # Of a file that was removed without them.
        for companion in COMPANIONS:
            path.with_name(path.name + companion).unlink(missing_ok=True)
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
        raise ConfigError(f"the {form.name} {path} is {kind}", form.advice)


def _refuse_others(connection: sqlite3.Connection, path: Path, form: Form) -> None:
    marks = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if marks != (form.application_id, form.version):
        raise ConfigError(f"{path} is a database, and no {form.name} of this version of this program", form.advice)
