"""How the lean client reads an answer: lazily, and the same whatever reads it comes in."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clients._base import Timeouts
from bench.clients._collect import Collector
from bench.clients._lean_exchange import MAX_WAITING_BYTES, Exchange
from bench.clients._lean_http import Reader
from bench.clients._translate import Translator
from tests.wire import DONE, STOP, answer, chunk, chunked, completion, event, head, streamed, usage_chunk

if TYPE_CHECKING:
    from bench.clients._base import Reply

WORDS = event(chunk("你好 🙂"))
CHUNKED = head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")

#: Answers, each with whether a stream was asked for.
ANSWERS = {
    "a stream": (streamed(WORDS, WORDS, STOP, event(usage_chunk()), DONE), True),
    "events in pieces": (streamed(WORDS[:9], WORDS[9:] + WORDS, STOP, DONE), True),
    "a text that quotes an end": (streamed(event(chunk("[DONE] 0\r\n\r\n")), STOP, DONE), True),
    "a trailer": (streamed(WORDS, STOP, DONE).removesuffix(b"\r\n") + b"X-Trailer: 1\r\n\r\n", True),
    "two heads": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + streamed(WORDS, STOP, DONE), True),
    "an error": (streamed(WORDS, event({"error": {"message": "boom"}}), DONE), True),
    "no HTTP": (CHUNKED + chunked(WORDS, end=False) + b"no size\r\n", True),
    "a known length": (answer(completion("你好")), False),
    "chunks of one JSON": (streamed(answer(completion("你好")).partition(b"\r\n\r\n")[2]), False),
}


def read(reads: list[bytes], *, stream: bool) -> tuple[Reply, bool]:
    """Return what an answer in these reads comes to, and whether its end was seen in them; read n came at n."""
    collector = Collector(stream=stream, timeouts=Timeouts(), sent_ns=0, deadline_ns=10**18)
    exchange = Exchange(collector, Translator(None), stream=stream)
    exchange.begin(Reader())
    for number, data in enumerate(reads):
        if exchange.take(number, data):
            exchange.catch_up()
    ended = exchange.ended and exchange.reusable
    exchange.lost(None)
    exchange.judge()
    return collector.finish(len(reads)), ended


def shown(reply: Reply) -> tuple[object, ...]:
    """Return what two outcomes have in common that are the same."""
    return reply.content, reply.finish_reason, reply.completion_tokens, reply.error and reply.error.error_type


@pytest.mark.parametrize("name", ANSWERS)
@given(cuts=st.lists(st.integers(0, 800), max_size=6))
def test_an_answer_reads_alike_in_whatever_reads(name: str, cuts: list[int]) -> None:
    """Whole, in arbitrary reads or byte by byte, an answer comes to the same, and its end is noticed when it comes."""
    data, stream = ANSWERS[name]
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    whole = read([data], stream=stream)
    for reads in ([data[a:b] for a, b in pairwise(edges)], [data[n : n + 1] for n in range(len(data))]):
        reply, ended = read(reads, stream=stream)
        assert shown(reply) == shown(whole[0])
        assert reply.error is not None or (ended and whole[1])


def test_the_reads_of_a_stream_wait() -> None:
    """Between the first read of a stream and its end nothing is parsed, and each token keeps its read's instant."""
    collector = Collector(stream=True, timeouts=Timeouts(), sent_ns=0, deadline_ns=10**18)
    exchange = Exchange(collector, Translator(None), stream=True)
    exchange.begin(Reader())
    for instant, data in ((5, CHUNKED + chunked(WORDS, end=False)), (7, chunked(WORDS, end=False))):
        assert not exchange.take(instant, data)
    assert exchange.parse_ns == 0
    assert exchange.take(9, chunked(STOP, DONE))
    exchange.catch_up()
    assert exchange.ended
    exchange.judge()
    assert collector.finish(10).content_ns == (5, 7)


def test_what_waits_is_bounded() -> None:
    """A stream that never ends is parsed whenever 16 KiB wait."""
    collector = Collector(stream=True, timeouts=Timeouts(), sent_ns=0, deadline_ns=10**18)
    exchange = Exchange(collector, Translator(None), stream=True)
    exchange.begin(Reader())
    part = chunked(WORDS, end=False)
    exchange.take(1, CHUNKED + part)
    for _ in range(MAX_WAITING_BYTES // len(part) + 1):
        exchange.take(2, part)
    assert exchange.parse_ns > 0
