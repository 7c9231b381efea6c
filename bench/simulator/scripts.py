"""The bytes of an answer, made once: only the request's identity and digest are put in when it is sent.

A piece of an answer is kept split at each place where the identity belongs, so that `identity.join(piece)` is the
finished bytes: one call in C however many chunks the piece holds.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from bench.simulator.chat import ChatRequest
from bench.simulator.words import words

Piece = list[bytes]

#: Stands for the identity while a piece is made. JSON escapes it, so no text of a client can hold it.
_IDENTITY_HOLE: Final = b"\x00"
#: Stands for the digest in the first chunk. It is as long as the digest: the chunk's length counts it.
DIGEST_HOLE: Final = b"\x01" * 16
#: Where the digest is in a piece that begins with the first token: after the identities of the role and of the token.
DIGEST_PART: Final = 2
#: Stands for the time of writing in the content of each token, where that is asked for. As long as the time's text.
TIME_HOLE: Final = b"\x02" * 19
#: A format for that text: `perf_counter_ns` has 19 digits for the first three hundred years after a boot.
_TIME: Final = b"%019d"
#: Scripts kept. A run uses one model, two languages and a length or two, and 16 texts of each.
_KEPT_SCRIPTS: Final = 128
#: Longest answer whose chunks are also kept as one piece, to be sent at once.
_LONGEST_WHOLE: Final = 512

#: A format for the tokens of prompt, answer and both.
_USAGE: Final = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'
_USAGE_EVENT: Final = (
    b'data: {"id":"chatcmpl-\x00,"object":"chat.completion.chunk","model":MODEL,"choices":[],"usage":'
    + _USAGE
    + b"}\n\n"
)
LAST_CHUNK: Final = b"0\r\n\r\n"
#: The event that ends a stream, and the end of its HTTP body.
END: Final = b"e\r\ndata: [DONE]\n\n\r\n" + LAST_CHUNK
#: What a proxy puts in place of an answer: the body of a malformed answer that is not streamed.
NOT_JSON: Final = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway (simulated)</body></html>"

#: A format for what makes an answer's chunks its own: the end of their `id`, and `created`. It is always as long.
IDENTITY: Final = b'%016x","created":%010d'
#: Length of every identity: the length of a chunk counts it.
_IDENTITY_BYTES: Final = len(IDENTITY % (0, 0))
_REQUEST_ID: Final = b"x-request-id: req-%016x\r\n"
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n%b\r\n"
) % _REQUEST_ID
#: The same, on a connection that is closed afterwards.
_LAST_STREAM_HEAD: Final = _STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


def request_id(request: int) -> bytes:
    """Return the header line that names a request as its answer's `id` does."""
    return _REQUEST_ID % request


def stream_head(request: int, *, keep_alive: bool) -> bytes:
    """Return the status line and headers of a stream."""
    return (_STREAM_HEAD if keep_alive else _LAST_STREAM_HEAD) % request


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks of one answer, in order.

    Attributes:
        tokens: One piece for each token; the first also holds the chunk that names the role.
        finish: The chunk with the finish reason.
        whole: All tokens and the finish as one piece; None for a long answer.
        stamped: Whether the tokens hold TIME_HOLE, to be filled in when they are written.
        malformed: A chunk that is not JSON.
        usage: The event that carries the usage, unframed; a format for three numbers.
        body: The same answer as one JSON document, up to its usage.
    """

    tokens: tuple[Piece, ...]
    finish: Piece
    whole: Piece | None
    stamped: bool
    malformed: Piece
    usage: Piece
    body: Piece


class Scripts:
    """Scripts for requests, made when first asked for; only so many are kept."""

    def __init__(self, *, seed: int, tokens: int, stamps: bool = False) -> None:
        self._seed = seed
        self._tokens = tokens
        self._stamps = stamps
        self._made: dict[tuple[str, bool, str, int | None], Script] = {}

    def script(self, chat: ChatRequest) -> Script:
        """Return the script of a request's answer: as many tokens as are set, or fewer if the request wants fewer."""
        variant = chat.digest[0]
        key = (chat.model, chat.chinese, variant, chat.max_tokens)
        script = self._made.get(key)
        if script is None:
            if len(self._made) >= _KEPT_SCRIPTS:
                self._made.clear()
            count = self._tokens if chat.max_tokens is None else min(self._tokens, chat.max_tokens)
            texts = words(self._seed, variant, count - 1, chinese=chat.chinese)
            reason = "length" if count < self._tokens else "stop"
            script = self._made[key] = _script(chat.model, texts, reason, stamps=self._stamps)
        return script


