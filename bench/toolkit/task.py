"""What is known of a task: its record, what its end is called, and what makes two of them the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: `pending`: made, not begun. `running`. `completed`: every item is done and none failed. `partial`: ended, with some
#: items done and others failed or missing. `failed`: ended without one that was done, or by an error, or said to have.
#: `cancelled`: its block was cancelled. `lost`: its process ended without ending it.
TaskStatus: TypeAlias = Literal["pending", "running", "completed", "partial", "failed", "cancelled", "lost"]

#: A task that is one of these is somebody's work at present.
LIVE: Final = frozenset({"pending", "running"})

_CANONICAL: Final = msgspec.json.Encoder(order="deterministic")


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    """One item's result.

    Attributes:
        item: The caller's name for it, or None.
        success: Whether it succeeded.
        result: What the caller gave, as JSON has it.
    """

    item: str | None
    success: bool
    result: object


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it was when it was asked for.

    Attributes:
        task_id: Its own name.
        task_key: The caller's name for what it is about; tasks with other parameters may share it.
        fingerprint: sha256 (64 hex digits) of key and parameters.
        status: See `TaskStatus`.
        total_count: How many items it has.
        success_count: How many have succeeded.
        failed_count: How many have failed.
        results: The first of the items' results; `TaskManager.results` pages through all.
        error_message: Why it is no success, or None.
        elapsed_seconds: Time under way, over all its starts, on a monotonic clock; None before the first. Of an ended
            task it stays as it is; of a lost one it ends with the last sign of life.
        created_at: When it was made, in UTC.
        started_at: When it was last started.
        ended_at: When it ended.
    """

    task_id: str
    task_key: str
    fingerprint: str
    status: TaskStatus
    total_count: int
    success_count: int
    failed_count: int
    results: tuple[ItemResult, ...]
    error_message: str | None
    elapsed_seconds: float | None
    created_at: str
    started_at: str | None
    ended_at: str | None

    @property
    def completed_count(self) -> int:
        """How many items are done, well or not."""
        return self.success_count + self.failed_count

    @property
    def progress_percentage(self) -> float:
        """The share of its items that are done, well or not; 100 where there are none."""
        return 100.0 * self.completed_count / self.total_count if self.total_count else 100.0

    @property
    def is_live(self) -> bool:
        """Whether it is somebody's work at present."""
        return self.status in LIVE

    def to_dict(self) -> dict[str, object]:
        """Return all of it as JSON can hold it."""
        fields: dict[str, object] = msgspec.to_builtins(self)
        return {
            **fields,
            "completed_count": self.completed_count,
            "progress_percentage": self.progress_percentage,
        }


def ended_as(*, total: int, succeeded: int, failed: int, said_success: bool) -> TaskStatus:
    """Return what a task's end is called: what was counted decides, whatever the caller says.

    Args:
        total: How many items it has.
        succeeded: How many have succeeded.
        failed: How many have failed.
        said_success: Whether the caller calls it a success.
    """
    if not said_success:
        return "failed"
    if succeeded == total and not failed:
        return "completed"
    return "partial" if succeeded else "failed"


def shortfall(*, total: int, succeeded: int, failed: int) -> str:
    """Return in words what a task lacks."""
    return f"{failed} of {total} items failed, {total - succeeded - failed} were not done"


def fingerprint(task_key: str, params: Mapping[str, object], unordered: Collection[str] = ()) -> str:
    """Return the sha256 (64 hex digits) of a task's key and parameters.

    Order in lists matters, but for the lists named in `unordered`; order of keys does not; 1, "1" and true are three
    values.

    Raises:
        ConfigError: The parameters cannot be written as JSON, or a field named in `unordered` is none, or no list.
    """
    try:
        canonical: dict[str, object] = dict(params)
        for name in unordered:
            field = params.get(name)
            if not isinstance(field, list | tuple | set | frozenset):
                raise ConfigError(f"unordered names {name!r}, and that parameter is {field!r}, no list")
            canonical[name] = [msgspec.Raw(each) for each in sorted(map(_CANONICAL.encode, field))]
        return hashlib.sha256(_CANONICAL.encode((task_key, canonical))).hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the task's parameters cannot be written as JSON: {error}") from error
