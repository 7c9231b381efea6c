"""One of several processes that work over the same cache: `python -m tests.caching PLAN`, told what to do as JSON.

It says each thing that happens in a line on standard output, so that what it said before it was killed did happen.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.cache import Busy, Cache, CachedAnswer, Claim
from bench.clients._base import ClientSettings, Request, Timeouts
from bench.clients.make import make_sync_client
from bench.providers import Endpoint
from tests.answers_kept import answer, key_of, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.clients._base import SyncClient

#: So much does not fit into SQLite's memory: a write of it is in its journal in part before it is complete.
HUGE_BYTES = 8_000_000

POLL_S = 0.002


class Plan(msgspec.Struct, kw_only=True):
    """What a process is to do.

    Attributes:
        path: The cache.
        base_url: The server, or an empty text where answers are made up.
        prompts: What is to be answered, in order.
        dies_at: The prompt whose answer is not to be completely written.
        padding_bytes: How much longer answers are stored than they came.
    """

    path: str
    base_url: str = ""
    prompts: tuple[str, ...]
    dies_at: str | None = None
    padding_bytes: int = 0


class Said(msgspec.Struct, kw_only=True):
    """A line of its output.

    Attributes:
        event: `claimed`, `writing` (the write is begun, and will not be completed), `made` (written) or `kept` (found).
    """

    event: str
    prompt: str
    content: str = ""


def say(event: str, prompt: str, content: str = "") -> None:
    """Write a line."""
    sys.stdout.buffer.write(msgspec.json.encode(Said(event=event, prompt=prompt, content=content)) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Get the answer to each prompt from the cache, or else from the server."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    call = asker(plan.base_url) if plan.base_url else lambda prompt: prompt
    with opened(Path(plan.path)) as cache:
        for prompt in plan.prompts:
            found = patiently(cache, key_of(prompt))
            if isinstance(found, CachedAnswer):
                say("kept", prompt, found.content)
                continue
            say("claimed", prompt)
            content = call(prompt)
            if prompt == plan.dies_at:
                sys.stdin.readline()
                stop_before_the_end_of_a_write(cache, prompt)
                content += "x" * HUGE_BYTES
            if found.store(answer(content + "x" * plan.padding_bytes)):
                say("made", prompt, content)


def asker(base_url: str) -> Callable[[str], str]:
    """Return what asks a server."""
    endpoint = Endpoint(provider="alpha", base_url=base_url, model="m")
    settings = ClientSettings(client="lean", transport="httpx2", slots=1, timeouts=Timeouts())
    client: SyncClient = make_sync_client(settings, endpoint)

    def ask(prompt: str) -> str:
        request = Request(model="m", messages=({"role": "user", "content": prompt},), params={}, stream=False)
        return client.call(request, time.perf_counter_ns() + 30 * 10**9).content or ""

    return ask


def patiently(cache: Cache, key: str) -> CachedAnswer | Claim:
    """Look until nobody else is making the call."""
    while isinstance(found := cache.look(key), Busy):
        time.sleep(POLL_S)
    return found


def stop_before_the_end_of_a_write(cache: Cache, prompt: str) -> None:
    """Have the next write say that it is begun, and never come to its end."""

    def stop(statement: str) -> None:
        if statement == "COMMIT":
            say("writing", prompt)
            sys.stdin.read()

    cache._file.current().set_trace_callback(stop)


if __name__ == "__main__":
    main()
