"""The scripted client: answers in this process, by a function of the request, after a given time; no network, no SDK.

It shows what everything around a client costs, and stands in for one where only the way of a task is looked at.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clients._base import Timeouts
from bench.clients._collect import Collector
from bench.clock import NS_PER_S
from bench.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clients._base import Reply, Request, Sink


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is to come back for one request.

    Attributes:
        chunks: The answer's text, piece by piece.
        finish_reason: Its finish reason.
        error: Why the answer breaks off after its chunks; None if it does not.
        ttft_s: Time to the first chunk, in seconds.
        gap_s: Time from each chunk to the next, in seconds.
        prompt_tokens: Tokens that the request is said to have.
    """

    chunks: tuple[str, ...] = ("one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight")
    finish_reason: str | None = "stop"
    error: CallError | None = None
    ttft_s: float = 0.0
    gap_s: float = 0.0
    prompt_tokens: int | None = 8


#: Made once: an instant answer is asked for when the cost of everything else is measured.
_INSTANT: Final = Answer()

_NO_LIMITS: Final = Timeouts(ttft_s=1e9, idle_s=1e9)


def instant_answer(request: Request) -> Answer:  # noqa: ARG001 - a script is asked with the request
    """Answer the same eight words at once, whatever was asked."""
    return _INSTANT


class ScriptedSyncClient:
    """Answers calls from threads.

    Args:
        script: Says what comes back for a request; called in the thread of the call.
    """

    def __init__(self, script: Callable[[Request], Answer] = instant_answer) -> None:
        self._script = script
        self._cancelled = threading.Event()

    def call(self, request: Request, deadline_ns: int) -> Reply:
        """Answer one request when its time has come, at the latest at `deadline_ns` on `perf_counter_ns`."""
        play = _Play(request, self._script(request), deadline_ns)
        if play.left_s > 0:
            self._cancelled.wait(play.left_s)
        return play.reply(cancelled=self._cancelled.is_set())

    def cancel_all(self) -> None:
        """Give up every call under way, from any thread, and every later one."""
        self._cancelled.set()

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class ScriptedAsyncClient:
    """Answers calls on an event loop.

    Args:
        script: Says what comes back for a request; called on the event loop.
    """

    def __init__(self, script: Callable[[Request], Answer] = instant_answer) -> None:
        self._script = script

    async def call(self, request: Request, deadline_ns: int, sink: Sink | None = None) -> Reply:
        """Answer one request when its time has come, at the latest at `deadline_ns` on `perf_counter_ns`."""
        play = _Play(request, self._script(request), deadline_ns, sink)
        if sink is not None:
            await play.shown()
        # Waits even for an instant answer, as a client with a network does: other tasks get their turn.
        await asyncio.sleep(play.left_s)
        return play.reply(cancelled=False)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


class _Play:
    """One answer on its way. Chunks bear the instants at which they were due, not those at which the thread woke up."""

    def __init__(self, request: Request, answer: Answer, deadline_ns: int, sink: Sink | None = None) -> None:
        sent_ns = time.perf_counter_ns()
        first_ns, gap_ns = sent_ns + int(answer.ttft_s * NS_PER_S), int(answer.gap_s * NS_PER_S)
        self._instants_ns = [first_ns + place * gap_ns for place in range(max(1, len(answer.chunks)))]
        self._answer = answer
        self._stream = request.stream
        self._deadline_ns = deadline_ns
        self._collector = Collector(
            stream=request.stream, timeouts=_NO_LIMITS, sent_ns=sent_ns, deadline_ns=deadline_ns, sink=sink
        )
        self._fed = 0

    @property
    def left_s(self) -> float:
        """How long to wait for the end of the answer or of the time allowed, in seconds."""
        return max(0, min(self._instants_ns[-1], self._deadline_ns) - time.perf_counter_ns()) / NS_PER_S

    async def shown(self) -> None:
        """Feed the chunks of a stream as they become due, until the last one or the end of the time allowed."""
        for instant_ns in self._instants_ns if self._stream else ():
            if instant_ns > self._deadline_ns:
                return
            await asyncio.sleep(max(0, instant_ns - time.perf_counter_ns()) / NS_PER_S)
            self._feed(instant_ns)

    def reply(self, *, cancelled: bool) -> Reply:
        """Return what has come by now."""
        answer, collector = self._answer, self._collector
        end_ns = time.perf_counter_ns()
        until_ns = min(end_ns, self._deadline_ns)
        whole = self._instants_ns[-1] <= until_ns
        if self._stream:
            self._feed(until_ns)
        elif whole:
            collector.on_answer("".join(answer.chunks), None)
        if not whole:
            collector.fail(collector.timed_out())
        elif answer.error is not None:
            collector.fail(answer.error)
        else:
            collector.finish_reason = answer.finish_reason
            collector.http_status = 200
            collector.on_usage(answer.prompt_tokens, len(answer.chunks), None)
        return collector.finish(end_ns, cancelled=cancelled)

    def _feed(self, until_ns: int) -> None:
        """Feed the chunks that were due by an instant and were not fed before."""
        for text, instant_ns in list(zip(self._answer.chunks, self._instants_ns, strict=False))[self._fed :]:
            if instant_ns > until_ns:
                return
            self._collector.on_chunk(instant_ns, text, None, None)
            self._fed += 1