def stamped(data: bytes, now_ns: int) -> bytes:
    """Return what is about to be written with the present put into each of its tokens."""
    return data.replace(TIME_HOLE, _TIME % now_ns)


def _script(model: str, texts: Sequence[str], reason: str, *, stamps: bool) -> Script:
    name = msgspec.json.encode(model)
    quoted_reason = msgspec.json.encode(reason)
    time = TIME_HOLE + b" " if stamps else b""
    events = {
        text: _split(_event(name, b'{"content":"%b%b}' % (time, msgspec.json.encode(text)[1:]))) for text in set(texts)
    }
    role = _event(name, b'{"role":"assistant","content":""}')
    marker = _event(name, b'{"content":"%b[%b] "}' % (time, DIGEST_HOLE))
    tokens = (_split(role + marker), *(events[text] for text in texts))
    finish = _split(_event(name, b"{}", quoted_reason))
    return Script(
        tokens=tokens,
        finish=finish,
        whole=_whole((*tokens, finish)) if len(tokens) <= _LONGEST_WHOLE else None,
        stamped=stamps,
        malformed=_split(_framed(b'{"id":"chatcmpl-%b,"choices":[{"index":0,"delta":{"content":' % _IDENTITY_HOLE)),
        usage=_split(_USAGE_EVENT.replace(b"MODEL", name.replace(b"%", b"%%"))),
        body=_split(_body(name, texts, quoted_reason)),
    )


def usage_chunk(stamp: bytes, chat: ChatRequest, script: Script) -> bytes:
    """Return the chunk that carries a stream's usage and no choice."""
    tokens = len(script.tokens)
    event = stamp.join(script.usage) % (chat.prompt_tokens, tokens, chat.prompt_tokens + tokens)
    return b"%x\r\n%b\r\n" % (len(event), event)


def completion(stamp: bytes, chat: ChatRequest, script: Script) -> bytes:
    """Return a whole answer as one JSON document."""
    body = stamp.join(script.body).replace(DIGEST_HOLE, chat.digest.encode(), 1)
    tokens = len(script.tokens)
    return b"%b%b}" % (body, _USAGE % (chat.prompt_tokens, tokens, chat.prompt_tokens + tokens))


def _event(model: bytes, delta: bytes, reason: bytes = b"null") -> bytes:
    fields = (_IDENTITY_HOLE, model, delta, reason)
    return _framed(
        b'{"id":"chatcmpl-%b,"object":"chat.completion.chunk","model":%b,'
        b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}' % fields
    )


def _body(model: bytes, texts: Sequence[str], reason: bytes) -> bytes:
    content = msgspec.json.encode("".join(texts))[1:]
    fields = (_IDENTITY_HOLE, model, DIGEST_HOLE, content, reason)
    return (
        b'{"id":"chatcmpl-%b,"object":"chat.completion","model":%b,"choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"[%b] %b},"logprobs":null,"finish_reason":%b}],"usage":' % fields
    )


def _framed(data: bytes) -> bytes:
    """Frame one event with its identity still missing, but counted."""
    event = b"data: %b\n\n" % data
    missing = event.count(_IDENTITY_HOLE) * (_IDENTITY_BYTES - len(_IDENTITY_HOLE))
    return b"%x\r\n%b\r\n" % (len(event) + missing, event)


def _split(made: bytes) -> Piece:
    return made.split(_IDENTITY_HOLE)


def _whole(pieces: Sequence[Piece]) -> Piece:
    return _split(b"".join(_IDENTITY_HOLE.join(piece) for piece in pieces))
