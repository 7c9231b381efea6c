"""How slots that pause learn that there may be something to do before their pause is over."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: No pause is longer: a run that stops is seen within this, and so is a ring that came just before the pause.
_LONGEST_S: Final = 0.25

#: One tick of an event loop's timers.
_TICK_S: Final = 0.001

#: How many pauses a ring ends: one place came free, and one more may have been given.
_WOKEN: Final = 2


class Bell:
    """Rings when a task came back: its place is free, or it is to be tried again. From any thread."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
        self._listeners: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        """Show how many listen beside those that wait."""
        return f"<Bell {len(self._listeners)} listeners>"

    def ring(self) -> None:
        """End some pauses."""
        with self._rung:
            self._rung.notify(_WOKEN)
        for listener in self._listeners:
            listener()

    def wait(self, until_ns: int) -> None:
        """Pause this thread until an instant, a ring, or for a quarter of a second, whichever comes first."""
        with self._rung:
            self._rung.wait(_left_s(until_ns))

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` at each ring inside the block, in the thread that rings."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)


class LoopPauses:
    """The pauses of one event loop's slots."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[asyncio.Future[None], None] = {}

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<LoopPauses {len(self._waiting)}>"

    async def wait(self, until_ns: int) -> None:
        """Pause this coroutine as `Bell.wait` does a thread."""
        over: asyncio.Future[None] = self._loop.create_future()
        self._waiting[over] = None
        timer = self._loop.call_later(timer_s(until_ns), _end, over)
        try:
            await over
        finally:
            timer.cancel()
            self._waiting.pop(over, None)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Inside the block, end pauses when the bell rings."""
        with self._bell.heard_by(self._on_ring):
            yield

    def _on_ring(self) -> None:
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for over in list(self._waiting)[:_WOKEN]:
            self._waiting.pop(over)
            _end(over)


def timer_s(until_ns: int) -> float:
    """Return after how many seconds an event loop is to end a pause until an instant, if no ring ends it before."""
    # uvloop rounds to its tick, which may be early: the slot would ask again and again until the time has come.
    return _left_s(until_ns) + _TICK_S


def _end(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def _left_s(until_ns: int) -> float:
    return min(_LONGEST_S, max(0.0, (until_ns - time.perf_counter_ns()) / NS_PER_S))
