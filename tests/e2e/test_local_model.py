"""The local model itself: real text over the OpenAI protocol, from a process that ends with the run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import openai
import psutil
import pytest

from bench.clients._base import ClientSettings, Request, Timeouts
from bench.clients.make import make_async_client, make_sync_client
from bench.clock import NS_PER_S
from bench.endpoints.local import MOST_SLOTS, ServerSettings, installed_weights, local_endpoint, running, server_command
from bench.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.clients._base import Reply
    from bench.providers import Endpoint
    from bench.records import JsonObject

pytestmark = pytest.mark.local_model

ROOT: Final = Path(__file__).parents[2]

#: Words that no English text of forty tokens does without.
COMMON_WORDS: Final = frozenset({"the", "of", "and", "to", "in", "is", "a", "for", "that", "are", "with", "as"})

#: Long enough for any answer here on a machine that is busy with everything else.
PATIENCE_NS: Final = 100 * NS_PER_S


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """Run one server for all tests that only ask."""
    with local_endpoint(slots=2) as opened:
        yield opened


@pytest.fixture
def sdk(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    """Return the SDK alone, without our client around it."""
    with openai.OpenAI(
        base_url=endpoint.base_url, api_key="none", max_retries=0, default_headers=endpoint.headers
    ) as client:
        yield client


def request(text: str, *, max_tokens: int) -> Request:
    """Return a streamed request with a short prompt; without a system message the model has a long one of its own."""
    messages: tuple[JsonObject, ...] = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": text})
    return Request(model="any", messages=messages, params={"max_tokens": max_tokens, "temperature": 0}, stream=True)


def settings(transport: str) -> ClientSettings:
    """Return a client's settings with the patience of these tests."""
    patience_s = PATIENCE_NS / NS_PER_S
    return ClientSettings(
        client="openai", transport=transport, slots=16, timeouts=Timeouts(ttft_s=patience_s, idle_s=patience_s)
    )


def is_gone_within(pid: int, timeout_s: float) -> bool:
    """Wait for the end of a process that is not our child."""
    due_ns = time.perf_counter_ns() + round(timeout_s * NS_PER_S)
    while time.perf_counter_ns() < due_ns:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        threading.Event().wait(0.01)
    return False


