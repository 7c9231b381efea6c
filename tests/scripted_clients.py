"""Clients for tests that answer from a script on a virtual clock: one player, and a face of it for either driver."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.clients._base import Reply, Request, Sink
from bench.errors import CallError, ErrorType
from tests.clocks import NS_PER_S, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.stop import StopSignal


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one call comes to; by default an answer in three chunks after 0.1 s.

    Attributes:
        lasts_s: How long the call takes, unless the deadline or a cancellation comes first.
        raises: An exception that the client must not raise, but does.
    """

    error: ErrorType | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    lasts_s: float = 0.1
    content: str = "answer"
    chunks: int = 3
    raises: Exception | None = None


@dataclass
class Player:
    """Plays a script, a line a call, the last one again for every further call.

    Attributes:
        calls: (sent, ended) of every call, in nanoseconds.
    """

    script: Sequence[Line]
    clock: VirtualClock
    stop: StopSignal
    calls: list[tuple[int, int]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def play(self, request: Request, deadline_ns: int) -> Reply:
        """Take the time that the next line takes and return what it comes to."""
        line = self.script[min(len(self.calls), len(self.script) - 1)]
        sent_ns = self.clock.now_ns()
        end_ns = sent_ns + round(line.lasts_s * NS_PER_S)
        whole = self.clock.advance_to(min(end_ns, deadline_ns), lambda: self.stop.cancelled)
        self.calls.append((sent_ns, self.clock.now_ns()))
        self.requests.append(request)
        if line.raises is not None:
            raise line.raises
        if not whole:
            error = CallError("cancelled", "the run was stopped")
            return Reply(sent_ns=sent_ns, end_ns=self.clock.now_ns(), error=error, cancelled=True)
        if end_ns > deadline_ns:
            error = CallError("timeout_total", "the task's time is up")
            return Reply(sent_ns=sent_ns, end_ns=deadline_ns, error=error)
        return _reply(line, sent_ns, end_ns)


def _reply(line: Line, sent_ns: int, end_ns: int) -> Reply:
    if line.error is not None:
        error = CallError(line.error, "as the script says", line.http_status, line.retry_after_s)
        return Reply(sent_ns=sent_ns, end_ns=end_ns, error=error, http_status=line.http_status)
    step_ns = (end_ns - sent_ns) // (line.chunks + 1)
    return Reply(
        sent_ns=sent_ns,
        end_ns=end_ns,
        http_status=200,
        content=line.content,
        finish_reason="stop",
        prompt_tokens=7,
        completion_tokens=line.chunks,
        token_source="server",
        content_ns=tuple(sent_ns + step_ns * number for number in range(1, line.chunks + 1)),
    )


class SyncScripted:
    """A `SyncClient` that plays a script."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def call(self, request: Request, deadline_ns: int) -> Reply:
        """Play the next line."""
        return self._player.play(request, deadline_ns)

    def cancel_all(self) -> None:
        """Do nothing: the player itself watches the stop."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class AsyncScripted:
    """An `AsyncClient` that plays a script."""

    def __init__(self, player: Player) -> None:
        self._player = player

    async def call(
        self,
        request: Request,
        deadline_ns: int,
        sink: Sink | None = None,  # noqa: ARG002 - nobody looks on
    ) -> Reply:
        """Play the next line, and let the loop deliver a cancellation."""
        reply = self._player.play(request, deadline_ns)
        await asyncio.sleep(0)
        return reply

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""
