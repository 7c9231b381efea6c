"""What the simulator itself can do on one core, beside the same answers from a plain framework.

Run it by hand on a machine that does nothing else: `python tests/perf/simulator_ceiling.py`. The server is pinned to
one core and the load to another. The load only counts the ends of answers, so it costs less than what it measures;
both shares of a core are printed, and a load near 100 % means that the server was not shown at its limit.
"""

import argparse
import asyncio
import contextlib
import http.client
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import uvloop
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.simulator.chat import read_chat
from bench.simulator.process import SimulatorProcess
from bench.simulator.scripts import DIGEST_HOLE, Scripts, identity
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Lateness

_NS_PER_S: Final = 1_000_000_000
_END: Final = b"\r\n0\r\n\r\n"
_SERVER_CORE: Final = {0}
_LOAD_CORE: Final = {1}
_INSTANT: Final = SimulatorSettings()
_PACED: Final = SimulatorSettings(ttft_s=0.2, itl_s=0.01)
_CONNECTIONS: Final = 64

_BODY: Final = msgspec.json.encode(
    {
        "model": "simulated",
        "messages": [{"role": "user", "content": "Write one paragraph about solar power."}],
        "stream": True,
        "max_tokens": 512,
        "stream_options": {"include_usage": True},
    }
)
_REQUEST: Final = b"\r\n".join(
    (
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: 127.0.0.1",
        b"accept: application/json",
        b"content-type: application/json",
        b"authorization: Bearer none",
        b"user-agent: simulator-ceiling",
        b"content-length: %d" % len(_BODY),
        b"",
        _BODY,
    )
)


class Shown(NamedTuple):
    """One row of the table."""

    server: str
    streams_per_s: float
    server_cores: float
    load_cores: float
    late_p50_s: float | None
    late_p99_s: float | None


class _Client(asyncio.Protocol):
    """A connection that sends one request at a time and tells when the answer has ended."""

    def __init__(self, done: Callable[["_Client"], None]) -> None:
        self._done = done
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self) -> None:
        self.transport.write(_REQUEST)  # type: ignore[attr-defined] # TCP transports write

    def data_received(self, data: bytes) -> None:
        if data.endswith(_END) or (len(data) < len(_END) and (self._tail + data).endswith(_END)):
            self._done(self)
        self._tail = data[-len(_END) :]


class _Load:
    """Sends requests and counts answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = 0

    async def closed(self, duration_s: float) -> None:
        """Keep a fixed number of requests in flight."""
        ending = False

        def again(client: _Client) -> None:
            self.answered += 1
            if not ending:
                client.send()

        clients = [await self._connected(again) for _ in range(_CONNECTIONS)]
        for client in clients:
            client.send()
        await asyncio.sleep(duration_s)
        ending = True
        for client in clients:
            client.transport.close()

    async def opened(self, per_s: float, duration_s: float) -> None:
        """Start requests at a fixed rate, whatever comes back."""
        idle: list[_Client] = []

        def rest(client: _Client) -> None:
            self.answered += 1
            idle.append(client)

        began_ns = time.perf_counter_ns()
        started = 0
        clients = []
        while (elapsed_ns := time.perf_counter_ns() - began_ns) < duration_s * _NS_PER_S:
            for _ in range(int(elapsed_ns / _NS_PER_S * per_s) - started):
                started += 1
                if not idle:
                    clients.append(await self._connected(rest))
                    idle.append(clients[-1])
                idle.pop().send()
            await asyncio.sleep(0.001)
        for client in clients:
            client.transport.close()

    async def _connected(self, done: Callable[[_Client], None]) -> _Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: _Client(done), "127.0.0.1", self._port)
        return client


class _Framework:
    """The same answers from aiohttp.web on uvloop, written as one writes an application with it."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._scripts = Scripts(seed=settings.seed, tokens=settings.tokens)
        self._lateness = Lateness()
        self._seq = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._chat), web.post("/stats/reset", self._reset)])
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        received_ns = time.perf_counter_ns()
        chat = read_chat(await request.read())
        script = self._scripts.script(chat)
        self._seq += 1
        stamp = identity(self._seq, int(time.time()))
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        response.enable_chunked_encoding()
        for token, piece in enumerate((*script.tokens, script.finish)):
            due_ns = received_ns + round(self._due_s(token) * _NS_PER_S)
            if (wait_ns := due_ns - time.perf_counter_ns()) > 0:
                await asyncio.sleep(wait_ns / _NS_PER_S)
            if token == 0:
                await response.prepare(request)
            # The pieces are framed for the simulator's wire; the framework frames them itself.
            data = stamp.join(piece).replace(DIGEST_HOLE, chat.digest.encode(), 1)
            await response.write(data)
            self._lateness.add(max(0, time.perf_counter_ns() - due_ns))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _due_s(self, token: int) -> float:
        return self._settings.ttft_s + min(token, self._settings.tokens - 1) * self._settings.itl_s

    async def _reset(self, request: web.Request) -> web.Response:
        del request
        shown = {"p50": self._lateness.quantile_s(0.5), "p99": self._lateness.quantile_s(0.99)}
        self._lateness.clear()
        return web.json_response(shown)


