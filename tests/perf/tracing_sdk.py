"""The SDK by itself, plain or traced the usual way, in a process of its own: prints what it took as a line of JSON.

`python -m tests.perf.tracing_sdk --base-url URL --tasks 1280 --slots 64 [--traced]`. Traced means a client in
`wrap_openai` and a function under `@traceable`; where traces go is in LangSmith's variables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import httpx2
import openai
import uvloop
from langsmith import traceable
from langsmith.run_trees import get_cached_client
from langsmith.wrappers import wrap_openai

from bench.policy.statistics import percentile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_TIMEOUT_S: Final = 60.0

#: How long what was not sent yet may take at the end; none of the figures holds the wait.
_FLUSH_S: Final = 60.0


async def ask_all(ask: Callable[[int], Awaitable[None]], tasks: int, slots: int) -> tuple[float, list[float]]:
    """Ask with so many coroutines; return the time for all of it and the time of each."""
    numbers = iter(range(tasks))
    took_s: list[float] = []

    async def slot() -> None:
        for number in numbers:
            begun = time.perf_counter()
            await ask(number)
            took_s.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(slot() for _ in range(slots)))
    return time.perf_counter() - begun, took_s


async def measure(base_url: str, tasks: int, slots: int, *, traced: bool) -> dict[str, float]:
    """Return throughput, percentiles and CPU time."""
    limits = httpx2.Limits(max_connections=slots, max_keepalive_connections=slots)
    http_client = openai.DefaultAioHttpClient(limits=limits, timeout=_TIMEOUT_S)
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key="none-needed", max_retries=0, http_client=http_client
    ) as plain:
        client = wrap_openai(plain) if traced else plain

        async def task(number: int) -> None:
            stream: Any = await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": f"question {number}"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async for _ in stream:
                pass

        used = time.process_time()
        wall_s, took_s = await ask_all(traceable(task) if traced else task, tasks, slots)
        if traced:
            await asyncio.to_thread(get_cached_client().flush, _FLUSH_S)
        cpu_s = time.process_time() - used
    took_s.sort()
    return {
        "throughput_per_s": tasks / wall_s,
        "p50_s": percentile(took_s, 0.5),
        "p99_s": percentile(took_s, 0.99),
        "cpu_us": cpu_s * 1e6 / tasks,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--traced", action="store_true")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(options.base_url, options.tasks, options.slots, traced=options.traced))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
