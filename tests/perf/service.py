"""What the service adds to its provider's answers, and what an event costs it: prints tables, judges nothing.

Run it on a quiet machine: `.venv/bin/python -m tests.perf.service [--streams 100] [--open 1000] [--rounds 3]`. The
simulator, the service and the clients are a process each. In each round every row has its turn; the tables show medians
of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import psutil
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from starlette.requests import Request

#: The provider's answers: what is added to the first of these is the service's.
TTFT_S: Final = 0.2
ITL_S: Final = 0.05
TOKENS: Final = 20

#: Events of a stream whose cost is measured.
MANY: Final = 4000

#: The first words: of the provider's protocol, and of the service's.
PROVIDER_TEXT: Final = re.compile(rb'"content":"[^"]')
SERVICE_TEXT: Final = re.compile(rb"event: chunk\n")

PATHS: Final = {"direct": "/chat/stream", "pooled": "/chat/stream/async"}


class Waits(NamedTuple):
    """How long first words took, in seconds."""

    median_s: float
    p95_s: float


class Read(NamedTuple):
    """What a client has seen of a stream."""

    first_s: float
    events: int


def waits(reads: Sequence[Read]) -> Waits:
    """Return what most streams and all but a few had to wait."""
    firsts = sorted(read.first_s for read in reads)
    return Waits(statistics.median(firsts), firsts[int(0.95 * (len(firsts) - 1))])


async def read(url: str, target: str, body: object, text: re.Pattern[bytes]) -> Read:
    """Read one stream to its end."""
    parts = urlsplit(url)
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST {parts.path}{target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    sent_ns = time.perf_counter_ns()
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
    first_s, events, seen = None, 0, b""
    while part := await reader.read(65_536):
        # What matches may be cut in two.
        seen = seen[-32:] + part
        if first_s is None and text.search(seen):
            first_s = (time.perf_counter_ns() - sent_ns) / 1e9
        events += part.count(b"\ndata: ")
    writer.close()
    if first_s is None:
        raise RuntimeError(f"no text at {target}: {seen[-300:]!r}")
    return Read(first_s, events)


def read_many(
    count: int,
    url: str,
    target: str,
    body: Callable[[int], object],
    text: re.Pattern[bytes],
    *,
    apart_s: float = 0.0,
) -> list[Read]:
    """Read so many streams side by side, each begun so long after the one before."""

    async def later(number: int) -> Read:
        await asyncio.sleep(number * apart_s)
        return await read(url, target, body(number), text)

    async def reads() -> list[Read]:
        return await asyncio.gather(*(later(number) for number in range(count)))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(reads())


def topic(number: int) -> object:
    """Return the body of one client's task."""
    return {"topic": f"stream {number}"}


def question(number: int) -> object:
    """Return what the service asks the provider for such a task."""
    return {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"stream {number}"}]}


@contextlib.contextmanager
def service(provider: str, client: str, streams: int) -> Iterator[tuple[str, psutil.Process]]:
    """Run a service with room for so many streams on either path, and yield its address and its process."""
    room = ("--max-streams", str(streams), "--agent-slots", str(streams), "--agent-queue", str(streams))
    with tempfile.TemporaryDirectory() as folder:
        options = ("--base-url", provider, "--model", "m", "--client", client, "--no-cache", "--no-adaptive")
        with serving(Path(folder), *options, *room) as running:
            yield running.url, psutil.Process(running.process.pid)


def show_first_words(streams: int, rounds: int) -> None:
    """Print by how much later first words come than the provider's own, with so many streams open."""
    settings = SimulatorSettings(ttft_s=TTFT_S, itl_s=ITL_S, tokens=TOKENS)
    answer_s = TTFT_S + ITL_S * (TOKENS - 1)
    # Three times as many as are open at once, so that most begin while as many others go on; or all in one instant.
    loads = {"one by one": (3 * streams, answer_s / streams), "all at once": (streams, 0.0)}
    turns: dict[tuple[str, str], list[Waits]] = {}
    with SimulatorProcess(settings) as provider, contextlib.ExitStack() as services:
        rows = {"the provider itself": (provider.base_url, "/chat/completions", question, PROVIDER_TEXT)}
        for client in ("lean", "openai"):
            url, _ = services.enter_context(service(provider.base_url, client, 2 * streams))
            for path, target in PATHS.items():
                rows[f"{path}, {client}"] = (url, target, topic, SERVICE_TEXT)
        for load, (count, apart_s) in [*loads.items()] * rounds:
            for row, (url, target, body, text) in rows.items():
                reads = read_many(count, url, target, body, text, apart_s=apart_s)
                turns.setdefault((load, row), []).append(waits(reads))
    say(f"\nFirst words with {streams} streams open, in ms (the provider's come after {TTFT_S * 1e3:g} ms)")
    for (load, row), each in sorted(turns.items()):
        middle = Waits(*(statistics.median(values) for values in zip(*each, strict=True)))
        say(f"  {load}  {row:<22} median {middle.median_s * 1e3:7.1f}   95 % within {middle.p95_s * 1e3:7.1f}")


