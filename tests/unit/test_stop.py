"""The two-stage stop, from threads and from an event loop."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import Callable

#: Far longer than any test takes: a wait that nothing cuts short runs into the test's own timeout.
FOREVER_S = 1_000.0


@pytest.fixture
def stop() -> StopSignal:
    """Return a signal that nobody has raised."""
    return StopSignal()


def test_drain(stop: StopSignal) -> None:
    """Draining stops the intake and leaves alone what is in flight."""
    assert (stop.draining, stop.cancelled) == (False, False)
    stop.drain()
    assert (stop.draining, stop.cancelled) == (True, False)


def test_cancel_implies_drain(stop: StopSignal) -> None:
    """Cancelling stops the intake too."""
    stop.cancel()
    assert (stop.draining, stop.cancelled) == (True, True)


@pytest.mark.parametrize("order", list(itertools.permutations(["drain", "drain", "cancel"]))[:4])
def test_stages_only_go_forward(stop: StopSignal, order: tuple[str, ...]) -> None:
    """Whatever the order of calls, a stage once reached is never left."""
    seen = []
    for stage in order:
        getattr(stop, stage)()
        seen.append((stop.draining, stop.cancelled))
    assert seen == sorted(seen)
    assert seen[-1] == (True, True)


def test_repr_shows_the_stage(stop: StopSignal) -> None:
    """The stage that was reached can be read off the object."""
    seen = [repr(stop)]
    for raise_stage in (stop.drain, stop.cancel):
        raise_stage()
        seen.append(repr(stop))
    assert seen == ["<StopSignal running>", "<StopSignal draining>", "<StopSignal cancelled>"]


def test_a_watcher_sees_each_stage_once(stop: StopSignal) -> None:
    """A watcher is called at each stage, in the thread that raised it, with the stage already visible."""
    seen: list[tuple[str, bool, bool]] = []
    with stop.watched(lambda: seen.append((threading.current_thread().name, stop.draining, stop.cancelled))):
        for raise_stage in (stop.drain, stop.drain, stop.cancel, stop.cancel, stop.drain):
            thread = threading.Thread(target=raise_stage, name="raiser")
            thread.start()
            thread.join()
    assert seen == [("raiser", True, False), ("raiser", True, True)]


def test_a_late_watcher_is_told_at_once(stop: StopSignal) -> None:
    """Who begins to watch a run that is already stopping is told before the block begins."""
    seen: list[str] = []
    stop.drain()
    with stop.watched(lambda: seen.append("told")):
        seen.append("block")
    assert seen == ["told", "block"]


def test_watching_ends_with_the_block(stop: StopSignal) -> None:
    """After its block a watcher is not called any more, also when the block was left by an error."""
    seen: list[str] = []
    with stop.watched(lambda: seen.append("first")):
        pass
    with pytest.raises(KeyError), stop.watched(lambda: seen.append("second")):
        raise KeyError
    stop.cancel()
    assert seen == []


def test_a_block_is_not_left_while_its_watcher_may_be_called(stop: StopSignal) -> None:
    """A watcher may use what its block holds open: the block does not end between a stage and its watcher's call."""
    reached, going_on, left = threading.Event(), threading.Event(), threading.Event()
    late: list[bool] = []

    def hold_up() -> None:
        reached.set()
        going_on.wait()

    def leave_a_block() -> None:
        with stop.watched(lambda: late.append(left.is_set())):
            raiser.start()
            reached.wait()
        left.set()

    raiser = threading.Thread(target=stop.drain)
    leaver = threading.Thread(target=leave_a_block)
    with stop.watched(hold_up):
        leaver.start()
        reached.wait()
        # Time enough to leave a block that may be left; a leaver that waits as it should is not proved by more of it.
        left_early = left.wait(0.2)
        going_on.set()
        raiser.join()
        leaver.join()
    assert (left_early, late) == (False, [False])


def test_a_watcher_may_raise_the_next_stage(stop: StopSignal) -> None:
    """A watcher that cancels on the first stage is called for the second one, and neither waits for the other."""
    seen: list[str] = []

    def escalate() -> None:
        seen.append(repr(stop))
        stop.cancel()

    with stop.watched(escalate):
        stop.drain()
    assert seen == ["<StopSignal draining>", "<StopSignal cancelled>"]


def test_waiting_in_a_thread_ends_in_time(stop: StopSignal) -> None:
    """A wait for a stop that does not come ends when its time is up, at once where none is left."""
    assert [stop.wait_draining(0.001), stop.wait_draining(0), stop.wait_draining(-5)] == [False, False, False]


@pytest.mark.parametrize("stage", ["drain", "cancel"])
def test_a_stage_wakes_waiting_threads(stop: StopSignal, stage: str) -> None:
    """Either stage ends the waits of all threads at once."""
    outcomes: list[bool] = []
    waiting = threading.Barrier(4)

    def wait() -> None:
        waiting.wait()
        outcomes.append(stop.wait_draining(FOREVER_S))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait()
    getattr(stop, stage)()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 3
    assert stop.wait_draining(FOREVER_S)


def test_raising_from_many_threads(stop: StopSignal) -> None:
    """However many threads raise and watch at once, every watcher is told and none is lost."""
    told = [threading.Event() for _ in range(8)]
    together = threading.Barrier(16)

    def watch(event: threading.Event) -> None:
        together.wait()
        with stop.watched(event.set):
            event.wait()

    def raise_stage(stage: Callable[[], None]) -> None:
        together.wait()
        stage()

    threads = [threading.Thread(target=watch, args=(event,)) for event in told]
    threads += [threading.Thread(target=raise_stage, args=(stage,)) for stage in [stop.drain, stop.cancel] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(event.is_set() for event in told)
