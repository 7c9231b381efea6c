"""What a task of the service came to, gathered from its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench.errors import TaskFailedError

if TYPE_CHECKING:
    from bench.service.values import Event


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a task; None where nobody counted them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    source: str | None = None


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task's time went, as the service measured it, in seconds; None where it did not."""

    queue_s: float | None = None
    ttft_s: float | None = None
    service_s: float | None = None
    total_s: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A task that ended well.

    Attributes:
        task_id: Its id.
        text: The whole text.
        finish_reason: Why the model stopped.
        provider: Who answered.
        model: Which model.
        cached: Whether the answer had been kept from an earlier time.
        usage: Its tokens.
        timings: Its times.
    """

    task_id: str
    text: str
    finish_reason: str | None = None
    provider: str | None = None
    model: str | None = None
    cached: bool = False
    usage: Usage = Usage()
    timings: Timings = Timings()


class Gathering:
    """Collects a task's events until it is over."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._task_id = ""
        self._last: Event | None = None

    def add(self, event: Event) -> None:
        """Take the next event."""
        self._last = event
        if event.name == "chunk":
            self._texts.append(str(event.data["text"]))
        elif event.name == "start":
            self._task_id = str(event.data["task_id"])

    def result(self) -> Result:
        """Return what the task came to.

        Raises:
            TaskFailedError: It ended with an error, or without an end.
        """
        if self._last is None or self._last.name != "complete":
            data = {} if self._last is None else self._last.data
            code, message = (str(data.get(name, "truncated")) for name in ("code", "message"))
            raise TaskFailedError(code, message, self._task_id or None)
        told = {**self._last.data, "task_id": self._task_id, "text": "".join(self._texts)}
        return msgspec.convert(told, Result)
