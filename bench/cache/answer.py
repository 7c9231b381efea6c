"""An answer as it is kept: JSON, with a digest that ties it to its key."""

from __future__ import annotations

import hashlib

import msgspec

from bench.records import TokenSource

#: Enough that no damage passes for an answer by chance.
_DIGEST_BYTES = 16


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole answer.

    Attributes:
        content: Its text.
        finish_reason: As the server said it.
        prompt_tokens: Tokens of the request; None where nobody counted, as for the other two.
        completion_tokens: Tokens of the answer.
        reasoning_tokens: Tokens spent on reasoning, part of completion_tokens.
        token_source: `server` where the server counted, `estimated` where chunks were.
        server_model: The model that the server said has answered.
        provider: Who answered.
        model: The model that was asked for.
    """

    content: str
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    token_source: TokenSource | None = None
    server_model: str | None = None
    provider: str
    model: str

    @property
    def storable(self) -> bool:
        """Whether it is a whole success: it has text, and ended because the model was done.

        What was cut at the token limit, filtered, or is a call of a tool is no answer to give to somebody else.
        """
        return self.finish_reason == "stop" and bool(self.content)

    @property
    def tokens(self) -> int:
        """Tokens of request and answer together, as far as they are known."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


def encoded(answer: CachedAnswer) -> bytes:
    """Return an answer as it is stored."""
    return msgspec.json.encode(answer)


def digest(key: str, data: bytes) -> bytes:
    """Return what tells whether data is what was stored under a key."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=key.encode()).digest()


def decoded(key: str, data: object, expected: object) -> CachedAnswer | None:
    """Return a stored answer, or None if it is damaged or stands under the wrong key.

    Args:
        key: The key that it was found under.
        data: What was found.
        expected: The digest that was found.
    """
    if not isinstance(data, bytes) or digest(key, data) != expected:
        return None
    try:
        return msgspec.json.decode(data, type=CachedAnswer)
    except msgspec.MsgspecError:
        return None
