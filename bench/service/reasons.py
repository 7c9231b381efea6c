"""Why tasks are given up, in the words of the service and of its records; and what a record says of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.errors import CallError
from bench.service.values import State, TaskError

if TYPE_CHECKING:
    from bench.records import ErrorInfo, Status


class Reason(msgspec.Struct, frozen=True):
    """Why a task was given up.

    Attributes:
        code: The word for programs.
        message: The sentence for people, which stands in the record too.
        state: How the task ends.
        retryable: Whether asking again is worth a try.
    """

    code: str
    message: str
    state: State = "cancelled"
    retryable: bool = False

    @property
    def error(self) -> CallError:
        """The same as a record has it."""
        return CallError("dropped" if self.state == "timed_out" else "cancelled", self.message)


CANCELLED: Final = Reason("cancelled", "the task was cancelled on request")
CLIENT_GONE: Final = Reason("client_gone", "nobody read the answer any more")
SLOW_READER: Final = Reason("slow_reader", "the stream was read so slowly that it could not be kept")
QUEUE_TIMEOUT: Final = Reason("queue_timeout", "no slot was free in time", "timed_out", retryable=True)
STOPPED: Final = Reason("interrupted", "the service was stopped", retryable=True)

#: Of a task that an earlier start accepted and left no record of.
KILLED: Final = Reason("interrupted", "the service ended while the task was under way", "failed", retryable=True)

#: By their sentences, as records have them.
_REASONS: Final = {
    reason.message: reason for reason in (CANCELLED, CLIENT_GONE, SLOW_READER, QUEUE_TIMEOUT, STOPPED, KILLED)
}

#: What a client is told of a bug: the particulars are the log's.
_BUG: Final = "this service failed at the task; its log says more"


def state_of(status: Status, error: ErrorInfo | None) -> State:
    """Return the state of a task whose record says this."""
    if error is None:
        return "succeeded"
    if error.type in {"timeout_total", "dropped"}:
        return "timed_out"
    return "cancelled" if status == "cancelled" else "failed"


def told(error: ErrorInfo) -> TaskError:
    """Return what is told of an error in a record."""
    reason = _REASONS.get(error.message)
    if reason is not None:
        return TaskError(reason.code, reason.message)
    return TaskError(error.type, _BUG if error.type == "internal" else error.message)
