"""How slots that pause are woken: by time, by a ring, and never later than after a quarter of a second."""

from __future__ import annotations

import asyncio
import threading
import time

from bench.engines.bell import Bell, LoopPauses

NS_PER_S = 1_000_000_000

#: Later than any test waits.
NEVER_NS = 1 << 62


def test_a_ring_ends_pauses_of_threads() -> None:
    """A ring ends the pauses of two threads that wait, and a pause ends by itself in time."""
    bell = Bell()
    begun_ns = time.perf_counter_ns()
    bell.wait(begun_ns + NS_PER_S // 100)
    assert time.perf_counter_ns() >= begun_ns + NS_PER_S // 100
    bell.wait(begun_ns)
    paused = [threading.Thread(target=bell.wait, args=(NEVER_NS,)) for _ in range(2)]
    for thread in paused:
        thread.start()
    bell.ring()
    for thread in paused:
        # Where the ring came before the pause it ends by itself.
        thread.join(10)
    assert not any(thread.is_alive() for thread in paused)


def test_a_ring_ends_two_pauses_of_a_loop() -> None:
    """A ring from another thread ends two pauses of an event loop at once, the longest ones first; one that was
    cancelled is forgotten.
    """

    async def main() -> list[int]:
        bell = Bell()
        pauses = LoopPauses(bell)
        woken: list[int] = []

        async def pause(number: int) -> None:
            await pauses.wait(NEVER_NS)
            woken.append(number)

        with pauses.heard():
            slots = [asyncio.create_task(pause(number)) for number in range(4)]
            await asyncio.sleep(0)
            slots[0].cancel()
            await asyncio.sleep(0)
            assert repr(pauses) == "<LoopPauses 3>"
            begun_ns = time.perf_counter_ns()
            await asyncio.get_running_loop().run_in_executor(None, bell.ring)
            await asyncio.wait(slots[1:], return_when=asyncio.FIRST_COMPLETED)
            if time.perf_counter_ns() - begun_ns < NS_PER_S // 5:
                assert woken == [1, 2]
            await asyncio.wait(slots)
        assert repr(bell) == "<Bell 0 listeners>"
        bell.ring()
        return woken

    assert asyncio.run(main()) == [1, 2, 3]
