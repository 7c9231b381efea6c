"""What the simulator reads of a chat completion request."""

import hashlib
import json

import pytest

from bench.simulator.chat import ChatError, read_chat


def _body(**changes: object) -> bytes:
    request = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **changes}
    return json.dumps(request).encode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_digest_is_of_the_last_user_message() -> None:
    """The digest is of the last user message's text, whatever stands before and after it."""
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "人工智能"},
        {"role": "assistant", "content": None},
    ]
    chat = read_chat(_body(messages=messages))
    assert chat.digest == _digest("人工智能")
    assert chat.chinese
    assert chat.prompt_tokens == 3


def test_content_parts_are_one_text() -> None:
    """A message in parts has the digest of its texts in a row; a picture has none."""
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, {"text": "b"}]
    assert read_chat(_body(messages=[{"role": "user", "content": parts}])).digest == _digest("ab")


def test_without_a_user_message_the_text_is_empty() -> None:
    """A request without a user message is answered; its digest is that of the empty text."""
    assert read_chat(_body(messages=[{"role": "system", "content": "x"}])).digest == _digest("")


@pytest.mark.parametrize(
    ("text", "chinese"),
    [("plain", False), ("café ümlaut 🙂", False), ("ひらがな", False), ("new 能源", True), ("㐀", True), ("豈", True)],
)
def test_han_characters_ask_for_chinese(text: str, chinese: bool) -> None:  # noqa: FBT001 - a column of the table
    """One Han character in the prompt makes the answer Chinese."""
    assert read_chat(_body(messages=[{"role": "user", "content": text}])).chinese is chinese


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 5}, 5),
        ({"max_tokens": 7, "max_completion_tokens": 5}, 5),
        ({"max_tokens": 3, "max_completion_tokens": None}, 3),
    ],
)
def test_the_tighter_limit_holds(limits: dict[str, int | None], expected: int | None) -> None:
    """Of the two names for the length of an answer, the smaller value holds."""
    assert read_chat(_body(**limits)).max_tokens == expected


def test_streaming_and_its_usage_are_asked_for() -> None:
    """A request streams, and gets its usage, only when it says so; unknown fields do no harm."""
    plain = read_chat(_body(temperature=0.3, cache_prompt=False, stream=None))
    assert not plain.stream
    assert not plain.include_usage
    asked = read_chat(_body(stream=True, stream_options={"include_usage": True}))
    assert asked.stream
    assert asked.include_usage


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "not a chat completion request"),
        (b"hello", "not a chat completion request"),
        (b'"\xff"', "not a chat completion request"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud83d"}]}', "not a chat completion request"),
        (b"[" * 100_000, "not a chat completion request"),
        (b'{"model": "m", "messages": [], "x": ' + b"[" * 100_000, "not a chat completion request"),
        (_body(model=""), "model"),
        (_body(model=None), "model"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        (_body(messages=[]), "messages"),
        (_body(messages=[{"content": "x"}]), "role"),
        (_body(messages=[{"role": "user", "content": 5}]), "content"),
        (_body(max_tokens=0), "max_tokens"),
        (_body(max_completion_tokens=-1), "max_completion_tokens"),
        (_body(n=2), "$.n"),
    ],
)
def test_a_wrong_body_is_refused_by_what_is_wrong(body: bytes, named: str) -> None:
    """A body that is no request raises an error that names what is wrong with it, and nothing else."""
    with pytest.raises(ChatError) as caught:
        read_chat(body)
    assert named in str(caught.value)
