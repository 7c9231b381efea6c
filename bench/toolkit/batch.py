"""What a batch is given, in either form, and how its items end."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, cast

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")

_FORMS: Final = "write execute_batch([lambda: ask(1), ..]) or execute_batch(ask, [1, ..])"

#: The two forms of a batch: functions without parameters, or one function that is called with items.
Tasks: TypeAlias = "Iterable[Callable[[], Awaitable[R]]] | Callable[[T], Awaitable[R]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutcome(Generic[R]):
    """How an item of an isolated batch ended.

    Attributes:
        success: Whether it returned.
        data: What it returned; None where it failed.
        error: The type and the message of what it raised, as text; None where it returned.
        exception: What it raised, with its traceback; a CancelledError where it was cancelled.
    """

    success: bool
    data: R | None = None
    error: str | None = None
    exception: BaseException | None = None


def work_and_items(
    tasks: Tasks[R, T], items: Iterable[T] | None
) -> tuple[Callable[[object], Awaitable[R]], Iterable[object]]:
    """Return a function and its items, whichever form a batch was given in.

    Raises:
        ConfigError: It has neither.
    """
    if callable(tasks):
        if items is None:
            raise ConfigError(f"got one function and no items: {tasks!r}", _FORMS)
        return cast("Callable[[object], Awaitable[R]]", tasks), items
    if items is not None:
        raise ConfigError(f"the first argument must be a function where items are given, got {tasks!r}", _FORMS)
    return cast("Callable[[object], Awaitable[R]]", _call), tasks


def _call(make: object) -> Awaitable[object]:
    """Call one of the functions without parameters."""
    if callable(make):
        made: Awaitable[object] = make()
        return made
    if inspect.iscoroutine(make):
        # Else the garbage collector would complain that it was never awaited.
        make.close()
    raise ConfigError(f"a batch takes functions, and got what one has made: {make!r}", _FORMS)


def result(task: asyncio.Task[R]) -> R:
    """Return what an item returned, or raise what it raised."""
    return task.result()


def _error(task: asyncio.Task[R]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def result_or_error(task: asyncio.Task[R]) -> R | BaseException:
    """Return what an item returned or raised."""
    error = _error(task)
    return task.result() if error is None else error


def outcome(task: asyncio.Task[R]) -> ItemOutcome[R]:
    """Return how an item ended; one that was cancelled has failed."""
    error = _error(task)
    if error is None:
        return ItemOutcome(success=True, data=task.result())
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ItemOutcome(success=False, error=text, exception=error)
