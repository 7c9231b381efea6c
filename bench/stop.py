"""How a run is told to stop: first drain (take nothing new), then cancel (give up what is in flight)."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StopSignal:
    """A two-stage stop that any thread may raise and every engine watches.

    `drain` stops the intake: tasks in flight go on, a task that waits to try again does not.
    `cancel` gives up the tasks in flight too. The stages only ever go forward.

    It takes locks, so a signal handler must not call it: the handler wakes a thread, and that thread does.
    """

    def __init__(self) -> None:
        self._draining = threading.Event()
        self._cancelled = threading.Event()
        # Held while callbacks run, so that none runs after its block has ended; a callback may raise the next stage.
        self._lock = threading.RLock()
        self._callbacks: dict[object, Callable[[], None]] = {}

    def __repr__(self) -> str:
        """Show the stage that was reached."""
        stage = "cancelled" if self.cancelled else "draining" if self.draining else "running"
        return f"<StopSignal {stage}>"

    @property
    def draining(self) -> bool:
        """Whether nothing new may be started."""
        return self._draining.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether what is in flight is to be given up."""
        return self._cancelled.is_set()

    def drain(self) -> None:
        """Stop the intake; a second call does nothing."""
        if not self._draining.is_set():
            self._draining.set()
            self._notify()

    def cancel(self) -> None:
        """Give up what is in flight; implies `drain`."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            self._draining.set()
            self._notify()

    @contextlib.contextmanager
    def watched(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` at each stage reached inside the block, and at once if one was reached before.

        The callback runs in the thread that raised the stage, so it must be short and thread-safe; it may run twice,
        but never after the block has ended.
        """
        key = object()
        with self._lock:
            self._callbacks[key] = callback
        if self.draining:
            callback()
        try:
            yield
        finally:
            with self._lock:
                del self._callbacks[key]

    def wait_draining(self, timeout_s: float) -> bool:
        """Block this thread for at most `timeout_s` seconds; return whether the run is draining."""
        return self._draining.wait(max(0.0, timeout_s))

    def _notify(self) -> None:
        with self._lock:
            for callback in list(self._callbacks.values()):
                callback()
