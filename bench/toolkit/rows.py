"""Tasks as rows of their file: how they are found, made, ended, and taken from processes that are no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S, utc_label, utc_now
from bench.errors import ConfigError
from bench.owner import Owner, is_gone, this_process
from bench.toolkit.task import LIVE, ItemResult, TaskInfo, TaskStatus

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_SELECT: Final = (
    "SELECT number, task_id, task_key, fingerprint, total_count, status, success_count, failed_count, error_message,"
    " owner, created_at, started_at, ended_at, begun_ns, last_ns, elapsed_ns FROM tasks"
)

#: The condition of SQL for what `LIVE` holds.
IS_LIVE: Final = "status IN ('pending', 'running')"

_LOST: Final = "its process ended without ending it"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the file has it.

    Attributes:
        owner: The process whose work it is, as JSON.
        begun_ns: When it was last started, on `perf_counter_ns` of the owner's machine; None while it is not under way.
        last_ns: The last sign of life since then.
        elapsed_ns: Time under way in earlier starts.
    """

    number: int
    task_id: str
    task_key: str
    fingerprint: str
    total_count: int
    status: TaskStatus
    success_count: int
    failed_count: int
    error_message: str | None
    owner: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    begun_ns: int | None
    last_ns: int | None
    elapsed_ns: int | None

    @property
    def is_live(self) -> bool:
        """Whether it is somebody's work at present."""
        return self.status in LIVE


def select(connection: sqlite3.Connection, condition: str, *arguments: object) -> Iterator[Row]:
    """Yield the tasks for which a condition of SQL holds."""
    cursor = connection.execute(f"{_SELECT} {condition}", arguments)
    names = [column[0] for column in cursor.description]
    for values in cursor:
        yield msgspec.convert(dict(zip(names, values, strict=True)), Row)


def by_id(connection: sqlite3.Connection, task_id: str) -> Row:
    """Return a task.

    Raises:
        ConfigError: There is none.
    """
    for row in select(connection, "WHERE task_id = ?", task_id):
        return row
    raise ConfigError(f"there is no task {task_id!r}", "task_id is what get_or_create_task has given out")


def latest(connection: sqlite3.Connection, mark: str) -> Row | None:
    """Return the newest task of a fingerprint."""
    return next(select(connection, "WHERE fingerprint = ? ORDER BY number DESC LIMIT 1", mark), None)


def insert(connection: sqlite3.Connection, values: dict[str, object]) -> None:
    """Add a task."""
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO tasks ({', '.join(values)}) VALUES ({places})", tuple(values.values()))  # noqa: S608 - our own names


def update(connection: sqlite3.Connection, row: Row, **values: object) -> Row:
    """Change a task, and return it as it is then."""
    settings = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE tasks SET {settings} WHERE number = ?", (*values.values(), row.number))  # noqa: S608 - our own names
    return msgspec.structs.replace(row, **values)


def end(connection: sqlite3.Connection, row: Row, status: TaskStatus, error: str | None, end_ns: int | None) -> Row:
    """End a task; its time under way stops at `end_ns`."""
    return update(
        connection,
        row,
        status=status,
        error_message=error,
        ended_at=utc_label(utc_now()),
        elapsed_ns=_elapsed_ns(row, end_ns),
        begun_ns=None,
    )


def settle(connection: sqlite3.Connection, here: Owner, condition: str = "", *arguments: object) -> None:
    """Call the live tasks lost whose processes are no more."""
    for row in [*select(connection, f"WHERE {IS_LIVE} {condition}", *arguments)]:
        if is_gone(msgspec.json.decode(row.owner, type=Owner), here):
            end(connection, row, "lost", _LOST, row.last_ns)


def me() -> str:
    """Return this process as the rows have it."""
    return msgspec.json.encode(this_process()).decode()


def expect(row: Row, *statuses: TaskStatus) -> Row:
    """Return a task that has one of these statuses.

    Raises:
        ConfigError: It has another one.
    """
    if row.status not in statuses:
        raise ConfigError(f"task {row.task_id!r} of {row.task_key!r} is {row.status}, not {' or '.join(statuses)}")
    return row


def resume(connection: sqlite3.Connection, row: Row) -> Row:
    """Make an ended task this process's to do; keep what succeeded and has a name."""
    connection.execute("DELETE FROM results WHERE number = ? AND (item IS NULL OR NOT success)", (row.number,))
    (kept,) = connection.execute("SELECT count(*) FROM results WHERE number = ?", (row.number,)).fetchone()
    return update(
        connection,
        row,
        status="pending",
        owner=me(),
        success_count=kept,
        failed_count=0,
        error_message=None,
        ended_at=None,
    )


def done_items(connection: sqlite3.Connection, row: Row) -> frozenset[str]:
    """Return the names of the items that have succeeded."""
    found = connection.execute(
        "SELECT item FROM results WHERE number = ? AND success AND item IS NOT NULL", (row.number,)
    )
    return frozenset(item for (item,) in found)


def info(connection: sqlite3.Connection, row: Row, now_ns: int, results: int) -> TaskInfo:
    """Return a task as it is shown, with at most so many results."""
    elapsed_ns = _elapsed_ns(row, now_ns)
    return TaskInfo(
        task_id=row.task_id,
        task_key=row.task_key,
        fingerprint=row.fingerprint,
        status=row.status,
        total_count=row.total_count,
        success_count=row.success_count,
        failed_count=row.failed_count,
        results=tuple(read_results(connection, row, 0, results)) if results else (),
        error_message=row.error_message,
        elapsed_seconds=None if elapsed_ns is None else elapsed_ns / NS_PER_S,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def read_results(connection: sqlite3.Connection, row: Row, offset: int, limit: int) -> Iterator[ItemResult]:
    """Yield results of a task's items, in the order in which they came."""
    for item, success, result in connection.execute(
        "SELECT item, success, result FROM results WHERE number = ? ORDER BY sequence LIMIT ? OFFSET ?",
        (row.number, limit, offset),
    ):
        yield ItemResult(item=item, success=bool(success), result=msgspec.json.decode(result))


def _elapsed_ns(row: Row, until_ns: int | None) -> int | None:
    if row.begun_ns is None or until_ns is None:
        return row.elapsed_ns
    return (row.elapsed_ns or 0) + until_ns - row.begun_ns
