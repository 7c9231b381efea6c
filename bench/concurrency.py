"""The one bounded asynchronous map: at most N under way over a lazy iterable, each in a task of its own.

A task for each item costs some 5 microseconds more than N coroutines that share the items, and keeps the items apart:
a context variable, a cancellation or a timeout of one is nothing that another sees.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

_log = logging.getLogger("bench.concurrency")

T = TypeVar("T")
R = TypeVar("R")

#: How many results may wait to be taken before nothing new is begun: enough that one slow item idles nobody, and no
#: more memory than that for an input of any length.
AHEAD: Final = 1024

# A context variable has to be a module's own: it is the key under which each item's context keeps its value.
_held: Final[contextvars.ContextVar[tuple[Slots, ...]]] = contextvars.ContextVar("held_slots", default=())


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds a map.

    Attributes:
        at_once: Most items under way.
        ahead: Most results that wait to be taken.
        slots: Slots shared with other maps; None where this one is alone.
    """

    at_once: int
    ahead: int = AHEAD
    slots: Slots | None = None


class Done(NamedTuple, Generic[R]):
    """An item that has ended: its number in the input, from 0, and its task, which holds the result or the error."""

    number: int
    task: asyncio.Task[R]


class Slots:
    """Places for items under way, shared by the maps of one event loop; one that is freed goes to whom waits longest.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        check_count("count", count)
        self.count = count
        self._taken = 0
        self._waiting: dict[Callable[[], None], None] = {}

    def __repr__(self) -> str:
        """Show how many are taken, and how many maps wait for one."""
        return f"<Slots {self._taken}/{self.count} taken, {len(self._waiting)} waiting>"

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    def take(self, on_free: Callable[[], None]) -> bool:
        """Take a slot if one is free; else return False, and call `on_free` once when one is."""
        if self._taken >= self.count:
            self._waiting[on_free] = None
            return False
        self._taken += 1
        return True

    def give(self) -> None:
        """Give a slot back."""
        self._taken -= 1
        # Whoever is called may not want it any more: then the next is.
        while self._waiting and self._taken < self.count:
            on_free = next(iter(self._waiting))
            del self._waiting[on_free]
            on_free()

    def forget(self, on_free: Callable[[], None]) -> None:
        """Call `on_free` no more."""
        self._waiting.pop(on_free, None)


async def bounded_map(
    work: Callable[[T], Awaitable[R]], items: Iterable[T], bounds: Bounds, *, ordered: bool = True, fail_fast: bool
) -> AsyncGenerator[Done[R], None]:
    """Begin `work` for each item, and yield the items that have ended, in the input's order or as they end.

    The input is read only as items can be begun. Close the generator (`contextlib.aclosing`) where it may be left
    early: then what is under way is cancelled, and has ended when that returns.

    Args:
        work: Makes what is awaited for an item; called in a task of its own, with a context of its own.
        items: Read lazily, on the event loop.
        bounds: How many at once, and how far ahead.
        ordered: In the input's order; else as they end.
        fail_fast: The first failure cancels the rest, waits for its end, and is raised. Else a task that failed is
            yielded as one that did not.

    Raises:
        ConfigError: A bound is not a whole number above 0, or the slots are those that the caller itself holds one of.
        Exception: With `fail_fast` an item's; and always what reading `items` raises, after the rest was cancelled.
    """
    window = _Window(work, items, bounds, ordered=ordered, fail_fast=fail_fast)
    try:
        window.fill()
        while True:
            while (done := window.take()) is not None:
                yield done
            if window.is_over:
                return
            await window.news()
    finally:
        await window.close()


def check_count(name: str, count: int) -> None:
    """Check a number of things that there must be at least one of.

    Raises:
        ConfigError: It is not a whole number above 0.
    """
    # True is an int, and no number of anything.
    if type(count) is not int or count < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, got {count!r}")


class _Window(Generic[T, R]):
    """The items under way and the results not yet taken; all of it on one event loop."""

    def __init__(
        self,
        work: Callable[[T], Awaitable[R]],
        items: Iterable[T],
        bounds: Bounds,
        *,
        ordered: bool,
        fail_fast: bool,
    ) -> None:
        check_count("at_once", bounds.at_once)
        check_count("ahead", bounds.ahead)
        self._slots = Slots(bounds.at_once) if bounds.slots is None else bounds.slots
        held = _held.get()
        if self._slots in held:
            raise ConfigError(
                "a batch was begun from within an item of the same manager's batch, and could wait for itself for ever",
                "give the inner batch a ConcurrencyManager of its own",
            )
        self._context = contextvars.copy_context()
        self._context.run(_held.set, (*held, self._slots))
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._items = enumerate(items)
        self._at_once = bounds.at_once
        self._most_open = bounds.at_once + bounds.ahead
        self._fail_fast = fail_fast
        # Ended and not taken: as they ended, or by number.
        self._ended: deque[Done[R]] | None = None if ordered else deque()
        self._by_number: dict[int, Done[R]] = {}
        self._next_number = 0
        self._running: dict[asyncio.Task[R], int] = {}
        self._open = 0
        self._reading = True
        self._closing = False
        self._failure: BaseException | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether every item was begun, has ended and was taken."""
        return not self._reading and self._open == 0

    def fill(self) -> None:
        """Begin items while there are any and the bounds allow it."""
        while self._reading and len(self._running) < self._at_once and self._open < self._most_open:
            if not self._slots.take(self.fill):
                return
            try:
                number, item = next(self._items)
            except StopIteration:
                self._reading = False
                self._slots.give()
                self._tell()
                return
            except Exception as error:  # noqa: BLE001 - the caller's iterable: its error is raised where they wait
                self._fail(error)
                self._slots.give()
                return
            task = self._loop.create_task(_run(self._work, item), context=self._context.copy())
            self._running[task] = number
            self._open += 1
            task.add_done_callback(self._on_end)

    def take(self) -> Done[R] | None:
        """Return the next item that has ended, or None while there is none.

        Raises:
            BaseException: The failure that ended the map.
        """
        if self._failure is not None:
            raise self._failure
        if self._ended is None:
            done = self._by_number.pop(self._next_number, None)
        else:
            done = self._ended.popleft() if self._ended else None
        if done is not None:
            self._next_number += 1
            self._open -= 1
            self.fill()
        return done

    async def news(self) -> None:
        """Wait until an item has ended, the input is at its end, or the map has failed."""
        self._news = self._loop.create_future()
        await self._news

    async def close(self) -> None:
        """Begin nothing more, cancel what is under way, and wait for its end, whatever cancels this meanwhile."""
        self._reading = False
        self._closing = True
        self._slots.forget(self.fill)
        cancelled: asyncio.CancelledError | None = None
        for task in self._running:
            task.cancel()
        while self._running:
            try:
                await asyncio.wait(self._running)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _on_end(self, task: asyncio.Task[R]) -> None:
        number = self._running.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self._closing:
            if error is not None and not task.cancelled():
                _log.warning("an item failed while it was cancelled", exc_info=error)
        elif error is not None and self._fail_fast:
            self._fail(error)
        elif self._ended is None:
            self._by_number[number] = Done(number, task)
        else:
            self._ended.append(Done(number, task))
        self._slots.give()
        self.fill()
        self._tell()

    def _fail(self, error: BaseException) -> None:
        """End the map with an error; of several, the first."""
        self._reading = False
        if self._failure is None:
            self._failure = error
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


async def _run(work: Callable[[T], Awaitable[R]], item: T) -> R:
    return await work(item)
