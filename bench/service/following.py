"""One task of the service as its client sees it: what to ask next, and what came of it. No I/O and no clock."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from bench.clients.retry_after import retry_after_s
from bench.clients.server_events import ServerEvents
from bench.clients.service_addresses import CHAT, GENERATE, OPTIMIZE, POOLED
from bench.clock import utc_now
from bench.errors import CallError, LostError, RefusedError, error_type_of_status
from bench.policy.retry import GiveUp, next_wait
from bench.service.values import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.policy.retry import RetryPolicy
    from bench.service.values import Path

#: What a client may ask for over HTTP.
Asked = Literal["chat", "generate", "optimize"]

#: Where each kind is asked for, and what is added there for each path.
ADDRESSES: Final[Mapping[Asked, str]] = {"chat": CHAT, "generate": GENERATE, "optimize": OPTIMIZE}
ENDINGS: Final[Mapping[Path, str]] = {"direct": "", "pooled": POOLED}

_OK: Final = 200


class Ask(NamedTuple):
    """A request to the service."""

    method: str
    address: str
    headers: dict[str, str]
    body: bytes


class Following:
    """A task that is begun once and followed to its end, over as many connections as that takes.

    A driver sends what `ask` says, gives the answer to `head` and `take`, and after each connection that failed waits
    as `wait_s` says, until `is_over`. The task is begun with a key of its own, so that a request whose answer was lost
    begins no second one and the task waits for its client to come back; once its id is known, its stream is taken up
    behind the last event that came.

    Args:
        kind: What is wanted.
        body: The particulars, as the service takes them.
        path: `direct` or `pooled`.
        policy: How often a failed connection in succession, or a refusal, is tried again, and after which waits.
    """

    def __init__(self, kind: Asked, body: Mapping[str, object], path: Path, policy: RetryPolicy) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        self._begin = Ask("POST", ADDRESSES[kind] + ENDINGS[path], headers, msgspec.json.encode(body))
        self._policy = policy
        self._events = ServerEvents()
        self._last = 0
        self._failed = 0
        self._refusal: str | None = None
        self.task_id: str | None = None
        self.is_over = False

    def ask(self) -> Ask:
        """Return the request that begins the task, or takes it up again."""
        self._events = ServerEvents()
        self._refusal = None
        if self.task_id is None:
            return self._begin
        return Ask("GET", f"/tasks/{self.task_id}/stream", {"Last-Event-ID": str(self._last)}, b"")

    def leave(self) -> Ask | None:
        """Return the request that ends a task whose client does not come back; None where there is none to end."""
        if self.task_id is None or self.is_over:
            return None
        return Ask("DELETE", f"/tasks/{self.task_id}", {}, b"")

    def head(self, http_status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Take an answer's head, and of a refusal the body.

        Args:
            http_status: Its status.
            headers: Its headers, by lower-case name.
            body: Empty where the answer is a stream.

        Raises:
            CallError: It is no stream of events.
        """
        if http_status != _OK:
            asked_s = retry_after_s(headers, utc_now().timestamp())
            error_type = error_type_of_status(http_status)
            self._refusal, message = _said(body) or (error_type, "the answer is none of the service's")
            raise CallError(error_type, f"HTTP {http_status}: {message}", http_status, asked_s)
        kind = headers.get("content-type", "none")
        if not kind.startswith("text/event-stream"):
            raise CallError("bad_content_type", f"content type {kind[:80]}, not text/event-stream: is it the service?")
        self.task_id = headers.get("x-task-id", self.task_id)

    def take(self, data: bytes, *, left_s: float) -> Iterator[Event]:
        """Yield the events that are whole with these bytes; those that came before a break are not yielded again.

        Args:
            data: What has come; the service's signs of life are among it.
            left_s: Time that the client has left for the task.

        Raises:
            CallError: It is no stream of the service's events.
            LostError: No time is left.
        """
        if left_s <= 0:
            raise LostError("timeout_total", "the time that its client had for it is over", self.task_id)
        for fields in self._events.take(data):
            event = _event(fields)
            if event.number <= self._last:
                continue
            self._last = event.number
            self._failed = 0
            self.is_over = event.name in {"complete", "error"}
            yield event

    def end(self) -> None:
        """Take the end of a connection.

        Raises:
            CallError: The task is not over.
        """
        if not self.is_over:
            raise CallError("truncated", "the stream ended before the task did")

    def wait_s(self, failure: CallError, *, left_s: float, draw: float) -> float:
        """Return the wait in seconds after a connection that failed.

        Args:
            failure: What went wrong.
            left_s: Time that the client has left for the task.
            draw: A random number in [0, 1).

        Raises:
            RefusedError: No further try: the service answered, and there is no task.
            LostError: No further try: what became of the task is not known.
        """
        self._failed += 1
        decision = next_wait(
            self._policy,
            failed=self._failed,
            retryable=failure.retryable,
            retry_after_s=failure.retry_after_s,
            left_s=left_s,
            draw=draw,
        )
        if not isinstance(decision, GiveUp):
            return decision
        message = f"{failure.message}; {decision.reason}" if decision.reason else failure.message
        if self.task_id is None and self._refusal is not None:
            raise RefusedError(self._refusal, message) from failure
        raise LostError(failure.error_type, message, self.task_id) from failure


class _Facts(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Problem(msgspec.Struct, frozen=True):
    error: _Facts


def _event(fields: Mapping[bytes, bytes]) -> Event:
    try:
        told = {
            "number": int(fields.get(b"id", b"")),
            "name": fields.get(b"event", b"").decode(),
            "data": msgspec.json.decode(fields[b"data"]),
        }
        return msgspec.convert(told, Event)
    except (ValueError, msgspec.MsgspecError) as error:
        raise CallError("bad_sse", f"an event that is none of the service's: {error}") from error


def _said(body: bytes) -> tuple[str, str] | None:
    """Return code and message of a refusal; None where the body is none of the service's."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return problem.error.code, problem.error.message
