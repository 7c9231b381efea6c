"""What `execute_batch` costs an item beside aiometer's `amap`: prints a table, judges nothing.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.concurrency_cost [--items 100000] [--rounds 5]`.
The items suspend once and return. Each round measures all of them in turn, on one event loop each; the ratio is the
median over the rounds of the ratios within a round. The memory is the most that was in use at once beyond the start,
over an input that is read as it is needed and whose results are let go.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import aiometer
import uvloop

from bench.toolkit import ConcurrencyManager

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


async def small(item: int) -> int:
    """Suspend once."""
    await asyncio.sleep(0)
    return item


async def by_aiometer(items: int, slots: int) -> None:
    """Do the items with aiometer, which takes a list."""
    done = 0
    async with aiometer.amap(small, range(items), max_at_once=slots) as results:
        async for _ in results:
            done += 1
    check(done, items)


async def by_batch(items: int, slots: int) -> None:
    """Do them with `execute_batch`."""
    check(len(await ConcurrencyManager(slots).execute_batch(small, range(items))), items)


async def by_isolated_batch(items: int, slots: int) -> None:
    """Do them with `execute_batch_with_isolation`."""
    check(len(await ConcurrencyManager(slots).execute_batch_with_isolation(small, range(items))), items)


async def by_batches(items: int, slots: int) -> None:
    """Do them with `execute_in_batches`, and let the results go."""
    done = 0
    async for batch in ConcurrencyManager(slots).execute_in_batches(small, iter(range(items)), batch_size=50):
        done += len(batch)
    check(done, items)


def check(done: int, items: int) -> None:
    """See that all items were done.

    Raises:
        RuntimeError: They were not.
    """
    if done != items:
        raise RuntimeError(f"{done} of {items} items")


WAYS: tuple[Callable[[int, int], Coroutine[None, None, None]], ...] = (
    by_aiometer,
    by_batch,
    by_isolated_batch,
    by_batches,
)


def cpu_us(way: Callable[[int, int], Coroutine[None, None, None]], items: int, slots: int) -> float:
    """Return the CPU time an item, in microseconds."""
    gc.collect()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        begun_ns = time.process_time_ns()
        runner.run(way(items, slots))
        return (time.process_time_ns() - begun_ns) / items / 1e3


def peak_bytes(way: Callable[[int, int], Coroutine[None, None, None]], items: int, slots: int) -> int:
    """Return the most memory that was in use at once."""
    gc.collect()
    tracemalloc.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(way(items, slots))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=100)
    options = parser.parse_args()
    rounds = [[cpu_us(way, options.items, options.slots) for way in WAYS] for _ in range(options.rounds)]
    say(f"{options.items} items, {options.slots} at once, median of {options.rounds} rounds")
    say(f"{'':<20}{'CPU us/item':>13}{'of aiometer':>13}")
    for place, way in enumerate(WAYS):
        cost_us = statistics.median(each[place] for each in rounds)
        ratio = statistics.median(each[place] / each[0] for each in rounds)
        say(f"{way.__name__:<20}{cost_us:>13.1f}{ratio:>13.2f}")
    for items in (options.items // 10, options.items):
        say(f"by_batches, {items} items: {peak_bytes(by_batches, items, options.slots) / 1e6:.2f} MB at most")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
