"""The client that has the service do each request: what it makes of the service's events, and of their absence."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bench.clients._base import ClientSettings, Reply, Request, Timeouts
from bench.clients.make import make_async_client, make_sync_client
from bench.clock import NS_PER_S
from bench.config import ConcurrentConfig
from bench.errors import ConfigError
from bench.providers import Endpoint, Secret
from tests.faultserver import FaultServer
from tests.service_wire import CHUNKS, COMPLETE, START, TEXT, begun, refusal, sent, whole
from tests.wire import answer

if TYPE_CHECKING:
    from tests.faultserver import Exchange

ASKED = Request(model="m", messages=({"role": "user", "content": "你好"},), params={}, stream=True)


def settings(client: str = "service-pooled", timeouts: Timeouts | None = None) -> ClientSettings:
    """Return what a client is made from."""
    return ClientSettings(
        client=client, transport="httpx2", slots=2, timeouts=timeouts or Timeouts(), reads_limits=False
    )


def ask(
    answers: bytes, *, client: str = "service-pooled", request: Request = ASKED, timeouts: Timeouts | None = None
) -> tuple[Reply, list[Exchange]]:
    """Return what becomes of one request whose answer is given, and what the server was asked."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(answers)
        if answers.endswith(b"\r\n\r\n") or b"Content-Length" in answers:
            return
        if timeouts is None:
            exchange.close()
        await exchange.gone()

    async def call(base_url: str) -> Reply:
        endpoint = Endpoint(provider="test", base_url=base_url, model="m", api_key=Secret("key-of-a-test"))
        made = make_async_client(settings(client, timeouts), endpoint)
        try:
            return await made.call(request, time.perf_counter_ns() + 10 * NS_PER_S)
        finally:
            await made.aclose()

    with FaultServer(script) as server:
        return asyncio.run(call(server.base_url.removesuffix("/v1"))), server.exchanges


@pytest.mark.parametrize(
    ("client", "target"), [("service-direct", "/chat/stream"), ("service-pooled", "/chat/stream/async")]
)
def test_a_task_is_a_request(client: str, target: str) -> None:
    """A message becomes a task of the path that the client is named for, and its pieces are timed as they come."""
    reply, (asked,) = ask(whole(START, *CHUNKS, COMPLETE), client=client)
    assert (asked.target, asked.json, asked.headers["authorization"]) == (
        target,
        {"topic": "你好"},
        "Bearer key-of-a-test",
    )
    assert (reply.error, reply.content, reply.finish_reason, reply.server_model) == (None, TEXT, "stop", "m")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.token_source) == (7, 3, "server")
    assert reply.headers_ns is not None
    instants_ns = [reply.sent_ns, reply.headers_ns, *reply.content_ns, reply.end_ns]
    assert (len(reply.content_ns), instants_ns) == (2, sorted(instants_ns))


@pytest.mark.parametrize(
    ("answers", "error_type"),
    [
        (refusal("429 Too Many Requests", "full", "Retry-After: 7"), "rate_limited"),
        (refusal("401 Unauthorized", "unauthorized"), "auth"),
        (whole(START, sent(2, "error", code="timeout_total", message="late")), "timeout_total"),
        (whole(START, sent(2, "error", code="queue_timeout", message="late")), "server_error"),
        (whole(START, CHUNKS[0]), "truncated"),
        (begun(START, CHUNKS[0]), "stream_reset"),
        (whole(START, b"event: chunk\ndata: {\n\n"), "bad_sse"),
        (answer(b"<h1>log in</h1>", "200 OK", "text/html"), "bad_content_type"),
    ],
)
def test_failures(answers: bytes, error_type: str) -> None:
    """Whatever goes wrong is a reply with the type of error that other clients have for it."""
    reply, _ = ask(answers)
    assert reply.error is not None
    assert reply.error.error_type == error_type
    assert reply.error.retry_after_s == (7.0 if error_type == "rate_limited" else None)


def test_silence() -> None:
    """A task that falls silent is given up after the time for silence."""
    reply, _ = ask(begun(START, CHUNKS[0]), timeouts=Timeouts(idle_s=0.05))
    assert reply.error is not None
    assert (reply.error.error_type, reply.content) == ("timeout_idle", "你好")


def test_more_than_a_message() -> None:
    """What the service cannot be asked for is not sent."""
    both = Request(model="m", messages=ASKED.messages * 2, params={}, stream=True)
    reply, exchanges = ask(b"", request=both)
    assert reply.error is not None
    assert (reply.error.error_type, exchanges) == ("bad_request", [])


def test_event_loops_alone() -> None:
    """A mode of threads is refused before a run begins, and nothing makes the client for one."""
    with pytest.raises(ConfigError, match="event loop"):
        ConcurrentConfig(client="service-direct", mode="threading")
    with pytest.raises(ConfigError, match="event loop"):
        make_sync_client(settings(), Endpoint(provider="test", base_url="http://127.0.0.1:1", model="m", api_key=None))
