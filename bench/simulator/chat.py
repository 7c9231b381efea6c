"""A chat completion request: what the simulator reads of it."""

import hashlib
import re
from typing import Annotated, Final

import msgspec

#: Han characters: the unified ideographs, their first extension and the compatibility block.
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
#: Rough size of a token in UTF-8 bytes, for the usage that is reported of a prompt.
_BYTES_PER_TOKEN: Final = 4
_DIGEST_DIGITS: Final = 16


class ChatError(ValueError):
    """A body is not a chat completion request; the message is for the client."""


class _Part(msgspec.Struct, gc=False):
    text: str = ""


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Part] | None = None


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool = False


_One = Annotated[int, msgspec.Meta(ge=1, le=1)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Body(msgspec.Struct, gc=False):
    model: _Name
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    n: _One | None = None
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    stream_options: _StreamOptions | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request, reduced to what decides its answer.

    Attributes:
        model: The model that was asked for; answers repeat it.
        digest: First 16 hex digits of the SHA-256 of the last user message's UTF-8 text.
        chinese: Whether that text holds Han characters.
        prompt_tokens: Estimated size of that text: one token for four bytes.
        stream: Whether to stream.
        include_usage: Whether a stream ends with its usage.
        max_tokens: Most tokens that the answer may have; None without a bound.
    """

    model: str
    digest: str
    chinese: bool
    prompt_tokens: int
    stream: bool
    include_usage: bool
    max_tokens: int | None


def read_chat(body: bytes) -> ChatRequest:
    """Read a request's JSON body.

    Raises:
        ChatError: The body is not JSON, or not a request that the simulator can answer.
    """
    try:
        read = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChatError(f"the body is not a chat completion request: {error}") from error
    text = _last_of_user(read.messages)
    encoded = text.encode()
    limit = read.max_tokens
    if read.max_completion_tokens is not None:
        limit = read.max_completion_tokens if limit is None else min(limit, read.max_completion_tokens)
    return ChatRequest(
        model=read.model,
        digest=hashlib.sha256(encoded).hexdigest()[:_DIGEST_DIGITS],
        chinese=not text.isascii() and _HAN.search(text) is not None,
        prompt_tokens=-(-len(encoded) // _BYTES_PER_TOKEN),
        stream=read.stream is True,
        include_usage=read.stream_options is not None and read.stream_options.include_usage,
        max_tokens=limit,
    )


def _last_of_user(messages: list[_Message]) -> str:
    for message in reversed(messages):
        if message.role == "user":
            content = message.content
            return content if isinstance(content, str) else "".join(part.text for part in content or ())
    return ""
