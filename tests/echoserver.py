"""A server that repeats what it was sent: the key, in every place where a server can, or the prompt as its answer."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _answer(head: str, body: str, kind: str = "application/json") -> str:
    return f"{head}\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n{body}"


def _chunk(content: str, finish: str | None) -> str:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return f"data: {json.dumps({'id': '1', 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def _error(key: str) -> str:
    said = f"Incorrect API key provided: {key}. You sent 'Authorization: Bearer {key}'."
    return json.dumps({"error": {"message": said, "code": key}})


#: Topic: the whole answer, made of the key; any other topic is answered with its prompt.
ECHOES: Final[dict[str, Callable[[str], str]]] = {
    "in a 401": lambda key: _answer("HTTP/1.1 401 Unauthorized", _error(key)),
    "in a page": lambda key: _answer("HTTP/1.1 403 No", f"<a href='?k={quote(key, safe='')}'>{key}</a>", "text/html"),
    "in the reason": lambda key: _answer(f"HTTP/1.1 401 {key}", ""),
    "in an address": lambda key: _answer(
        f"HTTP/1.1 302 Found\r\nLocation: https://h.example/?key={quote(key, safe='')}&again={key}", ""
    ),
    "in the content type": lambda key: _answer("HTTP/1.1 200 OK", key, f"text/{key}"),
    "in a header": lambda key: _answer(f"HTTP/1.1 400 Bad\r\nX-Key: {key}\r\nRetry-After: {key}", _error(key)),
    "in a stream": lambda key: _answer("HTTP/1.1 200 OK", f"data: {_error(key)}\n\n", "text/event-stream"),
    "in a broken chunk": lambda key: _answer("HTTP/1.1 200 OK", f'data: {{"a": "{key}\n\n', "text/event-stream"),
    "in broken JSON": lambda key: _answer("HTTP/1.1 200 OK", f'{{"choices": "{key}'),
    "in no HTTP": lambda key: f"SSH-2.0-{key}\r\n",
}

#: The topic whose answer waits until it is let go.
HELD: Final = "held back"


def _repeated(body: str) -> str:
    """Return the answer whose text is the prompt, in two pieces; JSON's escapes carry what UTF-8 cannot."""
    text = json.loads(body)["messages"][-1]["content"]
    middle = len(text) // 2
    chunks = f"{_chunk(text[:middle], None)}{_chunk(text[middle:], None)}{_chunk('', 'stop')}data: [DONE]\n\n"
    return _answer("HTTP/1.1 200 OK", chunks, "text/event-stream")


class _Handler(socketserver.StreamRequestHandler):
    """Answers one request."""

    server: EchoServer

    def handle(self) -> None:
        """Read the request and answer as its topic asks."""
        head: dict[str, str] = {}
        self.rfile.readline()
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            head[name.lower()] = value.strip()
        body = self.rfile.read(int(head.get("content-length", "0"))).decode()
        key = head.get("authorization", "").removeprefix("Bearer ")
        self.server.keys.add(key)
        if HELD in body:
            self.server.waiting.set()
            self.server.let_go.wait(60)
        wanted = next((topic for topic in ECHOES if topic in body), None)
        answer = _repeated(body) if wanted is None else ECHOES[wanted](key)
        with contextlib.suppress(OSError):
            self.wfile.write(answer.encode())


class EchoServer(socketserver.ThreadingTCPServer):
    """The server.

    Attributes:
        keys: Every key that it was sent.
        waiting: Set once a request is held back.
        let_go: Set by the test to have it answered.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: set[str] = set()
        self.waiting = threading.Event()
        self.let_go = threading.Event()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextlib.contextmanager
def echo_server() -> Iterator[EchoServer]:
    """Run one inside the block."""
    with EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            server.shutdown()
            thread.join()
