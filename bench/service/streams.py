"""A task's events as they leave: one server-sent event each, at once, with a sign of life in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from bench.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from bench.service.values import Event, EventName

#: What stands between server and reader (a proxy, a browser) may close a connection that is silent for longer.
KEEP_ALIVE_S: Final = 15.0

#: What no event follows.
_LAST: Final[frozenset[EventName]] = frozenset(("complete", "error"))

_KEEP_ALIVE: Final = b": keep-alive\n\n"

_HEADERS: Final = {
    "Cache-Control": "no-store",
    # Without it nginx would collect events before it passes them on.
    "X-Accel-Buffering": "no",
}

_encode: Final = msgspec.json.Encoder().encode


def encoded(event: Event) -> bytes:
    """Return an event as it is sent; JSON holds no line ends, so that its data is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.number, event.name.encode(), _encode(event.data))


class EventStream(Response):
    """The answer that follows a task.

    It is one task of its own that sends, and one that notices when the reader is gone: then the events are not asked
    for any more, which is how the desk learns of it.

    Args:
        events: The task's events; closed at the end.
        headers: Headers besides those that every stream has.
        first_text: Called with how long the first piece of text took, in seconds.
        keep_alive_s: How long there may be nothing to send, in seconds.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Event, None],
        headers: Mapping[str, str],
        *,
        first_text: Callable[[float], None] | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        super().__init__(headers={**_HEADERS, **headers})
        # The length is not known, which `Response` takes for zero.
        del self.headers["content-length"]
        self._events = events
        self._began_ns = time.perf_counter_ns()
        self._first_text = first_text
        self._keep_alive_s = keep_alive_s

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more or the reader is gone; see ASGI."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send_all(send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            while not (sending.done() or gone.done()):
                done, _ = await asyncio.wait(
                    (sending, gone), timeout=self._keep_alive_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    await _send(send, _KEEP_ALIVE)
        finally:
            for each in (sending, gone):
                each.cancel()
            await asyncio.wait((sending, gone))
            await self._events.aclose()
        if not sending.cancelled():
            sending.result()

    async def _send_all(self, send: Send) -> None:
        async for event in self._events:
            if self._first_text is not None and event.name == "chunk":
                self._first_text((time.perf_counter_ns() - self._began_ns) / NS_PER_S)
                self._first_text = None
            is_last = event.name in _LAST
            await _send(send, encoded(event), more=not is_last)
            if is_last:
                return
        await _send(send, b"", more=False)


async def _send(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _gone(receive: Receive) -> None:
    """Return when the reader has left."""
    # A server may say so by an error.
    with contextlib.suppress(OSError):
        while (await receive())["type"] != "http.disconnect":
            pass
