"""What every client makes of an answer: what it collects, and what it takes for whole."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from bench.clock import NS_PER_S
from tests.clientdriver import ask
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
    from collections.abc import Callable

    from bench.clients._base import Reply
    from tests.clientdriver import Driver
    from tests.faultserver import Exchange, FaultServer

    Serve = Callable[..., FaultServer]
    Connect = Callable[..., Driver]


#: The head of a stream whose body is in chunked coding.
CHUNKED = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")


def failure(reply: Reply) -> str | None:
    """Return the type of a reply's error, if it has one."""
    return None if reply.error is None else reply.error.error_type


def test_r11_a_stream_is_collected_whole(serve: Serve, connect: Connect) -> None:
    """A streamed answer is its text, its finish reason and the server's count, with an instant for each token chunk."""
    # The chunk with the role comes by itself: a client may give all chunks of one read the same instant.
    server = serve(sending(CHUNKED + chunked(ROLE, end=False), chunked(*HELLO[1:])))
    reply = connect(server.base_url).call(ask())
    assert reply.error is None
    assert (reply.content, reply.finish_reason, reply.http_status) == ("你好👋", "stop", 200)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.token_source) == (7, 3, "server")
    assert reply.server_model == "m"
    assert reply.headers_ns is not None
    assert reply.first_chunk_ns is not None
    instants = [reply.sent_ns, reply.headers_ns, reply.first_chunk_ns, *reply.content_ns, reply.end_ns]
    assert len(reply.content_ns) == 2, "the chunk that only names the role is no token"
    assert instants == sorted(instants)
    assert reply.first_chunk_ns < reply.content_ns[0]


def test_r12_the_end_of_a_stream_is_not_its_last_token(serve: Serve, connect: Connect) -> None:
    """Where the count of tokens comes 400 ms after the last token the call ends that much later than its content."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(CHUNKED + chunked(ROLE, event(chunk("x")), STOP, end=False))
        await asyncio.sleep(0.4)
        await exchange.send(chunked(event(usage_chunk()), DONE))

    reply = connect(serve(script).base_url).call(ask())
    assert (reply.error, reply.completion_tokens) == (None, 3)
    assert reply.end_ns - reply.content_ns[-1] >= 0.2 * NS_PER_S


def test_an_answer_that_is_not_streamed_is_collected_whole(serve: Serve, connect: Connect) -> None:
    """An answer that is not streamed has text and counts, but no instants of tokens, because nobody can see them."""
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}
    server = serve(sending(answer(completion("中文 and 🎉", usage=usage))))
    reply = connect(server.base_url).call(ask(stream=False))
    assert reply.error is None
    assert (reply.content, reply.finish_reason) == ("中文 and 🎉", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.reasoning_tokens) == (1, 9, 4)
    assert (reply.content_ns, reply.first_chunk_ns) == ((), None)
    assert reply.headers_ns is not None
    assert reply.sent_ns < reply.headers_ns < reply.end_ns


def test_the_request_is_sent_as_given(serve: Serve, connect: Connect) -> None:
    """The body is model, messages and all parameters, known to the SDK or not; a stream is asked for its usage."""
    server = serve(sending(streamed(*HELLO)))
    driver = connect(server.base_url, key="secret-key")
    driver.call(ask(text="半天 🌗", max_tokens=5, cache_prompt=False))
    driver.call(ask(stream=False, temperature=0.5))
    first, second = server.exchanges
    assert first.target == "/v1/chat/completions"
    assert first.headers["authorization"] == "Bearer secret-key"
    assert first.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "半天 🌗"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "cache_prompt": False,
    }
    assert second.json == {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_character_split_between_segments_survives(serve: Serve, connect: Connect, cut: int) -> None:
    """Text is whole even if a segment ends within a character, wherever it does."""
    raw = event(chunk("好👋")) + STOP + DONE
    place = raw.index("好".encode()) - 2 + cut
    server = serve(closing(head(), raw[:place], raw[place:]))
    assert connect(server.base_url).call(ask()).content == "好👋"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"".join(HELLO).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + b"".join(HELLO[1:]), id="byte order mark"),
        pytest.param(b": ping\n\n" + b": ping\n\n".join(HELLO), id="comments"),
        pytest.param(b"".join(HELLO).replace(b"data: ", b"data:"), id="no blank after the colon"),
        pytest.param(b"".join(HELLO) + event("after the end"), id="data after the end"),
        pytest.param(b"".join(HELLO).removesuffix(DONE), id="no end mark"),
        pytest.param(b"event: message\nid: 1\n" + b"".join(HELLO), id="event and id"),
    ],
)
def test_forms_of_a_stream(serve: Serve, connect: Connect, body: bytes) -> None:
    """Every form that the format allows reads alike, several events in one segment included."""
    reply = connect(serve(closing(head(), body)).base_url).call(ask())
    assert (failure(reply), reply.content) == (None, "你好👋")


def test_halves_of_a_character_in_two_chunks_are_joined(serve: Serve, connect: Connect) -> None:
    """Half characters that a server sends in two chunks are joined; one without its other half is replaced."""
    halves = event(json.dumps(chunk("\ud83d"))), event(json.dumps(chunk("\ude00 \ud83d!")))
    reply = connect(serve(closing(head(), *halves, STOP, DONE)).base_url).call(ask())
    assert reply.content == "😀 \ufffd!"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_counts_as_tokens_but_is_no_text(serve: Serve, connect: Connect, field: str) -> None:
    """A chunk of reasoning is a token with its instant, by either name, and stays out of the answer's text."""
    thought = event(chunk(**{field: "Hmm"}, content=""))
    server = serve(closing(streamed(ROLE, thought, event(chunk("ok")), STOP, DONE)))
    reply = connect(server.base_url).call(ask())
    assert (reply.content, len(reply.content_ns)) == ("ok", 2)


