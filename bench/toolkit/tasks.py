"""TaskManager: which work is under way, how far it is, and that nobody does the same work twice at once."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import msgspec

from bench.clock import utc_label, utc_now
from bench.errors import ConfigError
from bench.owner import this_process
from bench.toolkit import rows
from bench.toolkit.kept import KeptTasks
from bench.toolkit.task import ended_as, fingerprint, shortfall

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from bench.toolkit.task import TaskInfo

#: What becomes of a request for work that was completed before: `return` hands out the task that did it, `rerun` makes
#: a new one.
IfFinished: TypeAlias = Literal["return", "rerun"]

#: The same for work that ended as anything else: `resume` takes the same task up again.
IfFailed: TypeAlias = Literal["resume", "return", "rerun"]


class TaskManager(KeptTasks):
    """Keeps tasks in a file, for all processes of this machine that name the same file.

    A task is live (`pending`, `running`) until it is ended or its process is no more: killed, it is `lost` for the next
    one who looks. Of one key with the same parameters at most one task is live. Callable from any thread; a call takes
    some tenths of a millisecond, in which it holds its event loop.

    Args:
        path: The file; made where it is missing.
        clock: What times the tasks.

    Raises:
        ConfigError: The file is something else.
        JournalError: It cannot be opened; every method raises it where the file cannot be read or written.
    """

    def get_or_create_task(
        self,
        task_key: str,
        task_params: Mapping[str, object],
        total_count: int,
        *,
        unordered: Collection[str] = (),
        if_finished: IfFinished = "return",
        if_failed: IfFailed = "resume",
    ) -> tuple[TaskInfo, bool]:
        """Return the task of this key and these parameters, and whether its work is the caller's to do.

        Of any number of callers at once, in any processes, one is told True. A task that is resumed keeps the results
        that succeeded and have a name (`item`); the others are to be done again.

        Args:
            task_key: What it is about.
            task_params: What makes it another task: anything that JSON can hold.
            total_count: How many items it has.
            unordered: Parameters that are lists whose order makes no other task.
            if_finished: What becomes of the request where the work was completed before.
            if_failed: The same where it ended otherwise. With another `total_count` it is not resumed but run again.

        Raises:
            ConfigError: An argument cannot be used, or the live task has another `total_count`.
        """
        if not task_key:
            raise ConfigError("task_key must not be empty")
        if type(total_count) is not int or total_count < 0:
            raise ConfigError(f"total_count must be a whole number of at least 0, got {total_count!r}")
        mark = fingerprint(task_key, task_params, unordered)
        with self._store.writing() as connection:
            rows.settle(connection, this_process(), "AND fingerprint = ?", mark)
            row = rows.latest(connection, mark)
            if row is not None:
                choice = _choice(row, total_count, if_finished, if_failed)
                if choice == "return":
                    return self._info(connection, row), False
                if choice == "resume":
                    return self._info(connection, rows.resume(connection, row)), True
            task_id = secrets.token_hex(16)
            new = {"task_id": task_id, "task_key": task_key, "fingerprint": mark, "total_count": total_count}
            rows.insert(
                connection, {**new, "status": "pending", "owner": rows.me(), "created_at": utc_label(utc_now())}
            )
            return self._info(connection, rows.by_id(connection, task_id)), True

    def start_task(self, task_id: str) -> TaskInfo:
        """Begin a task: from now on it is this process's, and its time runs.

        Raises:
            ConfigError: There is none of this id, or it is not pending.
        """
        with self._store.writing() as connection:
            row = rows.expect(rows.by_id(connection, task_id), "pending")
            now_ns = self._clock.now_ns()
            label = utc_label(utc_now())
            row = rows.update(
                connection, row, status="running", owner=rows.me(), started_at=label, begun_ns=now_ns, last_ns=now_ns
            )
            return self._info(connection, row)

    def update_progress(
        self, task_id: str, result: object = None, *, success: bool = True, item: str | None = None
    ) -> TaskInfo:
        """Add the result of one item, and return the task with its new counts, without results.

        Args:
            task_id: The task, which must be running.
            result: Anything that JSON can hold.
            success: Whether the item succeeded.
            item: Its name, by which a resumed task knows that it is done; a second result of a name replaces the first.

        Raises:
            ConfigError: There is no such task, it is not running, all its items have results, or this one is no JSON.
        """
        try:
            encoded = msgspec.json.encode(result)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"the result cannot be written as JSON: {error}") from error
        with self._store.writing() as connection:
            row = rows.expect(rows.by_id(connection, task_id), "running")
            replaced = connection.execute(
                "DELETE FROM results WHERE number = ? AND item = ? RETURNING success", (row.number, item)
            ).fetchall()
            succeeded = row.success_count + success - sum(was for (was,) in replaced)
            failed = row.failed_count + (not success) - sum(not was for (was,) in replaced)
            if succeeded + failed > row.total_count:
                raise ConfigError(f"the task has {row.total_count} items, and all of them have results already")
            connection.execute(
                "INSERT INTO results (number, item, success, result) VALUES (?, ?, ?, ?)",
                (row.number, item, success, encoded),
            )
            row = rows.update(
                connection, row, success_count=succeeded, failed_count=failed, last_ns=self._clock.now_ns()
            )
            return self._info(connection, row, 0)

    def complete_task(self, task_id: str, *, success: bool = True, error_message: str | None = None) -> TaskInfo:
        """End a task; what was counted decides what its end is called (see `TaskStatus`).

        Args:
            task_id: The task, which must be live.
            success: False calls it failed, whatever was counted; True cannot call it completed where items failed or
                are missing.
            error_message: Why it is no success.

        Raises:
            ConfigError: There is none of this id, or it has ended.
        """
        with self._store.writing() as connection:
            row = rows.expect(rows.by_id(connection, task_id), "pending", "running")
            counts = {"total": row.total_count, "succeeded": row.success_count, "failed": row.failed_count}
            status = ended_as(**counts, said_success=success)
            if error_message is None and status == "partial":
                error_message = shortfall(**counts)
            return self._info(connection, rows.end(connection, row, status, error_message, self._clock.now_ns()))

    def cancel_task(self, task_id: str) -> TaskInfo:
        """End a task as cancelled.

        Raises:
            ConfigError: There is none of this id, or it has ended.
        """
        with self._store.writing() as connection:
            row = rows.expect(rows.by_id(connection, task_id), "pending", "running")
            return self._info(connection, rows.end(connection, row, "cancelled", None, self._clock.now_ns()))

    def run(
        self,
        task_key: str,
        task_params: Mapping[str, object],
        total_count: int,
        *,
        unordered: Collection[str] = (),
        if_finished: IfFinished = "return",
        if_failed: IfFailed = "resume",
    ) -> TaskRun:
        """Return a block for `async with` that gets or makes a task, starts it if it is the caller's, and ends it.

        However the block is left, its task has ended then: by its counts; as `failed` where an error left it, with the
        error's text; as `cancelled` where a cancellation did. Arguments and errors: as for `get_or_create_task`.
        """

        def begin() -> tuple[TaskInfo, bool]:
            return self.get_or_create_task(
                task_key,
                task_params,
                total_count,
                unordered=unordered,
                if_finished=if_finished,
                if_failed=if_failed,
            )

        return TaskRun(self, begin)


def _choice(row: rows.Row, total_count: int, if_finished: IfFinished, if_failed: IfFailed) -> IfFailed:
    """Return what becomes of a request for work that was asked for before.

    Raises:
        ConfigError: It is under way with another number of items.
    """
    if row.is_live:
        if row.total_count != total_count:
            raise ConfigError(
                f"task {row.task_key!r} is under way with {row.total_count} items, and asked for with {total_count}",
                "put what makes the difference into task_params",
            )
        return "return"
    if row.status == "completed":
        return if_finished
    return "rerun" if if_failed == "resume" and row.total_count != total_count else if_failed


class TaskRun:
    """A block in which a task is done; see `TaskManager.run`.

    Attributes:
        task: The task as the block found it; after the block, as it ended.
        is_new: Whether its work is this block's to do; if not, it is another's, or was done before.
    """

    task: TaskInfo
    is_new: bool

    def __init__(self, tasks: TaskManager, begin: Callable[[], tuple[TaskInfo, bool]]) -> None:
        self._tasks = tasks
        self._begin = begin

    async def __aenter__(self) -> Self:
        """Get or make the task, and start it if it is the caller's."""
        self.task, self.is_new = self._begin()
        if self.is_new:
            self.task = self._tasks.start_task(self.task.task_id)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the task, unless the block has."""
        if not self.is_new or (task := self._tasks.get_task(self.task.task_id)) is None:
            return
        if not task.is_live:
            self.task = task
        elif error is None:
            self.task = self._tasks.complete_task(task.task_id)
        elif isinstance(error, Exception):
            text = f"{type(error).__name__}: {error}"
            self.task = self._tasks.complete_task(task.task_id, success=False, error_message=text)
        else:
            self.task = self._tasks.cancel_task(task.task_id)

    @property
    def done_items(self) -> frozenset[str]:
        """The names of the items that have succeeded, in this block or in the one that it resumes."""
        return self._tasks.done_items(self.task.task_id)

    def add(self, result: object = None, *, success: bool = True, item: str | None = None) -> TaskInfo:
        """Add the result of one item; see `TaskManager.update_progress`.

        Raises:
            ConfigError: The work is not this block's, or the result cannot be added.
        """
        if not self.is_new:
            raise ConfigError("the work of this task is not this block's to do", "look at is_new before beginning it")
        return self._tasks.update_progress(self.task.task_id, result, success=success, item=item)
