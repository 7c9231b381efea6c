"""The simulator and a bare socket to it, for tests that look at every byte."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from typing import TYPE_CHECKING, Final

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.simulator.stats import SimulatorStats

PROMPT: Final = "Write about 新能源."
STREAM_END: Final = b"data: [DONE]\n\n\r\n0\r\n\r\n"


@contextlib.contextmanager
def simulator(*pairs: str) -> Iterator[SimulatorProcess]:
    """Run a simulator inside the block; the pairs are its settings."""
    with SimulatorProcess(SimulatorSettings.from_pairs(pairs)) as process:
        yield process


def address(process: SimulatorProcess) -> tuple[str, int]:
    """Return where a simulator listens."""
    host, port = process.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    return host, int(port)


@contextlib.contextmanager
def connected(process: SimulatorProcess) -> Iterator[socket.socket]:
    """Open a connection for the block; what it waits for longer than ten seconds fails the test."""
    with socket.create_connection(address(process), timeout=10) as connection:
        yield connection


def request(path: str = "/v1/chat/completions", body: object = None, *, method: str = "POST", head: str = "") -> bytes:
    """Return the bytes of a request; a body that is not bytes becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data


def chat(*, stream: bool = True, prompt: str = PROMPT, **changes: object) -> bytes:
    """Return the bytes of a chat completion request."""
    return request(body={"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": stream, **changes})


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until what was read ends so, or until the connection does."""
    read = bytearray()
    while not read.endswith(end):
        part = connection.recv(65_536)
        if not part:
            break
        read += part
    return bytes(read)


def read_into(read: bytearray, connection: socket.socket) -> None:
    """Read until the connection ends or fails; what came before that is kept."""
    while part := connection.recv(65_536):
        read += part


def read_reply(connection: socket.socket) -> tuple[int, bytes, bytes]:
    """Read one reply of known length: its status, its head and its body."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += connection.recv(65_536)
    head, _, body = read.partition(b"\r\n\r\n")
    length = int(re.findall(rb"content-length: (\d+)", head)[0])
    while len(body) < length:
        part = connection.recv(65_536)
        if not part:
            break
        body += part
    return int(head.split()[1]), head, body


def settled(process: SimulatorProcess, condition: Callable[[SimulatorStats], bool]) -> SimulatorStats:
    """Ask for the counts until they are as expected, ten seconds at most."""
    until_ns = time.perf_counter_ns() + 10_000_000_000
    stats = process.stats()
    while not condition(stats) and time.perf_counter_ns() < until_ns:
        stats = process.stats()
    return stats
