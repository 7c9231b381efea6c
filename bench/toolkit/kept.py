"""Tasks in their file, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.clock import MonotonicClock
from bench.owner import this_process
from bench.toolkit import rows
from bench.toolkit.store import Store

if TYPE_CHECKING:
    import sqlite3

    from bench.clock import Clock
    from bench.toolkit.task import ItemResult, TaskInfo, TaskStatus

#: Beside the runs' directories.
DEFAULT_PATH: Final = Path("results/tasks.sqlite")

#: How many results a task is shown with: enough to look at, and no list without an end.
RESULTS_SHOWN: Final = 100

_NEWEST: Final = "ORDER BY number DESC"


class KeptTasks:
    """What a TaskManager knows, to be read; every look first calls those tasks lost whose processes are no more.

    Args:
        path: The file; made where it is missing.
        clock: What times the tasks.

    Raises:
        ConfigError: The file is something else.
        JournalError: It cannot be opened; every method raises it where the file cannot be read or written.
    """

    def __init__(self, path: Path | str = DEFAULT_PATH, *, clock: Clock | None = None) -> None:
        self._store = Store(Path(path))
        self._clock = MonotonicClock() if clock is None else clock

    def __repr__(self) -> str:
        """Show where the tasks are."""
        return f"<{type(self).__name__} {self._store!r}>"

    def get_task(self, task_id: str) -> TaskInfo | None:
        """Return a task with the first hundred of its results, or None where there is none of this id."""
        with self._store.writing() as connection:
            rows.settle(connection, this_process(), "AND task_id = ?", task_id)
            row = next(rows.select(connection, "WHERE task_id = ?", task_id), None)
            return None if row is None else self._info(connection, row)

    def get_active_task(self, task_key: str) -> TaskInfo | None:
        """Return the newest live task of a key, whatever its parameters, or None."""
        with self._store.writing() as connection:
            rows.settle(connection, this_process(), "AND task_key = ?", task_key)
            row = next(rows.select(connection, f"WHERE task_key = ? AND {rows.IS_LIVE} {_NEWEST}", task_key), None)
            return None if row is None else self._info(connection, row)

    def list_tasks(
        self, *, task_key: str | None = None, status: TaskStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[TaskInfo]:
        """Return tasks without their results, the newest first: all, or those of a key, or of a status."""
        with self._store.writing() as connection:
            rows.settle(connection, this_process())
            condition = "WHERE (?1 IS NULL OR task_key = ?1) AND (?2 IS NULL OR status = ?2)"
            found = rows.select(
                connection, f"{condition} {_NEWEST} LIMIT ?3 OFFSET ?4", task_key, status, limit, offset
            )
            return [self._info(connection, row, 0) for row in found]

    def results(self, task_id: str, *, offset: int = 0, limit: int = RESULTS_SHOWN) -> list[ItemResult]:
        """Return a page of a task's results, in the order in which they came.

        Raises:
            ConfigError: There is no task of this id.
        """
        with self._store.writing() as connection:
            return list(rows.read_results(connection, rows.by_id(connection, task_id), offset, limit))

    def done_items(self, task_id: str) -> frozenset[str]:
        """Return the names of the items that have succeeded: a resumed task has the others left to do.

        Raises:
            ConfigError: There is no task of this id.
        """
        with self._store.writing() as connection:
            return rows.done_items(connection, rows.by_id(connection, task_id))

    def close(self) -> None:
        """Close the file; tasks stay as they are."""
        self._store.close()

    def _info(self, connection: sqlite3.Connection, row: rows.Row, results: int = RESULTS_SHOWN) -> TaskInfo:
        return rows.info(connection, row, self._clock.now_ns(), results)
