"""An ingestion endpoint on loopback that takes what LangSmith's client sends, and answers what it asks."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The one project, whatever it is called.
PROJECT_ID: Final = str(uuid.UUID(int=7))
TENANT_ID: Final = str(uuid.UUID(int=8))

LIMITS: Final = {
    "use_multipart_endpoint": True,
    "scale_up_qsize_trigger": 1000,
    "scale_up_nthreads_limit": 16,
    "scale_down_nempty_trigger": 4,
    "size_limit": 100,
    "size_limit_bytes": 20_971_520,
}


@dataclass
class Receiver:
    """What came, and how the next requests are answered; any thread may look.

    Attributes:
        url: Its address.
        runs: The runs by id, with all that was posted and patched.
        posted: How often each id was posted.
        bodies: Every body.
        keys: The keys that requests carried.
        paths: Method and path of every request.
        status: How posts are answered.
        headers: Fields of those answers.
        delay_s: How long posts wait until they are taken and answered.
        hold: While it is clear, posts wait for it, and are never answered if `stop` comes first.
        stop: The end.
        lock: Held while something is taken in.
    """

    url: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    posted: dict[str, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hold: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes, content_type: str) -> None:
        """Take in a multipart body."""
        self.bodies.append(body)
        boundary = content_type.partition("boundary=")[2].encode()
        for part in body.split(b"--" + boundary):
            head, _, data = part.strip(b"\r\n").partition(b"\r\n\r\n")
            if b'name="' not in head:
                continue
            name = head.split(b'name="')[1].split(b'"')[0].decode()
            kind, run_id, *field_name = name.split(".")
            run = self.runs.setdefault(run_id, {})
            value = json.loads(data)
            run.update({field_name[0]: value} if field_name else value)
            if kind == "post" and not field_name:
                self.posted[run_id] = self.posted.get(run_id, 0) + 1

    def found(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the runs that a query asks for."""
        traces = {query.get("trace")} if query.get("trace") else set(query.get("id") or ())
        runs = [run for run in self.runs.values() if not traces or run["trace_id"] in traces or run["id"] in traces]
        only_roots = [run for run in runs if not query.get("is_root") or not run.get("parent_run_id")]
        return [{**run, "session_id": PROJECT_ID, "app_path": f"/o/x/projects/p/y/r/{run['id']}"} for run in only_roots]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receiver = receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer what the client asks before it sends."""
        self.server.receiver.paths.append(f"GET {self.path}")
        if self.path.endswith("/info"):
            flags = {"zstd_compression_enabled": False}
            self._answer(200, {"version": "0.12", "batch_ingest_config": LIMITS, "instance_flags": flags})
        elif "/sessions" in self.path:
            known = {"id": PROJECT_ID, "name": "bench", "tenant_id": TENANT_ID, "start_time": "2026-01-01T00:00:00"}
            self._answer(200, [known])
        else:
            self._answer(404, {"detail": "not found"})

    def do_POST(self) -> None:
        """Take runs in, or find them."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        with self.server.receiver.lock:
            self.server.receiver.paths.append(f"POST {self.path}")
            self.server.receiver.keys.add(self.headers.get("x-api-key", ""))
        if self.path.endswith("/runs/query"):
            self._answer(200, {"runs": self.server.receiver.found(json.loads(body)), "cursors": {"next": None}})
            return
        if self._held():
            return
        if self.server.receiver.status < 300:
            self._take(body)
        self._answer(self.server.receiver.status, {"message": "said by the receiver"}, self.server.receiver.headers)

    def _held(self) -> bool:
        """Wait as long as posts are held or delayed; return whether the end came first."""
        if self.server.receiver.stop.wait(self.server.receiver.delay_s):
            return True
        while not self.server.receiver.hold.wait(0.05):
            if self.server.receiver.stop.is_set():
                return True
        return False

    def _take(self, body: bytes) -> None:
        with self.server.receiver.lock:
            self.server.receiver.take(body, self.headers["Content-Type"])

    def _chunks(self) -> bytes:
        """Read a body in chunked coding."""
        whole = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return whole

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver inside the block."""
    receiver = Receiver()
    receiver.hold.set()
    server = _Server(receiver)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
