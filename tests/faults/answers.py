"""Faults that are over at once: what each answer is worth."""

from __future__ import annotations

import asyncio
import gzip
import json
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from tests.faults.faults import OK, Fault, fault, passing
from tests.wire import (
    DONE,
    HELLO,
    PARTIAL,
    ROLE,
    STOP,
    answer,
    chunk,
    chunked,
    closing,
    completion,
    event,
    head,
    sending,
    streamed,
    usage_chunk,
)

if TYPE_CHECKING:
    from tests.faultserver import Exchange, Script

HALF: Final = "half"
WHOLE: Final = "你好👋"
EVENTS: Final = b"".join(HELLO)
CHUNKED: Final = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")
HTML: Final = b"<html><body>Please log in</body></html>"
NOON: Final = formatdate(1_800_000_000, usegmt=True)
A_SECOND_LATER: Final = formatdate(1_800_000_001, usegmt=True)

#: 270 kB that unpack to 256 MiB: as many members of one MiB each.
BOMB: Final = gzip.compress(bytes(1024 * 1024)) * 256


def resetting(sent: bytes) -> Script:
    """Return a script that sends something and resets the connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(sent, b"")
        exchange.reset()

    return script


def refusal(*fields: str, status: str = "429 Too Many Requests") -> Script:
    """Return a script that refuses with these header fields."""
    return sending(answer({"error": {"message": "not now"}}, status, "application/json", *fields))


def in_pieces(raw: bytes, size: int) -> Script:
    """Return a script that sends an answer a few bytes at a time."""

    async def script(exchange: Exchange) -> None:
        for place in range(0, len(raw), size):
            await exchange.send(raw[place : place + size])
            await asyncio.sleep(0)

    return script


def null_deltas() -> bytes:
    """Return a stream whose chunks carry null wherever a field may be missing."""
    empty = {"content": None, "role": None, "tool_calls": None, "reasoning_content": None}
    nulls = {**chunk(), "choices": [{"index": 0, "delta": empty, "finish_reason": None}], "usage": None}
    return streamed(event(nulls), *HELLO[:2], event(nulls), *HELLO[2:])


def unknown_fields() -> bytes:
    """Return a stream whose chunks have fields that nobody announced."""
    extra = {"x_vendor": {"a": [1, None, {"b": "c"}]}, "choices_v2": [], "service_tier": 7, "system_fingerprint": None}
    chunks = [{**chunk(text), **extra} for text in ("你好", "👋")]
    return streamed(*map(event, chunks), event({**chunk(finish_reason="stop"), **extra}), event(usage_chunk()), DONE)


def two_lines() -> bytes:
    """Return a stream with an event whose data stands on two lines."""
    first, _, second = json.dumps(chunk(WHOLE)).partition(" ")
    return streamed(f"data: {first}\ndata: {second}\n\n".encode(), STOP, DONE)


#: Every one is met by a task of its own that asks for a stream.
STREAMS: Final[tuple[Fault, ...]] = (
    fault(
        "F-22",
        "half a character without its other half",
        sending(streamed(event(json.dumps(chunk("\ud83d!"))), STOP, DONE)),
        OK,
        content="\ufffd!",
    ),
    # -- connections that break
    fault("F-25", "reset before the answer", resetting(b""), "stream_reset", unanswered=True),
    fault("F-25", "reset after the head", resetting(CHUNKED), "stream_reset"),
    fault(
        "F-25", "reset in mid-stream", resetting(CHUNKED + chunked(PARTIAL, end=False)), "stream_reset", content=HALF
    ),
    fault("F-26", "closed before the answer", closing(b""), "stream_reset", unanswered=True),
    fault("F-26", "closed within the head", closing(b"HTTP/1.1 200 OK\r\nContent-Ty"), "stream_reset"),
    fault(
        "F-26",
        "chunked body cut between chunks",
        closing(CHUNKED + chunked(PARTIAL, end=False)),
        "stream_reset",
        content=HALF,
    ),
    fault(
        "F-26",
        "chunked body cut within a chunk",
        closing(CHUNKED + chunked(PARTIAL, end=False) + b"ff\r\nda"),
        "stream_reset",
        content=HALF,
    ),
    fault(
        "F-26",
        "shorter than its length",
        closing(head("200 OK", "text/event-stream", "Content-Length: 9999") + PARTIAL),
        "stream_reset",
        content=HALF,
    ),
    fault(
        "F-26",
        "length of a chunk that is no number",
        closing(CHUNKED + b"zz\r\n" + EVENTS),
        "stream_reset",
        "bad_content_type",
    ),
    # -- streams that end early
    fault("F-27", "no finish reason, no end mark", sending(streamed(PARTIAL)), "truncated", content=HALF),
    fault("F-27", "no finish reason, but an end mark", sending(streamed(PARTIAL, DONE)), "truncated", content=HALF),
    fault("F-27", "closed without a finish reason", closing(head() + PARTIAL), "truncated", content=HALF),
    fault("F-27", "closed within an event", closing(head() + PARTIAL + STOP[:20]), "truncated", content=HALF),
    fault("F-27", "a finish reason, but no end mark", sending(streamed(*HELLO[:-1])), OK, content=WHOLE),
    fault(
        "F-27", "closed with a finish reason, no end mark", closing(head() + b"".join(HELLO[:-1])), OK, content=WHOLE
    ),
    # -- forms that the format allows
    fault("F-31", "no blank after data:", closing(head() + EVENTS.replace(b"data: ", b"data:")), OK, content=WHOLE),
    fault(
        "F-31",
        "comments between events",
        closing(head() + b": ping\n\n" + b": ping\n\n".join(HELLO)),
        OK,
        content=WHOLE,
    ),
    fault("F-31", "CRLF", closing(head() + EVENTS.replace(b"\n", b"\r\n")), OK, content=WHOLE),
    fault("F-31", "CR alone", closing(head() + EVENTS.replace(b"\n", b"\r")), OK, content=WHOLE),
    fault("F-31", "all events in one read", sending(streamed(EVENTS)), OK, content=WHOLE),
    fault("F-31", "seven bytes a read", in_pieces(streamed(*HELLO), 7), OK, content=WHOLE),
    fault(
        "F-31",
        "a byte a read",
        in_pieces(
            CHUNKED
            + b"".join(chunked(EVENTS[place : place + 1], end=False) for place in range(len(EVENTS)))
            + b"0\r\n\r\n",
            1,
        ),
        OK,
        content=WHOLE,
    ),
    fault("F-31", "an event on two lines", sending(two_lines()), OK, content=WHOLE),
    fault("F-31", "byte order mark", sending(streamed(b"\xef\xbb\xbf" + b"".join(HELLO[1:]))), OK, content=WHOLE),
    fault(
        "F-31",
        "event, id and retry fields",
        sending(streamed(b"event: x\nid: 1\nretry: 5\n" + EVENTS)),
        OK,
        content=WHOLE,
    ),
    fault("F-31", "unknown fields", sending(unknown_fields()), OK, content=WHOLE),
    fault("F-31", "null deltas", sending(null_deltas()), OK, content=WHOLE),
    fault("F-31", "usage missing", sending(streamed(*HELLO[:4], DONE)), OK, content=WHOLE),
    fault(
        "F-31",
        "usage that is no count",
        sending(streamed(*HELLO[:4], event(usage_chunk({"prompt_tokens": "many", "completion_tokens": -1})), DONE)),
        OK,
        content=WHOLE,
    ),
    fault(
        "F-31",
        "events after the end mark",
        sending(streamed(*HELLO, event("late"), event(chunk("late")))),
        OK,
        content=WHOLE,
    ),
    fault("F-31", "rubbish after the end mark", closing(head() + EVENTS + b"\xff\xfe\x00 late"), OK, content=WHOLE),
    fault(
        "F-31",
        "an answer after the answer",
        sending(streamed(*HELLO) + streamed(event(chunk("late")))),
        OK,
        content=WHOLE,
    ),
    # -- and those that it does not
    fault(
        "F-31",
        "an event that is no JSON",
        sending(streamed(PARTIAL, event("{not json"), STOP, DONE)),
        "bad_sse",
        content=HALF,
    ),
    fault(
        "F-31",
        "an event that is a number",
        sending(streamed(PARTIAL, event("17"), STOP, DONE)),
        "bad_sse",
        content=HALF,
    ),
    fault(
        "F-31",
        "an event that is no UTF-8",
        sending(streamed(PARTIAL, b'data: "\xff\xfe"\n\n', STOP, DONE)),
        "bad_sse",
        content=HALF,
    ),
    fault(
        "F-31",
        "text that is no UTF-8",
        sending(streamed(PARTIAL, event(chunk("xyz")).replace(b"y", b"\xff"), STOP, DONE)),
        "bad_sse",
        content=HALF,
    ),
    fault(
        "F-31",
        "nesting without end",
        sending(streamed(PARTIAL, event("[" * 100_000), STOP, DONE)),
        "bad_sse",
        content=HALF,
    ),
    # -- what is no answer, though it says 200
    fault("F-32", "HTML with 200", sending(answer(HTML, content_type="text/html")), "bad_content_type"),
    fault("F-32", "HTML that says it is a stream", sending(answer(HTML, content_type="text/event-stream")), "empty"),
    fault(
        "F-32", "a stream that says it is HTML", sending(answer(EVENTS, content_type="text/html")), "bad_content_type"
    ),
    fault("F-32", "JSON instead of a stream", sending(answer(completion("hi"))), "bad_content_type"),
    fault("F-32", "no content type", closing(head(content_type=None) + EVENTS), OK, content=WHOLE),
    fault("F-32", "error with 200", sending(answer({"error": {"message": "boom"}})), "error_in_200"),
    fault(
        "F-32",
        "error in the stream",
        sending(streamed(PARTIAL, event({"error": {"message": "boom"}}), DONE)),
        "error_in_200",
        content=HALF,
    ),
    fault("F-32", "no choices", sending(streamed(event({**chunk(), "choices": []}), DONE)), "truncated"),
    fault("F-32", "null for content", sending(streamed(ROLE, STOP, DONE)), "empty"),
    fault("F-32", "no event at all", sending(streamed()), "empty"),
    fault("F-32", "204 without a body", sending(head("204 No Content", None)), "empty", "bad_content_type"),
    fault(
        "F-32",
        "stopped by a filter",
        sending(streamed(PARTIAL, event(chunk(finish_reason="content_filter")))),
        "content_filter",
        content=HALF,
    ),
    fault(
        "F-32",
        "stopped at the longest length",
        sending(streamed(PARTIAL, event(chunk(finish_reason="length")))),
        OK,
        content=HALF,
    ),
    fault("F-32", "not HTTP", closing(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), "bad_content_type"),
    # -- sizes
    fault(
        "F-33",
        "gzip bomb",
        sending(answer(BOMB, "200 OK", "text/event-stream", "Content-Encoding: gzip")),
        "bad_content_type",
    ),
    fault(
        "F-33",
        "gzip bomb with an error's status",
        sending(answer(BOMB, "500 Internal Server Error", "application/json", "Content-Encoding: gzip")),
        "bad_content_type",
        "server_error",
    ),
    fault(
        "F-33",
        "brotli that nobody asked for",
        sending(answer(b"\x8b\x00", "200 OK", "text/event-stream", "Content-Encoding: br")),
        "bad_content_type",
    ),
    fault(
        "F-34",
        "a header of 200 kB",
        closing(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n"),
        "too_large",
    ),
    fault(
        "F-34",
        "20,000 headers",
        closing(
            b"HTTP/1.1 200 OK\r\n"
            + b"".join(b"X-%d: y\r\n" % number for number in range(20_000))
            + b"Content-Length: 0\r\n\r\n"
        ),
        "too_large",
    ),
    # -- refusals
    passing("F-35", "429, Retry-After in seconds", refusal("Retry-After: 1"), gap_s=1.0),
    passing("F-35", "429, Retry-After with a fraction", refusal("Retry-After: 0.5"), gap_s=0.5),
    passing("F-35", "429, Retry-After as a date", refusal(f"Retry-After: {A_SECOND_LATER}", f"Date: {NOON}"), gap_s=1),
    passing("F-35", "429, retry-after-ms", refusal("retry-after-ms: 700", "Retry-After: 30"), gap_s=0.7),
    passing("F-35", "429, Retry-After below zero", refusal("Retry-After: -3")),
    passing("F-35", "429, Retry-After in the past", refusal(f"Retry-After: {NOON}", f"Date: {A_SECOND_LATER}")),
    passing("F-35", "429, Retry-After that says nothing", refusal("Retry-After: soon")),
    passing("F-35", "429 without Retry-After", refusal()),
    passing("F-35", "503 with Retry-After", refusal("Retry-After: 0.5", status="503 Service Unavailable"), gap_s=0.5),
    fault(
        "F-35",
        "429, Retry-After of ten minutes",
        refusal("Retry-After: 600"),
        "rate_limited",
        words="more than the cap of 60 s",
    ),
    fault("F-35", "429, Retry-After beyond the deadline", refusal("Retry-After: 55"), "rate_limited", words="s left"),
    fault("F-36", "500 for ever", refusal(status="500 Internal Server Error"), "server_error"),
    fault("F-36", "502 with a page of HTML", sending(answer(HTML, "502 Bad Gateway", "text/html")), "server_error"),
    fault("F-37", "400", refusal(status="400 Bad Request"), "bad_request"),
    fault("F-37", "401", refusal(status="401 Unauthorized"), "auth"),
    fault("F-37", "403", refusal(status="403 Forbidden"), "auth"),
    fault("F-37", "404", refusal(status="404 Not Found"), "not_found"),
    fault("F-37", "422", refusal(status="422 Unprocessable Content"), "bad_request"),
    fault(
        "F-39",
        "redirect to the same server",
        sending(answer(b"", "307 Temporary Redirect", "text/plain", "Location: /v1/elsewhere")),
        "bad_request",
    ),
    fault(
        "F-39",
        "redirect to another server",
        sending(answer(b"", "302 Found", "text/plain", "Location: http://127.0.0.1:9/v1/chat/completions")),
        "bad_request",
    ),
)

#: Every one is met by a task of its own that asks for no stream.
BODIES: Final[tuple[Fault, ...]] = (
    fault(
        "F-25",
        "reset within a body",
        resetting(head("200 OK", "application/json", "Content-Length: 99") + b'{"ch'),
        "stream_reset",
    ),
    fault(
        "F-26",
        "a body shorter than its length",
        closing(head("200 OK", "application/json", "Content-Length: 99") + b'{"ch'),
        "stream_reset",
    ),
    fault("F-27", "half of a JSON body", sending(answer(b'{"choices": [{"mess')), "truncated"),
    fault("F-27", "a body without a finish reason", sending(answer(completion("x", None))), "truncated"),
    fault("F-32", "HTML body", sending(answer(HTML, content_type="text/html")), "bad_content_type"),
    fault("F-32", "HTML body that says it is JSON", sending(answer(HTML)), "bad_content_type"),
    fault("F-32", "error body with 200", sending(answer({"error": {"message": "boom"}})), "error_in_200"),
    fault("F-32", "a body without choices", sending(answer(completion("x", choices=[]))), "empty"),
    fault("F-32", "a body with null for content", sending(answer(completion(None))), "empty"),
    fault("F-32", "a body that is a list", sending(answer(b"[1]")), "bad_content_type"),
    fault("F-32", "an empty body", sending(answer(b"")), "empty"),
    fault("F-32", "a body stopped by a filter", sending(answer(completion("x", "content_filter"))), "content_filter"),
    fault(
        "F-32",
        "a body with unknown fields",
        sending(answer(completion(WHOLE, x_vendor={"a": [1]}, created="now"))),
        OK,
        content=WHOLE,
    ),
    fault("F-32", "a body without usage", sending(answer(completion(WHOLE, usage=None))), OK, content=WHOLE),
    fault(
        "F-33",
        "gzip bomb for a body",
        sending(answer(BOMB, "200 OK", "application/json", "Content-Encoding: gzip")),
        "bad_content_type",
    ),
)
