"""The timeline on a real event loop."""

import asyncio
import time

import pytest
import uvloop

from bench.simulator.timeline import Timeline

_MS = 1_000_000


class _Mark:
    """Notes when it was called, and asks to be called again at each of its times."""

    def __init__(self, name: str, times_ns: list[int], calls: list[tuple[str, int]], done: asyncio.Event) -> None:
        self._name = name
        self._times_ns = times_ns
        self._calls = calls
        self._done = done

    def advance(self, now_ns: int) -> int | None:
        self._calls.append((self._name, now_ns - self._times_ns.pop(0)))
        if self._times_ns:
            return self._times_ns[0]
        self._done.set()
        return None


def test_everything_is_called_in_order_and_never_early() -> None:
    """Whatever the order of adding, calls come in the order of their times, and none before its time."""

    async def main() -> list[tuple[str, int]]:
        timeline = Timeline(asyncio.get_running_loop())
        calls: list[tuple[str, int]] = []
        events = []
        start_ns = time.perf_counter_ns()
        for name, times_ms in (("late", [30]), ("early", [5]), ("soon", [6]), ("twice", [10, 20]), ("past", [-3])):
            events.append(asyncio.Event())
            times_ns = [start_ns + time_ms * _MS for time_ms in times_ms]
            timeline.add(times_ns[0], _Mark(name, times_ns, calls, events[-1]))
        for event in events:
            await event.wait()
        assert len(timeline) == 0
        return calls

    for run in (uvloop.run, asyncio.run):
        calls = run(main())
        assert [name for name, _ in calls] == ["past", "early", "soon", "twice", "twice", "late"]
        assert all(late_ns >= 0 for _, late_ns in calls)


def test_one_that_fails_does_not_stop_the_others() -> None:
    """An error in one call is reported by the event loop, and the calls that are due later still come."""

    class Broken:
        def advance(self, now_ns: int) -> int | None:
            raise RuntimeError(f"broken at {now_ns}")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        reported: list[str] = []
        loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
        timeline = Timeline(loop)
        done = asyncio.Event()
        start_ns = time.perf_counter_ns()
        timeline.add(start_ns + _MS, Broken())
        timeline.add(start_ns + 3 * _MS, _Mark("after", [start_ns + 3 * _MS], [], done))
        await done.wait()
        return reported

    (message,) = uvloop.run(main())
    assert message.startswith("broken at ")


@pytest.mark.parametrize("count", [1, 500])
def test_no_timer_is_left_behind(count: int) -> None:
    """After the last call nothing wakes the loop any more."""

    async def main() -> object:
        timeline = Timeline(asyncio.get_running_loop())
        start_ns = time.perf_counter_ns()
        done = [asyncio.Event() for _ in range(count)]
        for number, event in enumerate(done):
            due_ns = start_ns + number % 7 * _MS
            timeline.add(due_ns, _Mark("x", [due_ns], [], event))
        for event in done:
            await event.wait()
        await asyncio.sleep(0)
        return timeline._timer

    assert uvloop.run(main()) is None