def test_r14_tokens_are_estimated_where_the_server_does_not_count(serve: Serve, connect: Connect) -> None:
    """Without the server's count a chunk is taken for a token and the count called estimated; a failure has none."""

    async def script(exchange: Exchange) -> None:
        first = exchange.number == 0
        await exchange.send(streamed(event(chunk("a")), event(chunk("b")), STOP, DONE) if first else streamed(STOP))

    driver = connect(serve(script).base_url)
    counted, failed = driver.call(ask()), driver.call(ask())
    assert (counted.completion_tokens, counted.token_source, counted.prompt_tokens) == (2, "estimated", None)
    assert (failed.completion_tokens, failed.token_source) == (None, None)


def test_the_last_count_decides(serve: Serve, connect: Connect) -> None:
    """A server that counts along in every chunk is believed at the end; what is no number is not believed."""
    along = [{**chunk("x"), "usage": {"prompt_tokens": 2, "completion_tokens": n}} for n in (1, 2)]
    odd = {**chunk(), "choices": [], "usage": {"prompt_tokens": "many", "completion_tokens": -1}}
    server = serve(closing(streamed(*map(event, along), STOP, event(odd), DONE)))
    reply = connect(server.base_url).call(ask())
    assert (reply.prompt_tokens, reply.completion_tokens, reply.token_source) == (2, 2, "server")


HTML = b"<html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("error_type", "content", "reply_bytes"),
    [
        pytest.param("truncated", "half", streamed(PARTIAL), id="no finish reason"),
        pytest.param("truncated", "half", streamed(PARTIAL, DONE), id="no finish reason but an end mark"),
        pytest.param("truncated", "half", head() + PARTIAL, id="closed without finish reason"),
        pytest.param("bad_sse", "half", streamed(PARTIAL, event("{not json"), STOP, DONE), id="not JSON"),
        pytest.param("bad_sse", "half", streamed(PARTIAL, b'data: "\xff\xfe"\n\n'), id="not UTF-8"),
        pytest.param("bad_sse", "half", streamed(PARTIAL, event("17"), STOP), id="a number"),
        pytest.param("bad_sse", "half", streamed(PARTIAL, event("null"), STOP), id="null"),
        pytest.param("bad_sse", "half", streamed(PARTIAL, event("[]"), STOP), id="a list"),
        pytest.param("bad_sse", None, streamed(event({"choices": [{"delta": {"content": 5}}]}), STOP), id="no text"),
        pytest.param("bad_sse", None, streamed(event({"choices": [None]}), STOP), id="null for a choice"),
        pytest.param("error_in_200", "half", streamed(PARTIAL, event({"error": {"message": "boom"}})), id="error"),
        pytest.param(
            "error_in_200", "half", streamed(PARTIAL, event(chunk(finish_reason="network_error"))), id="broke"
        ),
        pytest.param("error_in_200", None, answer({"error": {"message": "boom"}}), id="error in JSON"),
        pytest.param("bad_content_type", None, answer(HTML, content_type="text/html"), id="HTML"),
        pytest.param("bad_content_type", None, answer(completion("hi")), id="not a stream"),
        pytest.param("empty", None, streamed(), id="nothing"),
        pytest.param("empty", None, streamed(ROLE, STOP, event(usage_chunk()), DONE), id="no text at all"),
        pytest.param("empty", None, streamed(event(chunk(reasoning="Hmm")), STOP, DONE), id="reasoning only"),
        pytest.param(
            "content_filter", "half", streamed(PARTIAL, event(chunk(finish_reason="content_filter"))), id="filter"
        ),
        pytest.param(
            "content_filter", "half", streamed(PARTIAL, event(chunk(finish_reason="sensitive"))), id="sensitive"
        ),
        pytest.param("too_large", None, head() + b"data: " + b"x" * 34_000_000, id="a line without end"),
        pytest.param(
            "bad_content_type", None, head("200 OK", "text/event-stream", "Content-Encoding: gzip"), id="gzip"
        ),
        pytest.param(None, "half", streamed(PARTIAL, event(chunk(finish_reason="length")), DONE), id="length"),
        pytest.param(None, "half", head(content_type=None) + PARTIAL + STOP, id="no content type"),
    ],
)
def test_r16_streams_that_are_no_whole_answer(
    serve: Serve, connect: Connect, error_type: str | None, content: str | None, reply_bytes: bytes
) -> None:
    """A stream is a success only if it has text and a finish reason; else its failure is named, and its text kept."""
    reply = connect(serve(closing(reply_bytes)).base_url).call(ask())
    assert (failure(reply), reply.content, reply.http_status) == (error_type, content, 200)
    assert reply.error is None or reply.error.http_status == 200


