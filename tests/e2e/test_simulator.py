"""The simulator over the wire: what its answers, limits and faults look like to real clients and to a bare socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import time
from typing import TYPE_CHECKING, Final

import openai
import pytest

from tests.simulator_socket import (
    PROMPT,
    STREAM_END,
    chat,
    connected,
    read_reply,
    read_until,
    request,
    simulator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.simulator.process import SimulatorProcess

_DIGEST: Final = hashlib.sha256(PROMPT.encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def instant() -> Iterator[SimulatorProcess]:
    """A simulator that answers at once, for tests that look at answers only."""
    with simulator() as process:
        yield process


# Real clients.


def test_the_sdk_streams(instant: SimulatorProcess) -> None:
    """The SDK reads a stream to its end: 16 tokens that begin with the prompt's digest, a finish reason, the usage."""
    with openai.OpenAI(base_url=instant.base_url, api_key="none", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": PROMPT}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    contents = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(contents) == 16
    assert "".join(contents).startswith(f"[{_DIGEST}] 本文由模拟器生成。")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16


def test_the_sdk_reads_a_whole_answer_and_the_models(instant: SimulatorProcess) -> None:
    """The SDK reads an answer that is not streamed, cut at max_tokens, and the list of models."""
    with openai.OpenAI(base_url=instant.base_url, api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hello"}], max_tokens=5
        )
        models = client.models.list()
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content is not None
    assert answer.choices[0].message.content.endswith("] This text is simulated. ")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert answer._request_id is not None
    assert answer._request_id.removeprefix("req-") == answer.id.removeprefix("chatcmpl-")
    assert [model.id for model in models] == ["simulated"]


def test_the_asynchronous_sdk_streams_over_aiohttp(instant: SimulatorProcess) -> None:
    """Twenty streams at once over the SDK's aiohttp transport come back whole, each with its own digest."""

    async def one(client: openai.AsyncOpenAI, number: int) -> bool:
        prompt = f"prompt {number}"
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": prompt}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        return text.startswith(f"[{hashlib.sha256(prompt.encode()).hexdigest()[:16]}] This text is simulated. ")

    async def main() -> list[bool]:
        transport = openai.DefaultAioHttpClient()
        async with openai.AsyncOpenAI(
            base_url=instant.base_url, api_key="none", max_retries=0, http_client=transport
        ) as client:
            return await asyncio.gather(*(one(client, number) for number in range(20)))

    assert asyncio.run(main()) == [True] * 20


# The protocol, byte by byte.


def test_pipelined_requests_are_answered_in_order() -> None:
    """Five requests sent in one go over one connection are answered one after the other, in their order."""
    with simulator("ttft=0.01") as process, connected(process) as connection:
        prompts = [f"p{number}" for number in range(5)]
        connection.sendall(b"".join(chat(prompt=prompt) for prompt in prompts))
        read = b""
        while read.count(STREAM_END) < 5:
            read += connection.recv(65_536)
        digests = [hashlib.sha256(prompt.encode()).hexdigest()[:16].encode() for prompt in prompts]
        assert re.findall(rb"\[([0-9a-f]{16})\]", read) == digests
        assert process.stats().peak_in_flight == 1


def test_a_request_in_single_bytes_is_onerequest(instant: SimulatorProcess) -> None:
    """A request that arrives byte by byte, its body in chunks, is answered like any other."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    head = b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with connected(instant) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head + chunks:
            connection.sendall(bytes([byte]))
        assert b"200 OK" in read_until(connection, STREAM_END)


def test_a_connection_closes_when_asked_to(instant: SimulatorProcess) -> None:
    """With `connection: close` the answer says the same and the connection ends; without, it serves on."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with connected(instant) as connection:
        for head, closes in (("", False), ("connection: close\r\n", True)):
            connection.sendall(request(body=body, head=head))
            assert (b"\r\nconnection: close\r\n" in read_until(connection, STREAM_END)) == closes
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("request_bytes", "status", "named"),
    [
        (request("/v1/chat/completion", {}), 404, "/v1/chat/completions"),
        (request("/", {}), 404, "there is no /"),
        (request(method="GET", body={}), 405, "use POST"),
        (request("/v1/models", {}, method="POST"), 405, "use GET"),
        (request(body=b"not json"), 400, "not a chat completion request"),
        (request(body={"model": "m", "messages": []}), 400, "$.messages"),
        (b"nonsense\r\n\r\n", 400, "not an HTTP/1.1 request"),
        (b"GET /health HTTP/1.0\r\n\r\n", 505, "HTTP/1.1"),
        (request("/" + "x" * 9_000, {}), 414, "longer than 8192"),
    ],
)
def test_wrong_requests_get_an_error_that_says_why(
    instant: SimulatorProcess, request_bytes: bytes, status: int, named: str
) -> None:
    """What cannot be answered gets its HTTP status and a message, in the shape in which OpenAI gives errors."""
    with connected(instant) as connection:
        connection.sendall(request_bytes)
        seen, _, body = read_reply(connection)
    error = json.loads(body)["error"]
    assert seen == status
    assert named in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_a_body_beyond_the_bound_is_refused_and_the_reply_arrives(instant: SimulatorProcess) -> None:
    """A body of more than 16 MiB is answered 413 while it is still being sent, and the client can read that."""
    size = 40 * 1024 * 1024
    with connected(instant) as connection:
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {size}\r\n\r\n".encode())
        connection.sendall(b" " * size)
        status, head, _ = read_reply(connection)
        assert status == 413
        assert b"connection: close" in head


# Time.


def test_tokens_come_at_their_times() -> None:
    """No token comes before its time, and the server's own lateness is measured for each."""
    with simulator("ttft=0.1", "itl=0.03", "tokens=4") as process, connected(process) as connection:
        began_ns = time.perf_counter_ns()
        connection.sendall(chat())
        read, tokens = b"", 0
        while not read.endswith(STREAM_END):
            read += connection.recv(65_536)
            arrival_s = (time.perf_counter_ns() - began_ns) / 1e9
            tokens = read.count(b'"content":') - 1  # the role's is empty
            assert arrival_s >= 0.1 + 0.03 * (tokens - 1)
        stats = process.stats()
    assert tokens == stats.sends == 4
    assert stats.lateness_p99_s is not None


def test_a_whole_answer_comes_with_its_last_token() -> None:
    """An answer that is not streamed comes when the last token of a stream would have come."""
    with simulator("ttft=0.1", "itl=0.02", "tokens=6") as process, connected(process) as connection:
        began_ns = time.perf_counter_ns()
        connection.sendall(chat(stream=False))
        status, _, _ = read_reply(connection)
        assert status == 200
        assert time.perf_counter_ns() - began_ns >= 199_000_000
