"""Ctrl+C and SIGTERM: which stage each reaches, and that everything is put back."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading

import pytest

from bench.cli.interrupts import interrupts
from bench.stop import StopSignal

#: Longer than any of these tests takes on the slowest machine.
LONG_S = 60.0


def send(number: signal.Signals) -> None:
    """Send a signal to this process, as a terminal or a scheduler would."""
    os.kill(os.getpid(), number)


def open_files() -> set[int]:
    """Return the descriptors of this process that are open."""
    found = set()
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stages(number: signal.Signals) -> None:
    """The first signal drains and no more; the second cancels; a third changes nothing."""
    stop, stages = StopSignal(), queue.Queue[str]()
    with interrupts(stop, grace_s=LONG_S, announce=stages.put) as came:
        assert not came.interrupted
        send(number)
        assert stages.get(timeout=LONG_S) == "drain"
        assert (stop.draining, stop.cancelled, came.interrupted) == (True, False, True)
        send(number)
        assert stages.get(timeout=LONG_S) == "cancel"
        assert stop.cancelled
        send(number)
    assert stages.empty()


def test_grace_time() -> None:
    """When the grace time is over what is in flight is given up without a second signal."""
    stop, stages = StopSignal(), queue.Queue[str]()
    with interrupts(stop, grace_s=0.01, announce=stages.put):
        send(signal.SIGINT)
        assert [stages.get(timeout=LONG_S) for _ in range(2)] == ["drain", "overdue"]
    assert stop.cancelled


def test_end_within_the_grace_time() -> None:
    """A run that ends while it drains is not cancelled, and is not waited for."""
    stop, stages = StopSignal(), queue.Queue[str]()
    with interrupts(stop, grace_s=LONG_S, announce=stages.put) as came:
        send(signal.SIGINT)
        stages.get(timeout=LONG_S)
    assert came.interrupted
    assert not stop.cancelled


def test_stop_comes_before_words() -> None:
    """A terminal that takes no text does not keep the run from stopping."""
    stop, stuck = StopSignal(), threading.Event()

    def announce(_stage: str) -> None:
        stuck.wait(LONG_S)

    with interrupts(stop, grace_s=LONG_S, announce=announce):
        send(signal.SIGINT)
        assert stop.wait_draining(LONG_S)
        stuck.set()


def test_everything_is_put_back() -> None:
    """After the block signals do what they did before, and no thread and no file is left."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    files = open_files()
    stop = StopSignal()
    with pytest.raises(ZeroDivisionError), interrupts(stop, grace_s=LONG_S, announce=print) as came:
        _ = 1 / 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert (came.interrupted, stop.draining) == (False, False)
    assert "interrupts" not in {thread.name for thread in threading.enumerate()}
    assert open_files() == files
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_lock_that_is_held_does_not_matter() -> None:
    """A signal that comes while the main thread holds the stop's own lock does not deadlock."""
    stop, stages = StopSignal(), queue.Queue[str]()
    with interrupts(stop, grace_s=LONG_S, announce=stages.put):
        with stop._lock:
            signal.raise_signal(signal.SIGINT)
        assert stages.get(timeout=LONG_S) == "drain"
