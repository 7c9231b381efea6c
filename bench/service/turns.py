"""The order in which requests that came together are begun: a few in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

#: Requests that are begun in one turn. What arrives meanwhile for open streams waits for all of them, a millisecond
#: each; with fewer, what a turn costs by itself is felt.
_IN_A_TURN: Final = 4


class Turns:
    """Begins requests in the order of their coming, a few in each turn of the event loop.

    Requests that come together would else all be worked on before the first of them is sent on to its provider.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._begun = 0

    def __repr__(self) -> str:
        """Show how many requests wait."""
        return f"<Turns {len(self._waiting)} waiting>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, at once where this turn has room for it; see ASGI."""
        loop = asyncio.get_running_loop()
        if self._begun < _IN_A_TURN:
            self._begin(loop)
        else:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            await turn
        await self._app(scope, receive, send)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun += 1
        if self._begun == 1:
            loop.call_soon(self._go_on, loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin those that have waited longest; a request that was given up takes nobody's place."""
        self._begun = 0
        while self._waiting and self._begun < _IN_A_TURN:
            turn = self._waiting.popleft()
            if not turn.done():
                self._begin(loop)
                turn.set_result(None)