@pytest.mark.parametrize(
    ("topic", "about"),
    [("renewable energy", "energy"), ("artificial intelligence in medicine", "medic"), ("the ocean", "ocean")],
)
def test_real_text(sdk: openai.OpenAI, endpoint: Endpoint, topic: str, about: str) -> None:
    """Asked about a topic in English it writes English about that topic, streamed, with its tokens counted."""
    stream = sdk.chat.completions.create(
        model=endpoint.model,
        messages=[{"role": "user", "content": f"Write one paragraph about {topic}."}],
        max_tokens=40,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=endpoint.extra_body,
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    words = re.findall(r"[a-z]+", text.lower())
    assert about in text.lower()
    assert len(set(words)) >= 12
    assert len(COMMON_WORDS.intersection(words)) >= 3
    assert sum(len(word) for word in words) > 0.7 * len(text)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in {"stop", "length"}
    usage = chunks[-1].usage
    assert usage is not None
    assert 12 <= usage.completion_tokens <= 40
    assert chunks[-1].model == endpoint.model


def test_first_token_and_prompt_time(sdk: openai.OpenAI, endpoint: Endpoint) -> None:
    """Our first token comes after the server's own time for the prompt, and a prompt asked again costs it anew."""
    for _ in range(2):
        began_ns = time.perf_counter_ns()
        stream = sdk.chat.completions.create(
            model=endpoint.model,
            messages=[{"role": "user", "content": "Name a colour."}],
            max_tokens=2,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=endpoint.extra_body,
        )
        first_ns = None
        for chunk in stream:
            if first_ns is None and chunk.choices and chunk.choices[0].delta.content:
                first_ns = time.perf_counter_ns()
        timings = (chunk.model_extra or {})["timings"]
        assert first_ns is not None
        assert (first_ns - began_ns) / 1e6 > timings["prompt_ms"] > 0
        assert chunk.usage is not None
        assert timings["prompt_n"] == chunk.usage.prompt_tokens


def test_one_after_the_other(endpoint: Endpoint) -> None:
    """Requests one after the other all succeed, in each of our clients: none meets a connection that is closing."""
    requests = [request(f"Say {number}.", max_tokens=1) for number in range(3)]

    async def ask(transport: str) -> list[Reply]:
        client = make_async_client(settings(transport), endpoint)
        replies = [await client.call(each, time.perf_counter_ns() + PATIENCE_NS) for each in requests]
        await client.aclose()
        return replies

    client = make_sync_client(settings("httpx2"), endpoint)
    replies = [client.call(each, time.perf_counter_ns() + PATIENCE_NS) for each in requests]
    client.close()
    replies += asyncio.run(ask("aiohttp")) + asyncio.run(ask("httpx2"))
    assert [reply.error for reply in replies] == [None] * 9


def test_more_than_it_has_slots(endpoint: Endpoint) -> None:
    """Requests beyond the server's slots wait there, and all are answered."""

    async def ask() -> list[Reply]:
        client = make_async_client(settings("aiohttp"), endpoint)
        due_ns = time.perf_counter_ns() + PATIENCE_NS
        calls = [client.call(request(f"Say {number}.", max_tokens=2), due_ns) for number in range(5)]
        replies = await asyncio.gather(*calls)
        await client.aclose()
        return replies

    replies = asyncio.run(ask())
    assert [reply.error for reply in replies] == [None] * 5
    assert all(reply.content for reply in replies)


def test_end_in_the_middle_of_an_answer() -> None:
    """The server ends with the block at once, also while it writes an answer; its slots were bounded."""
    with local_endpoint(slots=10_000) as endpoint:
        assert endpoint.pid is not None
        command = psutil.Process(endpoint.pid).cmdline()
        assert json.loads(command[-1])["slots"] == MOST_SLOTS
        sdk = openai.OpenAI(base_url=endpoint.base_url, api_key="none", max_retries=0, default_headers=endpoint.headers)
        stream = sdk.chat.completions.create(
            model=endpoint.model,
            messages=[{"role": "user", "content": "Write a long story."}],
            max_tokens=1500,
            stream=True,
            extra_body={**endpoint.extra_body, "ignore_eos": True},
        )
        next(iter(stream))
        began_ns = time.perf_counter_ns()
    assert not psutil.pid_exists(endpoint.pid)
    assert time.perf_counter_ns() - began_ns < 5 * NS_PER_S
    stream.close()
    sdk.close()


def test_killed_parent() -> None:
    """The server outlives a Ctrl+C, but not its parent, also if that is killed with SIGKILL."""
    program = """
import sys
from bench.endpoints.local import local_endpoint
with local_endpoint(slots=1) as endpoint:
    sys.stdout.write(f"{endpoint.pid} {endpoint.base_url}\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        words = parent.stdout.readline().split()
        server = int(words[0])
        os.kill(server, signal.SIGINT)
        with openai.OpenAI(base_url=words[1], api_key="none", max_retries=0) as sdk:
            sdk.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hi."}], max_tokens=4)
        assert parent.poll() is None
        parent.kill()
        assert is_gone_within(server, 5.0)


def test_weights_that_are_none(tmp_path: Path) -> None:
    """A file that is no model is an error with the server's own words."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(installed_weights(sys.path).read_bytes()[:100_000])
    command = server_command(ServerSettings(weights=str(broken), name="broken", slots=1, threads=1))
    with pytest.raises(EndpointError, match=r"ended with code 1(.|\n)*broken\.gguf"), running(command):
        pytest.fail("it came up with a broken model")