@pytest.mark.parametrize(
    ("error_type", "reply_bytes"),
    [
        pytest.param("bad_content_type", answer(HTML, content_type="text/html; charset=utf-8"), id="HTML"),
        pytest.param("bad_content_type", answer(HTML), id="HTML said to be JSON"),
        pytest.param("bad_content_type", answer(b'"text"'), id="a string"),
        pytest.param("bad_content_type", answer(b"[1]"), id="a list"),
        pytest.param("bad_content_type", answer({"choices": [{"message": None}]}), id="no message"),
        pytest.param("bad_content_type", answer(completion(None) | {"choices": [7]}), id="a number for a choice"),
        pytest.param("error_in_200", answer({"error": {"message": "boom"}}), id="error"),
        pytest.param("error_in_200", answer({"code": 500, "msg": "boom", "success": False}), id="error of a gateway"),
        pytest.param("empty", answer(b""), id="nothing"),
        pytest.param("empty", answer(completion(None)), id="null"),
        pytest.param("empty", answer(completion("")), id="no text"),
        pytest.param("empty", answer(completion("x", choices=[])), id="no choices"),
        pytest.param("truncated", answer(completion("x", None)), id="no finish reason"),
        pytest.param("truncated", answer(b'{"choices": [{"mess'), id="cut JSON"),
        pytest.param("content_filter", answer(completion("x", "content_filter")), id="filter"),
        pytest.param(None, answer(completion("x", "length")), id="length"),
    ],
)
def test_bodies_that_are_no_whole_answer(
    serve: Serve, connect: Connect, error_type: str | None, reply_bytes: bytes
) -> None:
    """An answer that is not streamed is judged by the same rules."""
    reply = connect(serve(closing(reply_bytes)).base_url).call(ask(stream=False))
    assert failure(reply) == error_type
    if error_type == "error_in_200":
        assert "boom" in str(reply.error)


def test_a_body_of_the_wrong_kind_is_quoted_in_part(serve: Serve, connect: Connect) -> None:
    """The start of a body of the wrong kind is in the message: on one line, its control characters escaped, cut."""
    body = b"<html>\n\t<b>Log\x1b[31m in</b>" + b"y" * 5000
    reply = connect(serve(closing(answer(body, content_type="text/html"))).base_url).call(ask())
    assert "text/html" in str(reply.error)
    assert "<html> <b>Log\\x1b[31m in</b>" in str(reply.error)
    assert len(str(reply.error)) < 250


def test_a_failure_does_not_cost_the_connection_its_order(serve: Serve, connect: Connect) -> None:
    """After an answer that was given up halfway the next call gets its own answer."""

    async def script(exchange: Exchange) -> None:
        if exchange.number == 0:
            await exchange.send(head("200 OK", "text/event-stream", "Transfer-Encoding: chunked"))
            await exchange.send(chunked(event(chunk("first")), event("{"), event(chunk("late")), STOP, DONE))
        else:
            await exchange.send(streamed(event(chunk("second")), STOP, DONE))

    driver = connect(serve(script).base_url, slots=1)
    assert failure(driver.call(ask())) == "bad_sse"
    assert driver.call(ask()).content == "second"
