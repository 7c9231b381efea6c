"""The bytes of answers, read as a client reads them."""

import json
import re

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from bench.simulator.chat import ChatRequest, read_chat
from bench.simulator.scripts import (
    DIGEST_HOLE,
    DIGEST_PART,
    END,
    IDENTITY,
    LAST_CHUNK,
    Scripts,
    completion,
    stream_head,
    usage_chunk,
)

_STAMP = IDENTITY % (0xABC, 1_700_000_000)


def _chat(text: str = "hello", **changes: object) -> ChatRequest:
    request = {"model": "m", "messages": [{"role": "user", "content": text}], **changes}
    return read_chat(msgspec.json.encode(request))


def _events(wire: bytes) -> list[bytes]:
    """Undo the chunks of HTTP (checking their lengths) and return the data of each event."""
    events = []
    while wire:
        size, _, rest = wire.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        chunk, wire = rest[:length], rest[length + 2 :]
        events.extend(re.findall(rb"data: (.*)\n\n", chunk))
        assert chunk == b"".join(b"data: %b\n\n" % event for event in events[len(events) - chunk.count(b"\n\n") :])
    return events


def _stream(chat: ChatRequest, *, tokens: int, seed: int = 0) -> tuple[list[ChatCompletionChunk], bytes]:
    script = Scripts(seed=seed, tokens=tokens).script(chat)
    pieces = (*script.tokens, script.finish)
    wire = b"".join(_STAMP.join(piece) for piece in pieces).replace(DIGEST_HOLE, chat.digest.encode())
    if script.whole is not None:
        assert _STAMP.join(script.whole).replace(DIGEST_HOLE, chat.digest.encode()) == wire
        assert DIGEST_HOLE in script.whole[DIGEST_PART]
    chunks = [ChatCompletionChunk.model_validate_json(event) for event in _events(wire)]
    return chunks, wire


@pytest.mark.parametrize("tokens", [1, 2, 16, 600])
@pytest.mark.parametrize("text", ["hello", "人工智能"])
def test_a_stream_is_what_the_protocol_says(tokens: int, text: str) -> None:
    """A stream is a chunk with the role, one for each token, and one with the finish reason, in the SDK's types."""
    chat = _chat(text)
    (role, *contents, finish), _ = _stream(chat, tokens=tokens)
    assert role.choices[0].delta.role == "assistant"
    assert role.choices[0].delta.content == ""
    assert len(contents) == tokens
    assert all(chunk.choices[0].delta.content for chunk in contents)
    assert contents[0].choices[0].delta.content == f"[{chat.digest}] "
    assert [chunk.choices[0].finish_reason for chunk in (role, *contents, finish)] == [None] * (tokens + 1) + ["stop"]
    assert finish.choices[0].delta.content is None
    assert {(chunk.id, chunk.created, chunk.model) for chunk in (role, *contents, finish)} == {
        ("chatcmpl-0000000000000abc", 1_700_000_000, "m")
    }


def test_a_limit_cuts_the_answer_short() -> None:
    """A request that allows fewer tokens gets that many, finished by `length`; one that allows all gets all."""
    short, _ = _stream(_chat(max_tokens=5), tokens=16)
    assert len(short) == 1 + 5 + 1
    assert short[-1].choices[0].finish_reason == "length"
    full, _ = _stream(_chat(max_tokens=16), tokens=16)
    assert len(full) == 1 + 16 + 1
    assert full[-1].choices[0].finish_reason == "stop"


def test_a_whole_answer_says_the_same_as_the_stream() -> None:
    """The JSON document has the text of the stream's chunks, and counts the tokens."""
    chat = _chat("人工智能 AI")
    chunks, _ = _stream(chat, tokens=16)
    script = Scripts(seed=0, tokens=16).script(chat)
    whole = ChatCompletion.model_validate_json(completion(_STAMP, chat, script))
    assert whole.choices[0].message.content == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.to_dict() == {"prompt_tokens": 4, "completion_tokens": 16, "total_tokens": 20}


@pytest.mark.parametrize("model", ['a "quoted" %d model', "模型\u2028\x00\x01", "DIGEST MODEL %b", "m" * 256])
def test_a_models_name_cannot_break_the_bytes(model: str) -> None:
    """Whatever name a client gives the model, the answer stays well formed and repeats it."""
    chat = _chat(model=model)
    chunks, _ = _stream(chat, tokens=3)
    script = Scripts(seed=0, tokens=3).script(chat)
    (usage,) = _events(usage_chunk(_STAMP, chat, script))
    whole = ChatCompletion.model_validate_json(completion(_STAMP, chat, script))
    assert {chunk.model for chunk in chunks} | {json.loads(usage)["model"], whole.model} == {model}
    assert whole.choices[0].message.content is not None
    assert whole.choices[0].message.content.startswith(f"[{chat.digest}] ")


@pytest.mark.parametrize("prompt", ["x", "x" * 39_999])
def test_usage_is_a_chunk_without_choices(prompt: str) -> None:
    """The usage of a stream comes as one chunk with no choice, whatever the number of digits."""
    chat = _chat(prompt)
    (event,) = _events(usage_chunk(_STAMP, chat, Scripts(seed=0, tokens=16).script(chat)))
    chunk = ChatCompletionChunk.model_validate_json(event)
    assert chunk.choices == []
    assert chunk.usage is not None
    assert chunk.usage.total_tokens == chat.prompt_tokens + 16


def test_the_end_of_a_stream_is_its_done_event() -> None:
    """A stream ends with the event [DONE] and the last chunk of its HTTP body."""
    assert END.endswith(LAST_CHUNK)
    assert _events(END.removesuffix(LAST_CHUNK)) == [b"[DONE]"]


def test_the_malformed_chunk_is_not_json() -> None:
    """The chunk for malformed streams is a well formed event whose data no JSON parser accepts."""
    (event,) = _events(_STAMP.join(Scripts(seed=0, tokens=2).script(_chat()).malformed))
    with pytest.raises(json.JSONDecodeError):
        json.loads(event)


def test_the_seed_decides_the_text() -> None:
    """The same seed gives the same bytes, and another seed another text."""
    first, again, other = (_stream(_chat(), tokens=16, seed=seed)[1] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_only_so_many_scripts_are_kept() -> None:
    """Requests for ever new models do not fill the memory, and still get their answers."""
    scripts = Scripts(seed=0, tokens=2)
    for number in range(1_000):
        chat = _chat(model=f"model {number}")
        assert f"model {number}".encode() in b"".join(scripts.script(chat).finish)
    assert len(scripts._made) <= 128


def test_the_head_announces_how_the_connection_ends() -> None:
    """The head of a stream carries its request id, and announces the close only where it follows."""
    assert b"connection: close\r\n" in stream_head(1, keep_alive=False)
    kept = stream_head(0xABC, keep_alive=True)
    assert b"connection" not in kept
    assert b"x-request-id: req-0000000000000abc\r\n\r\n" in kept