def _serve_framework(settings: SimulatorSettings) -> None:
    async def main() -> None:
        runner = web.AppRunner(_Framework(settings).application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    uvloop.run(main())


class _Server(NamedTuple):
    port: int
    pid: int
    #: Starts a new window and returns the lateness of the last one: p50, p99.
    reset: Callable[[], tuple[float | None, float | None]]


@contextlib.contextmanager
def _simulator(settings: SimulatorSettings) -> Iterator[_Server]:
    with SimulatorProcess(settings) as simulator:

        def reset() -> tuple[float | None, float | None]:
            stats = simulator.reset()
            return stats.lateness_p50_s, stats.lateness_p99_s

        port = int(simulator.base_url.removesuffix("/v1").rpartition(":")[2])
        yield _Server(port, simulator.pid, reset)


@contextlib.contextmanager
def _framework(settings: SimulatorSettings) -> Iterator[_Server]:
    command = [sys.executable, __file__, "--framework", msgspec.json.encode(settings).decode()]
    # It reports each client that leaves at the end; that is not what is asked here.
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the framework's process has no pipes")
        port = int(process.stdout.readline())

        def reset() -> tuple[float | None, float | None]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with contextlib.closing(connection):
                connection.request("POST", "/stats/reset")
                shown = msgspec.json.decode(connection.getresponse().read())
            return shown["p50"], shown["p99"]

        yield _Server(port, process.pid, reset)
        process.stdin.close()


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far: fields 14 and 15 of its stat file, counted after the name in parentheses."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(name: str, server: _Server, *, per_s: float | None, window_s: float) -> Shown:
    os.sched_setaffinity(server.pid, _SERVER_CORE)
    load = _Load(server.port)
    warm_up_s = 1.0
    total_s = warm_up_s + window_s + 1.0
    task = asyncio.ensure_future(load.closed(total_s) if per_s is None else load.opened(per_s, total_s))
    await asyncio.sleep(warm_up_s)
    await asyncio.to_thread(server.reset)
    began_ns, began = time.perf_counter_ns(), load.answered
    server_s, load_s = _cpu_s(server.pid), time.process_time()
    await asyncio.sleep(window_s)
    elapsed_s = (time.perf_counter_ns() - began_ns) / _NS_PER_S
    answered = load.answered - began
    server_s, load_s = _cpu_s(server.pid) - server_s, time.process_time() - load_s
    late = await asyncio.to_thread(server.reset)
    await task
    return Shown(name, answered / elapsed_s, server_s / elapsed_s, load_s / elapsed_s, *late)


def _show(title: str, rows: list[Shown]) -> None:
    def ms(value: float | None) -> str:
        return "n/a" if value is None else f"{value * 1000:.2f}"

    lines = [
        f"\n{title}",
        f"{'server':<12}{'streams/s':>12}{'server core':>13}{'load core':>11}{'late p50 ms':>13}{'late p99 ms':>13}",
    ]
    lines.extend(
        f"{row.server:<12}{row.streams_per_s:>12,.0f}{row.server_cores:>13.0%}{row.load_cores:>11.0%}"
        f"{ms(row.late_p50_s):>13}{ms(row.late_p99_s):>13}"
        for row in rows
    )
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Measure both servers under the same loads, one after the other."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--window", type=float, default=5.0, help="seconds measured for each row")
    options.add_argument("--framework", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.framework:
        _serve_framework(msgspec.json.decode(chosen.framework, type=SimulatorSettings))
        return
    os.sched_setaffinity(0, _LOAD_CORE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loads = (
        (f"Instant, {_CONNECTIONS} in flight, 16 tokens", _INSTANT, None),
        ("2,000/s offered: 200 ms, then 16 tokens 10 ms apart", _PACED, 2_000.0),
        ("3,000/s offered: 200 ms, then 16 tokens 10 ms apart", _PACED, 3_000.0),
    )
    for title, settings, per_s in loads:
        rows = []
        for name, opened in (("simulator", _simulator), ("aiohttp.web", _framework)):
            with opened(settings) as server:
                rows.append(uvloop.run(_measure(name, server, per_s=per_s, window_s=chosen.window)))
        _show(title, rows)


if __name__ == "__main__":
    main()
