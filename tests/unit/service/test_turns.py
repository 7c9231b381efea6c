"""Requests that come together are begun in order, a few in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, cast

import uvloop

from bench.service.turns import Turns

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

#: Requests in the test, and how many of them may be begun in one turn.
COUNT = 30
MOST = 4


class Turning:
    """An application that notes which request it was given in which turn of the loop."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self._turn = 0
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._next)

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Note a request."""
        self.begun.append((scope["number"], self._turn))

    def _next(self) -> None:
        self._turn += 1
        self._loop.call_soon(self._next)


async def _receive() -> Message:
    return {}


async def _send(_message: Message) -> None:
    pass


def ask(turns: Turns, number: int) -> asyncio.Task[None]:
    """Let a request come."""
    return asyncio.get_running_loop().create_task(turns(cast("Scope", {"number": number}), _receive, _send))


def test_a_crowd_is_begun_a_few_at_a_time_and_in_order() -> None:
    """Of thirty requests that come in one instant four are begun in each turn of the loop, in the order of their
    coming; one that is given up while it waits takes nobody's place, and who comes later begins at once.
    """

    async def work() -> None:
        app = Turning()
        turns = Turns(app)
        asked = [ask(turns, number) for number in range(COUNT)]
        await asyncio.sleep(0)
        assert repr(turns) == f"<Turns {COUNT - MOST} waiting>"
        asked[MOST].cancel()
        await asyncio.wait(asked)
        numbers, at = zip(*app.begun, strict=True)
        assert list(numbers) == [number for number in range(COUNT) if number != MOST]
        assert [*Counter(at).values()] == [4, 4, 4, 4, 4, 4, 4, 1]
        assert [*at] == sorted(at)
        await asyncio.sleep(0)
        later = ask(turns, COUNT)
        await asyncio.sleep(0)
        assert app.begun[-1][0] == COUNT
        await later

    for loops in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=loops) as runner:
            runner.run(work())