def show_open_streams(count: int) -> None:
    """Print what very many open streams take: memory, and time until the first words."""
    settings = SimulatorSettings(ttft_s=2.0, itl_s=0.5, tokens=TOKENS)
    with SimulatorProcess(settings) as provider, service(provider.base_url, "lean", count) as (url, process):
        before = process.memory_info().rss
        most = before
        with multiprocessing.get_context("spawn").Pool(1) as clients:
            reads = clients.apply_async(read_many, (count, url, PATHS["direct"], topic, SERVICE_TEXT))
            while not reads.ready():
                most = max(most, process.memory_info().rss)
                time.sleep(0.1)
            first = waits(reads.get())
    say(f"\n{count} open streams (first words of the provider after 2,000 ms, then a word each half second)")
    say(f"  memory {before / 2**20:.0f} -> {most / 2**20:.0f} MiB, {(most - before) / count / 1024:.0f} KiB a stream")
    say(f"  first words: median {first.median_s * 1e3:.0f} ms, 95 % within {first.p95_s * 1e3:.0f} ms")


def serve_bare(port: int) -> None:
    """Serve streams of prepared events with the framework alone."""

    async def events() -> AsyncIterator[bytes]:
        for number in range(MANY):
            yield b'id: %d\nevent: chunk\ndata: {"text":"word "}\n\n' % number
            # As if each was awaited, which it is where it comes from somewhere.
            await asyncio.sleep(0)

    async def stream(_request: Request) -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/chat/stream", stream, methods=["POST"])])
    uvicorn.run(app, port=port, log_config=None, access_log=False, loop="uvloop", http="httptools")


@contextlib.contextmanager
def bare_service() -> Iterator[tuple[str, psutil.Process]]:
    """Run that in a process of its own."""
    with contextlib.closing(uvicorn.Config("x", port=0).bind_socket()) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve_bare, args=(port,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{port}"
    while True:
        with contextlib.suppress(OSError):
            read_many(1, url, "/chat/stream", topic, SERVICE_TEXT)
            break
        time.sleep(0.1)
    try:
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()


def events_per_core_s(url: str, process: psutil.Process, streams: int) -> float:
    """Return how many events a process sends in a second of its processor time."""
    before = sum(process.cpu_times()[:2])
    reads = read_many(streams, url, "/chat/stream", topic, SERVICE_TEXT)
    return sum(each.events for each in reads) / (sum(process.cpu_times()[:2]) - before)


def show_events(rounds: int) -> None:
    """Print how many events a second of one core sends, beside the framework with nothing around it."""
    turns: dict[str, list[float]] = {}
    settings = SimulatorSettings(ttft_s=0.0, itl_s=0.001, tokens=MANY)
    with SimulatorProcess(settings) as provider, contextlib.ExitStack() as services:
        rows = {"bare framework": services.enter_context(bare_service())}
        for name in ("lean", "openai"):
            rows[f"service, {name}"] = services.enter_context(service(provider.base_url, name, 10))
        for _ in range(rounds):
            for row, (url, process) in rows.items():
                turns.setdefault(row, []).append(events_per_core_s(url, process, 5))
    say(f"\nEvents that a second of one core sends ({MANY} events a stream, five streams, a word each millisecond)")
    for row, each in turns.items():
        say(f"  {row:<22} {statistics.median(each):8,.0f}")


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--open", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    show_first_words(arguments.streams, arguments.rounds)
    show_open_streams(arguments.open)
    show_events(arguments.rounds)


if __name__ == "__main__":
    main()
