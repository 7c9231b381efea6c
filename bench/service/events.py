"""A task's events: bounded, numbered from 1, and followed by any number of readers at their own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from bench.service.refusals import EventsGone
from bench.service.values import Event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bench.records import JsonObject
    from bench.service.values import EventName

#: What has happened to the readers of a task.
Reading = Literal["came", "left", "lapsed"]

#: As many as a long answer has pieces.
MOST_EVENTS: Final = 4096

#: Characters of text in them: 1 Mi, some fifty times a long answer.
MOST_CHARACTERS: Final = 1 << 20

_SLOW: Final[JsonObject] = {
    "code": "slow_reader",
    "message": "the stream was read so slowly that events it had not had are not kept any more",
    "retryable": False,
}


class _Reader:
    """Where one reader stands."""

    __slots__ = ("following", "has_lapsed", "more")

    def __init__(self, following: int) -> None:
        self.following = following
        self.has_lapsed = False
        self.more: asyncio.Future[None] | None = None


class Ring:
    """The last events of one task; on one event loop.

    Args:
        reading: Called when a reader has come, when the last one has left, and when all there are have fallen so
            far behind that events they had not had are gone.
        most_events: Events that are kept; the oldest go first.
        most_characters: Characters of text that are kept in them.
    """

    def __init__(
        self,
        reading: Callable[[Reading], None],
        *,
        most_events: int = MOST_EVENTS,
        most_characters: int = MOST_CHARACTERS,
    ) -> None:
        self._reading = reading
        self._most_events = most_events
        self._most_characters = most_characters
        self._events: deque[Event] = deque()
        self._characters = 0
        self._last = 0
        self._readers: set[_Reader] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        """Show which events there are and how many read them."""
        return f"<Ring {self._first}..{self._last} readers={len(self._readers)}>"

    @property
    def readers(self) -> int:
        """How many follow it."""
        return len(self._readers)

    @property
    def _first(self) -> int:
        """The number of the oldest event that is kept, or of the next one."""
        return self._last - len(self._events) + 1

    def add(self, name: EventName, data: JsonObject) -> None:
        """Tell the readers something."""
        self._last += 1
        self._events.append(Event(self._last, name, data))
        self._characters += _characters(data)
        if len(self._events) > self._most_events or self._characters > self._most_characters:
            self._trim()
        for reader in self._readers:
            _wake(reader)

    def close(self) -> None:
        """Let the readers go once they have had the last event."""
        self._is_closed = True
        for reader in self._readers:
            _wake(reader)

    def clear(self) -> None:
        """Forget all events."""
        self._events.clear()
        self._characters = 0

    def check(self, after: int) -> None:
        """Refuse to tell what is not kept any more.

        Raises:
            EventsGone: The event after the `after`-th is gone.
        """
        if after < self._last and after + 1 < self._first:
            raise EventsGone(f"the events after number {after} are not kept any more; the oldest is {self._first}")

    async def follow(self, after: int) -> AsyncGenerator[Event, None]:
        """Yield the events after a number as they come, until the last; one that falls behind ends with an error."""
        reader = _Reader(min(after, self._last) + 1)
        self._readers.add(reader)
        self._reading("came")
        try:
            while True:
                while reader.following <= self._last:
                    if reader.following < self._first:
                        # With the number of the last one it had: whoever comes back with that is told the same.
                        yield Event(reader.following - 1, "error", _SLOW)
                        return
                    reader.following += 1
                    yield self._events[reader.following - 1 - self._first]
                if self._is_closed:
                    return
                reader.more = asyncio.get_running_loop().create_future()
                await reader.more
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._reading("left")

    def _trim(self) -> None:
        """Drop the oldest events; notice readers that had not had them."""
        while len(self._events) > self._most_events or (
            self._characters > self._most_characters and len(self._events) > 1
        ):
            self._characters -= _characters(self._events.popleft().data)
        for reader in self._readers:
            reader.has_lapsed = reader.has_lapsed or reader.following < self._first
        if self._readers and all(reader.has_lapsed for reader in self._readers):
            self._reading("lapsed")


def _characters(data: JsonObject) -> int:
    text = data.get("text")
    return len(text) if isinstance(text, str) else 0


def _wake(reader: _Reader) -> None:
    if reader.more is not None and not reader.more.done():
        reader.more.set_result(None)
