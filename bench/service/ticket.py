"""One accepted task: how it stands, and what its readers are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S, utc_label, utc_now
from bench.service.events import Ring
from bench.service.reasons import state_of, told
from bench.service.values import TaskError, TaskView
from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bench.records import JsonObject, TaskResult
    from bench.service.events import Reading
    from bench.service.reasons import Reason
    from bench.service.values import Kind, Path, State, Wish

#: A reader is told how far an answer has come at most this often.
_PROGRESS_EVERY_NS: Final = NS_PER_S


class Ticket:
    """A task from its acceptance until nobody asks for it any more; on the service's event loop.

    Args:
        task_id: Its id, which cannot be guessed.
        index: Its place among the tasks of this start, from 0.
        wish: What was asked for; neither its prompt nor its key is kept.
        now_ns: When it was accepted.
        reading: Called when something has happened to its readers; see `Ring`.

    Attributes:
        stop: Raised when its call is to be given up.
        can_return: Whether its client can come back to it: it named its request.
        given_up: Why it was given up, if it was.
        chunks: Pieces of text that have come.
        ended_ns: When its end was told; None before.
    """

    def __init__(
        self, task_id: str, index: int, wish: Wish, now_ns: int, reading: Callable[[Ticket, Reading], None]
    ) -> None:
        self.task_id = task_id
        self.index = index
        self.kind: Kind = wish.kind
        self.path: Path = wish.path
        self.ring = Ring(lambda what: reading(self, what))
        self.stop = StopSignal()
        self.can_return = wish.idempotency_key is not None
        self.given_up: Reason | None = None
        self.state: State = "queued"
        self.created_ns = now_ns
        self.created_at = utc_label(utc_now())
        self.began_ns: int | None = None
        self.ended_ns: int | None = None
        self._began_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._error: TaskError | None = None
        self.chunks = 0
        self._characters = 0
        self._progress_ns = now_ns

    def __repr__(self) -> str:
        """Show how it stands."""
        return f"<Ticket {self.task_id} {self.state} {self.ring!r}>"

    @property
    def record_id(self) -> str:
        """Its id in the records of this start; see `Task.task_id`."""
        return f"{self.index}-i0-v0"

    @property
    def is_over(self) -> bool:
        """Whether its end was told; its call may still be closing."""
        return self.ended_ns is not None

    def accepted(self, position: int, reconnect_grace_s: float) -> None:
        """Tell that it was accepted."""
        self.ring.add(
            "start",
            {
                "task_id": self.task_id,
                "kind": self.kind,
                "path": self.path,
                "position": position,
                "created_at": self.created_at,
                "reconnect_grace_s": reconnect_grace_s,
            },
        )

    def begin(self, now_ns: int) -> None:
        """Tell that it is being answered."""
        self.state = "running"
        self.began_ns = now_ns
        self._began_at = utc_now()
        self._tell_progress(now_ns)

    def write(self, text: str, now_ns: int) -> None:
        """Tell a piece of the answer."""
        if self.is_over:
            return
        self.chunks += 1
        self._characters += len(text)
        self.ring.add("chunk", {"text": text})
        if now_ns - self._progress_ns >= _PROGRESS_EVERY_NS:
            self._tell_progress(now_ns)

    def give_up(self, reason: Reason, now_ns: int) -> None:
        """Tell that it is given up; its record comes once its call is closed."""
        if self.is_over:
            return
        self.given_up = reason
        self._end(reason.state, now_ns, TaskError(reason.code, reason.message), retryable=reason.retryable)

    def settle(self, result: TaskResult, now_ns: int) -> None:
        """Take its record: what it came to, unless that was told before."""
        if self.is_over:
            return
        if result.error is not None:
            self._end(
                state_of(result.status, result.error), now_ns, told(result.error), retryable=result.error.retryable
            )
            return
        if not self.chunks and result.content:
            self.write(result.content, now_ns)  # it was there already, or came in one piece
        self._end("succeeded", now_ns, None)
        self.ring.add("complete", _complete(result))
        self.ring.close()

    def view(self, position: int | None) -> TaskView:
        """Return how it stands."""
        return TaskView(
            task_id=self.task_id,
            kind=self.kind,
            path=self.path,
            state=self.state,
            position=position if self.state == "queued" else None,
            created_at=self.created_at,
            started_at=_label(self._began_at),
            ended_at=_label(self._ended_at),
            chunks=self.chunks,
            error=self._error,
        )

    def _end(self, state: State, now_ns: int, error: TaskError | None, *, retryable: bool = False) -> None:
        self.state = state
        self.ended_ns = now_ns
        self._ended_at = utc_now()
        self._error = error
        if error is not None:
            self.ring.add("error", {"code": error.code, "message": error.message, "retryable": retryable})
            self.ring.close()

    def _tell_progress(self, now_ns: int) -> None:
        self._progress_ns = now_ns
        self.ring.add(
            "progress",
            {
                "state": self.state,
                "chunks": self.chunks,
                "characters": self._characters,
                "elapsed_s": round((now_ns - self.created_ns) / NS_PER_S, 3),
            },
        )


def _label(instant: datetime | None) -> str | None:
    return None if instant is None else utc_label(instant)


def _complete(result: TaskResult) -> JsonObject:
    """Return what is told of a whole answer."""
    return {
        "finish_reason": result.finish_reason,
        "usage": {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "source": result.token_source,
        },
        "timings": {
            "queue_s": result.queue_s,
            "ttft_s": result.ttft_s,
            "service_s": result.service_s,
            "total_s": result.latency_s,
        },
        "provider": result.provider,
        "model": result.server_model or result.model,
        "cached": result.cached,
    }
