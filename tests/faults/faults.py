"""What a fault is: how a server plays it, and what the task that meets it may end as."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.wire import HELLO, streamed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faultserver import Exchange, Script

    #: Plays a fault for the n-th request (from 0) that one task makes.
    Play = Callable[[Exchange, int], Awaitable[None]]

#: How a whole answer is called among the names of failures.
OK: Final = "ok"

#: What another attempt may mend. Listed here anew: a test that asked the program would agree with whatever it does.
TRIED_AGAIN: Final = frozenset(
    {
        "bad_sse",
        "connect",
        "dns",
        "empty",
        "error_in_200",
        "server_error",
        "stream_reset",
        "timeout_connect",
        "timeout_idle",
        "timeout_ttft",
        "truncated",
    }
)

#: Attempts after the first, in every run with faults: enough to see which failures are tried again.
RETRIES: Final = 1


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that one task of a run meets.

    Attributes:
        row: Its row in the table of faults.
        name: What it is, in words; the prompt of the task that is to meet it.
        play: How the server answers.
        ends: What the task may end as: `ok` or a type of error.
        attempts: How many the task may make; None: one, and one more if another attempt may mend the error.
        unanswered: Whether not a byte of an answer comes: over a kept connection a client may then ask once more.
        content: The text that the task's record has; None: whatever it is.
        words: What the error's message has, where its type does not tell which limit was reached.
        gap_s: How long the server must be left alone between the first request and the next, in seconds.
    """

    row: str
    name: str
    play: Play
    ends: tuple[str, ...]
    attempts: int | None = None
    content: str | None = None
    words: str = ""
    gap_s: float = 0.0
    unanswered: bool = False

    def attempts_for(self, end: str) -> int:
        """Return how many attempts a task that ended so must have made."""
        if self.attempts is not None:
            return self.attempts
        return 1 + RETRIES if end in TRIED_AGAIN else 1


def fault(
    row: str,
    name: str,
    script: Script,
    *ends: str,
    content: str | None = None,
    words: str = "",
    unanswered: bool = False,
) -> Fault:
    """Return a fault that is there at every attempt."""

    async def play(exchange: Exchange, _nth: int) -> None:
        await script(exchange)

    return Fault(row=row, name=name, play=play, ends=ends, content=content, words=words, unanswered=unanswered)


def passing(row: str, name: str, script: Script, *, times: int = 1, gap_s: float = 0.0) -> Fault:
    """Return a fault that is there for the first attempts only; the next one is answered."""

    async def play(exchange: Exchange, nth: int) -> None:
        if nth < times:
            await script(exchange)
        else:
            await exchange.send(streamed(*HELLO))

    return Fault(row=row, name=name, play=play, ends=(OK,), attempts=times + 1, gap_s=gap_s, content="你好👋")


@dataclass
class Visit:
    """A request at the server: the instants at which it came and at which its play was over, `perf_counter_ns`."""

    came_ns: int
    over_ns: int | None = None


class Stage:
    """A server's script: plays the fault that the prompt names, and notes who came when.

    Args:
        faults: The faults.
        watch: Called when a request has come, and when its play is over.

    Attributes:
        visits: The requests of each prompt.
    """

    def __init__(self, faults: tuple[Fault, ...], watch: Callable[[], None] = lambda: None) -> None:
        self._plays = {fault.name: fault.play for fault in faults}
        self._watch = watch
        self.visits: defaultdict[str, list[Visit]] = defaultdict(list)

    async def __call__(self, exchange: Exchange) -> None:
        """Play."""
        prompt = prompt_of(exchange)
        visits = self.visits[prompt]
        visit = Visit(time.perf_counter_ns())
        visits.append(visit)
        self._watch()
        try:
            await self._plays[prompt](exchange, len(visits) - 1)
        finally:
            visit.over_ns = time.perf_counter_ns()
            self._watch()


def prompt_of(exchange: Exchange) -> str:
    """Return the prompt of a request."""
    body = json.loads(exchange.body)
    return str(body["messages"][-1]["content"])
