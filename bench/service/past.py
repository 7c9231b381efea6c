"""What earlier starts of the service have left: how their tasks stand, told from their files; nothing is done again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from bench.clock import NS_PER_S, utc_label, utc_now
from bench.errors import JournalError
from bench.journal import TASKS, decode_line, iter_lines
from bench.records import AttemptGlimpse, ErrorInfo, Status
from bench.service.keys import Key
from bench.service.reasons import KILLED, state_of, told
from bench.service.values import Event, Kind, Path, State, TaskError, TaskView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

T = TypeVar("T")

_log = logging.getLogger("bench.service")

#: The file of a start with what was accepted, a line a task.
ACCEPTED: Final = "accepted.jsonl"


class Accepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of a task beside its request, before its client is told of it; a line of `accepted.jsonl`.

    Attributes:
        task_id: Its id, as its client knows it.
        kind: As it was asked for.
        path: As it was asked for.
        created_at: UTC time of the acceptance.
        digest: What tells one request from another.
        user_id: Whose idempotency key it is.
        key: The idempotency key, if there was one.
    """

    task_id: str
    kind: Kind
    path: Path
    created_at: str
    digest: str
    user_id: str = ""
    key: str | None = None


class _Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a record says of how its task stands."""

    custom_id: str | None
    status: Status
    error: ErrorInfo | None
    started_at: str
    service_s: float
    chunks: int | None
    attempts: tuple[AttemptGlimpse, ...]
    cached: bool


class PastTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of an earlier start.

    Attributes:
        task_id: Its id.
        state: How it ended.
        ended_ns: When it ended, on this start's clock; of one without a record, when its start last kept anything.
        view_at_end: How it stands.
        retryable: Whether asking again is worth a try.
    """

    task_id: str
    state: State
    ended_ns: int
    view_at_end: TaskView
    retryable: bool

    @property
    def last_event(self) -> Event | None:
        """All that is left of what its readers were told: why it has no answer, if it has none."""
        error = self.view_at_end.error
        if error is None:
            return None
        return Event(1, "error", {"code": error.code, "message": error.message, "retryable": self.retryable})


def past_tasks(folder: FilePath, *, within_s: float, now_ns: int) -> list[tuple[PastTask, Key | None, str]]:
    """Return the tasks of earlier starts with their idempotency keys and digests, in the order of their ends.

    Args:
        folder: The folder of the service's starts.
        within_s: Starts that kept nothing for so long are left out.
        now_ns: The present, on this start's clock.
    """
    now = utc_now()
    tasks: list[tuple[PastTask, Key | None, str]] = []
    for accepted in sorted(folder.glob(f"*/{ACCEPTED}")):
        try:
            last = _last_sign(accepted)
            if now - last <= timedelta(seconds=within_s):
                tasks += _of_start(accepted, last, now, now_ns)
        except (JournalError, OSError) as error:
            _log.warning("the tasks of an earlier start are not known: %s", error)
    return sorted(tasks, key=lambda task: task[0].ended_ns)


def _last_sign(accepted: FilePath) -> datetime:
    """Return when a start last kept anything."""
    files = (accepted, accepted.with_name(TASKS))
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files if file.exists()), UTC)


def _of_start(
    accepted: FilePath, last: datetime, now: datetime, now_ns: int
) -> Iterator[tuple[PastTask, Key | None, str]]:
    records = {each.custom_id: each for each in _decoded(accepted.with_name(TASKS), _Recorded)}
    for each in _decoded(accepted, Accepted):
        record = records.get(each.task_id)
        ended = last if record is None else _ended(record)
        view = _interrupted(each) if record is None else _recorded(each, record, ended)
        task = PastTask(
            task_id=each.task_id,
            state=view.state,
            ended_ns=now_ns - int((now - ended).total_seconds() * NS_PER_S),
            view_at_end=view,
            retryable=KILLED.retryable if record is None else record.error is not None and record.error.retryable,
        )
        yield task, None if each.key is None else Key(each.user_id, each.key), each.digest


def _ended(record: _Recorded) -> datetime:
    return datetime.fromisoformat(record.started_at) + timedelta(seconds=record.service_s)


def _interrupted(accepted: Accepted) -> TaskView:
    return TaskView(
        task_id=accepted.task_id,
        kind=accepted.kind,
        path=accepted.path,
        state=KILLED.state,
        position=None,
        created_at=accepted.created_at,
        started_at=None,
        ended_at=None,
        chunks=None,
        error=TaskError(KILLED.code, KILLED.message),
    )


def _recorded(accepted: Accepted, record: _Recorded, ended: datetime) -> TaskView:
    return TaskView(
        task_id=accepted.task_id,
        kind=accepted.kind,
        path=accepted.path,
        state=state_of(record.status, record.error),
        position=None,
        created_at=accepted.created_at,
        started_at=record.started_at if record.attempts or record.cached else None,
        ended_at=utc_label(ended),
        chunks=record.chunks,
        error=None if record.error is None else told(record.error),
    )


def _decoded(path: FilePath, kind: type[T]) -> Iterator[T]:
    """Yield the lines of a file as records, or nothing where it was never made."""
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(iter_lines(path), 1):
        yield decode_line(decoder, line, path, number)
