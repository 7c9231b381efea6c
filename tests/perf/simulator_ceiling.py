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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings

_NS_PER_S: Final = 1_000_000_000
_END: Final = b"\r\n0\r\n\r\n"
_SERVER_CORE: Final = {0}
_LOAD_CORE: Final = {1}
_INSTANT: Final = SimulatorSettings()
_PACED: Final = SimulatorSettings(ttft_s=0.2, itl_s=0.01)
_CONNECTIONS: Final = 64
#: How long a paced answer takes.
_ANSWER_S: Final = _PACED.ttft_s + _PACED.itl_s * (_PACED.tokens - 1)
#: A framework that falls behind takes its time with this, too.
_ASK_TIMEOUT_S: Final = 60

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

        clients = await self._connected(_CONNECTIONS, again)
        for client in clients:
            client.send()
        await asyncio.sleep(duration_s)
        ending = True
        for client in clients:
            client.transport.close()

    async def opened(self, per_s: float, duration_s: float) -> None:
        """Start requests at a fixed rate, as long as a connection is free: a server that falls behind gets fewer."""
        idle: list[_Client] = []

        def rest(client: _Client) -> None:
            self.answered += 1
            idle.append(client)

        # A third more than a server in time needs.
        clients = await self._connected(round(per_s * _ANSWER_S * 4 / 3), rest)
        idle.extend(clients)
        began_ns = time.perf_counter_ns()
        due = 0
        while (elapsed_ns := time.perf_counter_ns() - began_ns) < duration_s * _NS_PER_S:
            for _ in range(int(elapsed_ns / _NS_PER_S * per_s) - due):
                due += 1
                if idle:
                    idle.pop().send()
            await asyncio.sleep(0.001)
        for client in clients:
            client.transport.close()

    async def _connected(self, count: int, done: Callable[[_Client], None]) -> list[_Client]:
        loop = asyncio.get_running_loop()
        return [(await loop.create_connection(lambda: _Client(done), "127.0.0.1", self._port))[1] for _ in range(count)]


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
    program = Path(__file__).with_name("plain_framework.py")
    command = [sys.executable, str(program), msgspec.json.encode(settings).decode()]
    # It reports each client that leaves at the end; that is not what is asked here.
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the framework's process has no pipes")
        port = int(process.stdout.readline())

        def reset() -> tuple[float | None, float | None]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_TIMEOUT_S)
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


def _place(pid: int, core: set[int], *, realtime: bool) -> None:
    os.sched_setaffinity(pid, core)
    if realtime:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))


async def _measure(name: str, server: _Server, *, per_s: float | None, window_s: float) -> Shown:
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
    options.add_argument(
        "--realtime", action="store_true", help="run before all else on a machine that is not idle (needs root)"
    )
    chosen = options.parse_args()
    _place(0, _LOAD_CORE, realtime=chosen.realtime)
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
                _place(server.pid, _SERVER_CORE, realtime=chosen.realtime)
                rows.append(uvloop.run(_measure(name, server, per_s=per_s, window_s=chosen.window)))
        _show(title, rows)


if __name__ == "__main__":
    main()
