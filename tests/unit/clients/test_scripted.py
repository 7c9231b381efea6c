"""The scripted client: the same answers from threads and on an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bench.clients._base import ClientSettings, Reply, Request, Timeouts
from bench.clients.make import make_async_client, make_sync_client
from bench.clients.scripted import Answer, ScriptedAsyncClient, ScriptedSyncClient
from bench.clock import NS_PER_S
from bench.errors import CallError, ConfigError
from bench.providers import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., Reply]


def request(*, stream: bool = True) -> Request:
    """Return a request."""
    return Request(model="m", messages=({"role": "user", "content": "hi"},), params={}, stream=stream)


def deadline_ns(within_s: float) -> int:
    """Return the instant that is so far away."""
    return time.perf_counter_ns() + int(within_s * NS_PER_S)


@pytest.fixture(params=["sync", "async"])
def play(request: pytest.FixtureRequest) -> Call:
    """Return how to make one call of an answer, with either face of the client."""

    def in_thread(answer: Answer, asked: Request, within_s: float = 10.0) -> Reply:
        return ScriptedSyncClient(lambda _: answer).call(asked, deadline_ns(within_s))

    def on_loop(answer: Answer, asked: Request, within_s: float = 10.0) -> Reply:
        return asyncio.run(ScriptedAsyncClient(lambda _: answer).call(asked, deadline_ns(within_s)))

    return in_thread if request.param == "sync" else on_loop


def test_a_stream_comes_chunk_by_chunk(play: Call) -> None:
    """A streamed answer has its text, its tokens and an instant for each chunk, as far apart as was asked."""
    reply = play(Answer(chunks=("a", "b", "c"), ttft_s=0.02, gap_s=0.01), request())
    assert (reply.error, reply.content, reply.finish_reason, reply.completion_tokens) == (None, "abc", "stop", 3)
    first, second, third = reply.content_ns
    assert (first - reply.sent_ns, second - first, third - second) == (20_000_000, 10_000_000, 10_000_000)
    assert reply.end_ns >= third


def test_a_whole_answer_comes_at_its_end(play: Call) -> None:
    """An answer that is not streamed takes the same time and has no instants of tokens."""
    reply = play(Answer(chunks=("a", "b"), ttft_s=0.02, gap_s=0.01), request(stream=False))
    assert (reply.error, reply.content, reply.content_ns) == (None, "ab", ())
    assert reply.end_ns - reply.sent_ns >= 30_000_000


def test_failures_are_judged_as_elsewhere(play: Call) -> None:
    """A scripted failure, and an answer that is not whole, come out as from a client with a network."""
    failed = play(Answer(chunks=("half",), error=CallError("stream_reset", "cut")), request())
    assert (failed.error and failed.error.error_type, failed.content) == ("stream_reset", "half")
    cut = play(Answer(chunks=("half",), finish_reason=None), request())
    assert cut.error is not None
    assert cut.error.error_type == "truncated"


def test_the_deadline_holds(play: Call) -> None:
    """An answer that would take longer than allowed is cut at the deadline, with what had come by then."""
    reply = play(Answer(chunks=("a", "b"), gap_s=60.0), request(), within_s=0.05)
    assert reply.error is not None
    assert (reply.error.error_type, reply.content) == ("timeout_total", "a")
    assert reply.end_ns - reply.sent_ns < 10 * NS_PER_S


def test_calls_in_threads_are_cut_short() -> None:
    """`cancel_all` ends the calls under way at once, and later ones too."""
    client = ScriptedSyncClient(lambda _: Answer(ttft_s=60.0))
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(client.call(request(), deadline_ns(60))))
    thread.start()
    client.cancel_all()
    thread.join(10)
    replies.append(client.call(request(), deadline_ns(60)))
    assert [reply.cancelled for reply in replies] == [True, True]


def test_clients_are_made_by_name() -> None:
    """The factories know the scripted client, and refuse a name that they do not know."""
    endpoint = Endpoint(provider="test", base_url="http://127.0.0.1:9/v1", model="m")
    scripted, unknown = (
        ClientSettings(client=name, transport="none", slots=1, timeouts=Timeouts()) for name in ("scripted", "nobody")
    )
    assert make_sync_client(scripted, endpoint).call(request(), deadline_ns(1)).error is None
    assert asyncio.run(make_async_client(scripted, endpoint).call(request(), deadline_ns(1))).error is None
    for make in (make_sync_client, make_async_client):
        with pytest.raises(ConfigError, match="nobody"):
            make(unknown, endpoint)
