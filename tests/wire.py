"""Bytes of the OpenAI protocol, for servers whose answers a test writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faultserver import Exchange, Script

USAGE: dict[str, object] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def head(status: str = "200 OK", content_type: str | None = "text/event-stream", *fields: str) -> bytes:
    """Return the head of an answer whose body ends with the connection, unless `fields` say otherwise."""
    lines = [f"HTTP/1.1 {status}", *fields]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([*lines, "", ""]).encode()


def answer(
    body: bytes | dict[str, object], status: str = "200 OK", content_type: str = "application/json", *fields: str
) -> bytes:
    """Return a whole answer of known length."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return head(status, content_type, f"Content-Length: {len(data)}", *fields) + data


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """Return `pieces` in chunked coding."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return coded + b"0\r\n\r\n" if end else coded


def streamed(*pieces: bytes) -> bytes:
    """Return a whole stream in chunked coding, head included."""
    return head("200 OK", "text/event-stream", "Transfer-Encoding: chunked") + chunked(*pieces)


def event(data: dict[str, object] | str, line_end: str = "\n") -> bytes:
    """Return one event; a dictionary becomes JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}{line_end}{line_end}".encode()


def chunk(content: str | None = None, finish_reason: str | None = None, **delta: object) -> dict[str, object]:
    """Return a chunk of a chat completion."""
    fields = delta if content is None else {"content": content, **delta}
    choice = {"index": 0, "delta": fields, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage_chunk(usage: dict[str, object] | None = None) -> dict[str, object]:
    """Return the chunk with the count of tokens."""
    return {**chunk(), "choices": [], "usage": usage or USAGE}


def completion(content: str | None, finish_reason: str | None = "stop", **fields: object) -> dict[str, object]:
    """Return a chat completion that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return {**whole, **fields}


ROLE = event(chunk("", role="assistant"))
STOP = event(chunk(finish_reason="stop"))
DONE = event("[DONE]")
PARTIAL = event(chunk("half"))
HELLO = (ROLE, event(chunk("你好")), event(chunk("👋")), STOP, event(usage_chunk()), DONE)


def sending(*pieces: bytes) -> Script:
    """Return a script that sends each piece in a segment of its own, and waits for the next request."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(*pieces)

    return script


def closing(*pieces: bytes) -> Script:
    """Return a script that sends each piece in a segment of its own, and closes the connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(*pieces)
        exchange.close()

    return script
