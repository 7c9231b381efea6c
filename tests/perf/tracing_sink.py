"""An endpoint in a process of its own that takes every trace, counts spans, and looks at nothing else."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import threading
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from tests.langsmith_receiver import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

#: It stands for a machine elsewhere: what it takes of this one is to be the least.
_NICENESS: Final = 19

#: The part with which a span begins.
_SPAN: Final = re.compile(rb'name="post\.[0-9a-f-]{36}"')

_INFO: Final = {
    "version": "0.12",
    "batch_ingest_config": LIMITS,
    "instance_flags": {"zstd_compression_enabled": False},
}


@dataclass(frozen=True)
class Sink:
    """Where it is."""

    url: str
    pid: int

    def taken(self) -> int:
        """Return how many spans it has taken so far."""
        with urllib.request.urlopen(f"{self.url}/taken") as answer:  # noqa: S310 - our own address
            return int(json.load(answer)["spans"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.spans = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer what a client asks before it sends, and how much has come."""
        if self.path == "/taken":
            self._answer(200, {"spans": self.server.spans})
        else:
            self._answer(*((200, _INFO) if self.path.endswith("/info") else (404, {})))

    def do_POST(self) -> None:
        """Take a body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.spans += len(_SPAN.findall(body))
        self._answer(202, {})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _serve(ready: Connection) -> None:
    os.nice(_NICENESS)
    server = _Server()
    ready.send(server.server_address[1])
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


@contextlib.contextmanager
def sinking() -> Iterator[Sink]:
    """Run one inside the block."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield Sink(f"http://127.0.0.1:{here.recv()}", process.pid or 0)
    finally:
        process.terminate()
        process.join()
