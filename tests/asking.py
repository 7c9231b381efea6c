"""Requests to the service over a bare HTTP connection, and its streams event by event."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from bench.records import JsonObject

#: Longer than anything that a test waits for.
_TIMEOUT_S: Final = 30

ADDRESSES: Final = {
    f"{address}{ending}": (kind, path)
    for kind, address in (
        ("generate", "/content/generate/stream"),
        ("optimize", "/content/optimize/stream"),
        ("chat", "/chat/stream"),
    )
    for path, ending in (("direct", ""), ("pooled", "/async"))
}


@dataclass(frozen=True)
class Answer:
    """What a request came to."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the service says
        """Its body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """What programs go by in a problem."""
        return str(self.json["error"]["code"])


@dataclass(frozen=True)
class Told:
    """An event of a stream."""

    number: int
    name: str
    data: JsonObject


class Stream:
    """A stream that is being read."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.headers = _headers(response)
        self.task_id = self.headers["x-task-id"]

    def __iter__(self) -> Iterator[Told]:
        """Yield its events as they arrive."""
        fields: dict[str, str] = {}
        for line in self._response:
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "id" in fields:
                yield Told(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                fields = {}

    def until(self, name: str) -> list[Told]:
        """Read up to the first event of a name."""
        told = []
        for event in self:
            told.append(event)
            if event.name == name:
                break
        return told


def ask(url: str, method: str, target: str, body: object = None, **headers: str) -> Answer:
    """Send a request and return the whole answer; `_` in a header's name stands for `-`, a body becomes JSON."""
    with _connected(url) as connection:
        _send(connection, method, target, body, headers)
        response = connection.getresponse()
        return Answer(response.status, _headers(response), response.read())


def topic(text: str = "海上的风", **more: object) -> JsonObject:
    """Return the body of a task."""
    return {"topic": text, **more}


@contextlib.contextmanager
def streaming(
    url: str, target: str, body: object = None, *, tls: ssl.SSLContext | None = None, **headers: str
) -> Iterator[Stream]:
    """Open a stream for the block: a new task's with a body, else one that is there.

    Raises:
        AssertionError: The service answered something else.
    """
    with _connected(url, tls) as connection:
        _send(connection, "GET" if body is None else "POST", target, body, headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise AssertionError(response.status, response.read())
        with response:
            yield Stream(response)


@contextlib.contextmanager
def _connected(url: str, tls: ssl.SSLContext | None = None) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = (
        http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=tls)
    )
    with contextlib.closing(connection):
        yield connection


def _send(
    connection: http.client.HTTPConnection, method: str, target: str, body: object, headers: Mapping[str, str]
) -> None:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, target, data, {**kind, **named})


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
