"""Bytes of the service's own protocol, for servers whose answers a test writes."""

from __future__ import annotations

import json
from typing import Final

from tests.wire import answer, chunked, head

TASK: Final = "4f2a"

#: The head of a task's stream.
STREAM: Final = head(
    "200 OK",
    "text/event-stream; charset=utf-8",
    "Transfer-Encoding: chunked",
    f"X-Task-Id: {TASK}",
    "X-Execution: pool",
)


def sent(number: int, name: str, **data: object) -> bytes:
    """Return an event as the service sends it."""
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def begun(*events: bytes) -> bytes:
    """Return a stream that has begun and is not over."""
    return STREAM + chunked(*events, end=False)


def whole(*events: bytes) -> bytes:
    """Return a stream with its end."""
    return STREAM + chunked(*events)


def refusal(status: str, code: str, *fields: str) -> bytes:
    """Return an answer that takes no task."""
    return answer({"error": {"code": code, "message": "not now"}}, status, "application/json", *fields)


START: Final = sent(1, "start", task_id=TASK, kind="chat", path="direct", position=0)
CHUNKS: Final = (sent(2, "chunk", text="你好"), sent(3, "chunk", text=" 👋"))
TEXT: Final = "你好 👋"
COMPLETE: Final = sent(
    4,
    "complete",
    finish_reason="stop",
    usage={"prompt_tokens": 7, "completion_tokens": 3, "source": "server"},
    timings={"queue_s": 0.0, "ttft_s": 0.2, "service_s": 0.5, "total_s": 0.5},
    provider="simulator",
    model="m",
    cached=False,
)
