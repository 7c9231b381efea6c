"""ConcurrencyManager: batches of coroutines, at most N of them under way at once."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar, overload

from bench.concurrency import AHEAD, Bounds, Slots, bounded_map, check_count
from bench.endpoints.providers_file import find_providers_file, known_providers
from bench.errors import ConfigError
from bench.toolkit.batch import outcome, result, result_or_error, work_and_items

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from bench.concurrency import Done
    from bench.toolkit.batch import ItemOutcome, Tasks

T = TypeVar("T")
R = TypeVar("R")
U = TypeVar("U")

#: How many there are at once where nobody says how many, and no provider does.
_DEFAULT: Final = 100

#: How many interviews a survey holds at once: short calls, many of them.
_SURVEY: Final = 100

#: How many voices a focus group holds at once: each call carries the talk so far, and is long.
_FOCUS_GROUP: Final = 50


class Batches(Generic[R]):
    """The results of a lazy batch: awaited, all of them in one list; iterated over, one list after the other; once.

    Iterating holds no more than some lists, however long the input is. Where the loop may be left early, write
    `async with contextlib.aclosing(aiter(batches)) as lists`: what is under way has ended when that block has.
    """

    def __init__(self, results: AsyncGenerator[R, None], size: int) -> None:
        self._results: AsyncGenerator[R, None] | None = results
        self._size = size

    def __await__(self) -> Generator[object, None, list[R]]:
        """Run all and return all results."""
        return self._all().__await__()

    async def __aiter__(self) -> AsyncGenerator[list[R], None]:
        """Run all and yield the results, `batch_size` in each list but the last."""
        batch: list[R] = []
        async with aclosing(self._take()) as results:
            async for result in results:
                batch.append(result)
                if len(batch) == self._size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def _all(self) -> list[R]:
        async with aclosing(self._take()) as results:
            return [result async for result in results]

    def _take(self) -> AsyncGenerator[R, None]:
        results, self._results = self._results, None
        if results is None:
            raise ConfigError("these batches were run before", "call execute_in_batches again to run them again")
        return results


class ConcurrencyManager:
    """Runs batches, with at most `max_concurrency` items under way over all batches that run at once.

    Every batch takes either functions without parameters that make something to await (`lambda: ask(1)`; not what they
    make, because nothing is to begin before its turn), or one function and its items (`ask, [1, 2]`). Both may be lazy:
    they are read as items can begin. Results come in the input's order. An object serves one event loop at a time. A
    batch that an item runs itself needs a manager of its own.

    Args:
        max_concurrency: Most items under way at once; None for what the provider takes at once, and for 100 where that
            is not known.
        provider: Whom the items ask: a preset's name, or one of `./providers.toml`; None if it makes no difference.

    Raises:
        ConfigError: The number is not a whole one above 0, the provider is unknown, or its file is wrong.
    """

    def __init__(self, max_concurrency: int | None = None, *, provider: str | None = None) -> None:
        at_once = _allowed(_DEFAULT, provider) if max_concurrency is None else max_concurrency
        check_count("max_concurrency", at_once)
        self._slots = Slots(at_once)

    def __repr__(self) -> str:
        """Show how busy it is."""
        return f"<ConcurrencyManager {self.active} of {self.max_concurrency} under way>"

    @classmethod
    def for_survey(cls, provider: str | None = None) -> ConcurrencyManager:
        """Return a manager for 100 at once, or what a provider takes if that is less: many short, independent calls."""
        return cls(_allowed(_SURVEY, provider))

    @classmethod
    def for_focus_group(cls, provider: str | None = None) -> ConcurrencyManager:
        """Return a manager for 50 at once, or what a provider takes if that is less: calls with long contexts."""
        return cls(_allowed(_FOCUS_GROUP, provider))

    @property
    def max_concurrency(self) -> int:
        """Most items under way at once."""
        return self._slots.count

    @property
    def active(self) -> int:
        """How many items are under way, over all batches."""
        return self._slots.taken

    @overload
    async def execute_batch(
        self,
        tasks: Tasks[R, T],
        items: Iterable[T] | None = None,
        *,
        max_concurrency: int | None = None,
        return_exceptions: Literal[False] = False,
    ) -> list[R]: ...

    @overload
    async def execute_batch(
        self,
        tasks: Tasks[R, T],
        items: Iterable[T] | None = None,
        *,
        max_concurrency: int | None = None,
        return_exceptions: Literal[True],
    ) -> list[R | BaseException]: ...

    async def execute_batch(
        self,
        tasks: Tasks[R, T],
        items: Iterable[T] | None = None,
        *,
        max_concurrency: int | None = None,
        return_exceptions: bool = False,
    ) -> list[R] | list[R | BaseException]:
        """Run all and return their results.

        Args:
            tasks: Functions without parameters, or one function for the items.
            items: What that function is called with, one after the other.
            max_concurrency: At most so many of this batch at once; the manager's own bound holds too.
            return_exceptions: Put what an item raised (also its CancelledError) into the list in its place. Otherwise
                the first failure cancels the rest, waits until all have ended, and is raised.

        Raises:
            ConfigError: The input has neither form, or a bound is not a whole number above 0.
        """
        work, inputs = work_and_items(tasks, items)
        bounds = self._bounds(max_concurrency)
        ended = bounded_map(work, inputs, bounds, ordered=False, fail_fast=not return_exceptions)
        if return_exceptions:
            return await _collect(ended, result_or_error)
        return await _collect(ended, result)

    async def execute_batch_with_isolation(
        self, tasks: Tasks[R, T], items: Iterable[T] | None = None, *, max_concurrency: int | None = None
    ) -> list[ItemOutcome[R]]:
        """Run all, whatever becomes of any of them, and return how each ended; see `execute_batch`.

        Where this call itself is cancelled, the items are, too; it waits for their end and passes the cancellation on.
        """
        work, inputs = work_and_items(tasks, items)
        bounds = self._bounds(max_concurrency)
        return await _collect(bounded_map(work, inputs, bounds, ordered=False, fail_fast=False), outcome)

    @overload
    def execute_in_batches(
        self,
        tasks: Tasks[R, T],
        items: Iterable[T] | None = None,
        *,
        batch_size: int = 50,
        max_concurrency: int | None = None,
        return_exceptions: Literal[False] = False,
    ) -> Batches[R]: ...

    @overload
    def execute_in_batches(
        self,
        tasks: Tasks[R, T],
        items: Iterable[T] | None = None,
        *,
        batch_size: int = 50,
        max_concurrency: int | None = None,
        return_exceptions: Literal[True],
    ) -> Batches[R | BaseException]: ...

    def execute_in_batches(
        self,
        tasks: Tasks[R, T],
        items: Iterable[T] | None = None,
        *,
        batch_size: int = 50,
        max_concurrency: int | None = None,
        return_exceptions: bool = False,
    ) -> Batches[R] | Batches[R | BaseException]:
        """Run a lazy input of any length, and hand the results out in lists; see `execute_batch` for the rest.

        Nothing waits for a batch's end: an item begins as soon as another one has ended, unless one is so slow that
        more than a thousand results wait for it. Nothing begins before the first list is asked for.

        Args:
            tasks: As for `execute_batch`.
            items: As for `execute_batch`.
            batch_size: Results in a list.
            max_concurrency: At most so many of this batch at once.
            return_exceptions: As for `execute_batch`.

        Raises:
            ConfigError: As for `execute_batch`.
        """
        check_count("batch_size", batch_size)
        work, inputs = work_and_items(tasks, items)
        bounds = self._bounds(max_concurrency, ahead=max(AHEAD, batch_size))
        ended = bounded_map(work, inputs, bounds, fail_fast=not return_exceptions)
        if return_exceptions:
            return Batches(_read_each(ended, result_or_error), batch_size)
        return Batches(_read_each(ended, result), batch_size)

    def _bounds(self, max_concurrency: int | None, ahead: int = AHEAD) -> Bounds:
        """Return a batch's bounds; its own may only be narrower than the manager's."""
        if max_concurrency is None:
            return Bounds(at_once=self.max_concurrency, ahead=ahead, slots=self._slots)
        check_count("max_concurrency", max_concurrency)
        return Bounds(at_once=min(max_concurrency, self.max_concurrency), ahead=ahead, slots=self._slots)


def _allowed(wanted: int, provider: str | None) -> int:
    """Return how many are to be under way at once, where a provider may take fewer.

    Raises:
        ConfigError: It is unknown, or the file of providers is wrong.
    """
    if provider is None:
        return wanted
    known = known_providers(find_providers_file(None))
    if provider not in known:
        raise ConfigError(
            f"provider must be one of {', '.join(known)}, got {provider!r}", "define it in providers.toml"
        )
    return min(wanted, known[provider].in_flight or wanted)


async def _collect(ended: AsyncGenerator[Done[R], None], read: Callable[[asyncio.Task[R]], U]) -> list[U]:
    """Run a map to its end and return what `read` says of each task, in the input's order."""
    read_of: dict[int, U] = {}
    async with aclosing(ended):
        async for number, task in ended:
            read_of[number] = read(task)
    return [read_of[number] for number in range(len(read_of))]


async def _read_each(
    ended: AsyncGenerator[Done[R], None], read: Callable[[asyncio.Task[R]], U]
) -> AsyncGenerator[U, None]:
    """Yield what `read` says of each task."""
    async with aclosing(ended):
        async for done in ended:
            yield read(done.task)
