"""Ctrl+C, SIGTERM and a terminal that was closed (SIGHUP) as a request to stop in order: first drain, then cancel."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from bench.stop import StopSignal

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: How long the end waits for a thread whose announcement a stopped terminal does not take.
_CLOSE_S: Final = 2.0


class Interrupts:
    """What came in while `interrupts` was open.

    Attributes:
        interrupted: Whether a signal asked for the end.
    """

    def __init__(self) -> None:
        self.interrupted = False


@contextlib.contextmanager
def interrupts(stop: StopSignal, *, grace_s: float, announce: Callable[[str], None]) -> Iterator[Interrupts]:
    """Inside the block, let the first signal drain and the second, or the end of the grace time, cancel.

    To be opened in the main thread. The handler itself takes no lock: it writes to a pipe, and a thread that reads it
    does the rest.

    Args:
        stop: What is drained and cancelled.
        grace_s: How long the drain may take, in seconds.
        announce: Called from that thread with the stage: `drain`, `overdue` (the grace time is over) or `cancel`.

    Yields:
        What came in.
    """
    came = Interrupts()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def handle(number: int, _frame: FrameType | None) -> None:
        # A full pipe holds signals enough.
        with contextlib.suppress(BlockingIOError):
            os.write(writing, bytes([number]))

    watch = (reading, stop, grace_s, came, announce)
    thread = threading.Thread(target=_watch, args=watch, name="interrupts", daemon=True)
    thread.start()
    # `nohup` asks for nothing to happen.
    caught = [number for number in _SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in caught}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        thread.join(_CLOSE_S)
        if not thread.is_alive():
            os.close(reading)


def _watch(reading: int, stop: StopSignal, grace_s: float, came: Interrupts, announce: Callable[[str], None]) -> None:
    """Read signals until the pipe is closed."""
    if not os.read(reading, 1):
        return
    came.interrupted = True
    stop.drain()
    announce("drain")
    readable, _, _ = select.select([reading], [], [], grace_s)
    if readable and not os.read(reading, 1):
        return
    stop.cancel()
    announce("cancel" if readable else "overdue")
    while os.read(reading, 1):
        pass
