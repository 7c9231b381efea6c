"""How calls in threads are timed and cut short while there is no socket yet."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import pytest

from bench.clients._base import Timeouts
from bench.clients._calls import Calls, Lookup
from bench.clients._collect import Collector
from bench.clock import NS_PER_S, MonotonicClock
from bench.errors import CallError

if TYPE_CHECKING:
    from bench.clients._calls import Call


def begun(calls: Calls, within_s: float = 60.0) -> Call:
    """Begin a call of this thread."""
    now_ns = MonotonicClock().now_ns()
    deadline_ns = now_ns + int(within_s * NS_PER_S)
    return calls.begin(Collector(stream=True, timeouts=Timeouts(), sent_ns=now_ns, deadline_ns=deadline_ns))


def test_a_lookup_is_cut_short() -> None:
    """A call that waits for a host's address returns as soon as it is cut short."""
    calls = Calls(connect_s=60.0)
    waits = threading.Event()
    ended: list[object] = []

    class Waiting(queue.SimpleQueue[Lookup]):
        def get(self, block: bool = True, timeout: float | None = None) -> Lookup:  # noqa: FBT001, FBT002 - the base's
            waits.set()
            return super().get(block, timeout)

    def look_up() -> None:
        call = begun(calls)
        call.connecting()
        ended.append(call.wait_for(Waiting()))
        with pytest.raises(CallError, match="cancelled"):
            call.left_s()
        calls.end()

    thread = threading.Thread(target=look_up)
    thread.start()
    waits.wait(10)
    calls.cancel_all()
    thread.join(10)
    assert not thread.is_alive()
    assert ended == [None]


@pytest.mark.parametrize(
    ("connect_s", "within_s", "error_type"), [(0.05, 60.0, "timeout_connect"), (60.0, 0.05, "timeout_total")]
)
def test_a_lookup_takes_no_longer_than_it_may(connect_s: float, within_s: float, error_type: str) -> None:
    """A host's address that does not come is given up with the time to connect, or with the deadline before it."""
    call = begun(Calls(connect_s=connect_s), within_s)
    call.connecting()
    with pytest.raises(CallError) as caught:
        call.wait_for(queue.SimpleQueue())
    assert caught.value.error_type == error_type


def test_no_time_to_connect_is_counted_while_sending() -> None:
    """Once a request is being sent, the time to connect limits nothing any more."""
    call = begun(Calls(connect_s=0.0))
    call.connecting()
    with pytest.raises(CallError, match="timeout_connect"):
        call.left_s()
    call.sending()
    assert call.left_s() > 1


def test_calls_after_the_end_are_cut_short_from_the_start() -> None:
    """A call that begins after `cancel_all` has no time at all."""
    calls = Calls(connect_s=1.0)
    calls.cancel_all()
    with pytest.raises(CallError, match="cancelled"):
        begun(calls).left_s()
