"""The SDK by itself, as short as an application can be: no retries, records, deadlines or display."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Final

import httpx2
import openai
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.providers import Endpoint

_KEY: Final = "none-needed"
_TIMEOUT_S: Final = 60.0


def asyncio_wall_s(endpoint: Endpoint, tasks: int, slots: int) -> tuple[float, float]:
    """Stream `tasks` answers with `slots` coroutines on uvloop; return wall and CPU seconds."""

    async def main() -> None:
        limits = httpx2.Limits(max_connections=slots, max_keepalive_connections=slots)
        async with openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=_KEY,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(limits=limits, timeout=_TIMEOUT_S),
        ) as client:
            numbers = iter(range(tasks))

            async def slot() -> None:
                for number in numbers:
                    stream = await client.chat.completions.create(
                        model=endpoint.model,
                        messages=[{"role": "user", "content": f"question {number}"}],
                        stream=True,
                        stream_options={"include_usage": True},
                    )
                    async for _ in stream:
                        pass

            await asyncio.gather(*(slot() for _ in range(slots)))

    begun, used = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return time.perf_counter() - begun, time.process_time() - used


def threading_wall_s(endpoint: Endpoint, tasks: int, slots: int) -> tuple[float, float]:
    """Stream `tasks` answers with `slots` threads; return wall and CPU seconds."""
    limits = httpx2.Limits(max_connections=slots, max_keepalive_connections=slots)
    numbers: Iterator[int] = count()
    with openai.OpenAI(
        base_url=endpoint.base_url,
        api_key=_KEY,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(limits=limits, timeout=_TIMEOUT_S),
    ) as client:

        def slot() -> None:
            while (number := next(numbers)) < tasks:
                stream = client.chat.completions.create(
                    model=endpoint.model,
                    messages=[{"role": "user", "content": f"question {number}"}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
                for _ in stream:
                    pass

        threads = [threading.Thread(target=slot) for _ in range(slots)]
        begun, used = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begun, time.process_time() - used
