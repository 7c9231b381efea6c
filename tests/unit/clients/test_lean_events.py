"""How the lean client splits a stream into events: the same whatever pieces it comes in."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.clients._base import Timeouts
from bench.clients._collect import Collector
from bench.clients._lean_events import Events
from bench.clients._limits import MAX_EVENT_BYTES
from bench.clients._translate import Translator
from bench.errors import CallError
from tests.wire import DONE, STOP, chunk, event, usage_chunk

if TYPE_CHECKING:
    from bench.clients._base import Reply

WORDS = event(chunk("你好 🙂"))
#: Pieces of streams, usual and odd; some are no event, or none by itself.
PIECES = (
    WORDS,
    WORDS.replace(b"\n", b"\r\n"),
    WORDS.replace(b"\n", b"\r"),
    WORDS.replace(b"data: ", b"data:"),
    WORDS.replace(b", ", b",\ndata: "),
    WORDS.removesuffix(b"\n"),
    event(chunk(reasoning="Hmm")),
    event(chunk(reasoning_content="Hmm", content="")),
    event(chunk(finish_reason="length")),
    event(usage_chunk()),
    event({"error": None, "choices": []}),
    event({"error": {"message": "boom"}}),
    event({"odd": 1}),
    event("{not json"),
    event("17"),
    event(""),
    event('{"choices": []} {"choices": []}'),
    event('{"choices": [{"delta": {"content": "\\ud83d"}}]}'),
    b'{"choices": [{"delta": {"content": "no field"}}]}\n',
    b"event: message\nid: 1\n",
    b": ping\n\n",
    b"\n",
    b"\r",
    STOP,
    DONE,
)


def read(*blocks: bytes, at_once: bool = False) -> tuple[Reply, bool]:
    """Return what a stream in these blocks comes to, and whether its end mark was seen; block n came at n."""
    collector = Collector(stream=True, timeouts=Timeouts(), sent_ns=0, deadline_ns=10**18)
    events = Events(collector, Translator(None))
    reads = list(enumerate(blocks))
    try:
        for part in [reads] if at_once and reads else [[each] for each in reads]:
            events.feed(part)
        events.finish(len(blocks))
    except CallError as error:
        collector.fail(error)
    return collector.finish(len(blocks)), events.done


def shown(outcome: tuple[Reply, bool]) -> tuple[object, ...]:
    """Return what two outcomes have in common that are the same."""
    reply, done = outcome
    error_type = reply.error and reply.error.error_type
    return reply.content, reply.finish_reason, len(reply.content_ns), reply.completion_tokens, error_type, done


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.integers(0, 1500), max_size=5))
@example([WORDS, WORDS, b'{"choices": []}\n', b"\n\n\n", STOP, DONE], [])
@example([WORDS, event({"error": {"message": "boom"}}), WORDS], [])
@example([WORDS, DONE, WORDS], [])
@example([WORDS, event('{"choices": []} {"choices": []}'), STOP, DONE], [])
@example([event(usage_chunk()), event({"error": {"message": "boom"}}), DONE], [])
def test_a_stream_reads_alike_in_whatever_pieces(pieces: list[bytes], cuts: list[int]) -> None:
    """Whole, in arbitrary blocks or byte by byte, a stream comes to the same text, tokens, counts and failure."""
    stream = b"".join(pieces)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    blocks = [stream[begin:end] for begin, end in pairwise(edges)]
    single = [stream[place : place + 1] for place in range(len(stream))]
    assert shown(read(stream)) == shown(read(*blocks)) == shown(read(*single))


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3), max_size=8))
@example([[WORDS], [WORDS, WORDS], [STOP, DONE]])
@example([[WORDS], [event(chunk("data: {"))], [STOP, DONE]])
def test_reads_that_waited_keep_their_instants(reads: list[list[bytes]]) -> None:
    """Parsed together or each as it comes, reads come to the same, down to the instant of every token."""
    blocks = [b"".join(read) for read in reads]
    (waited, _), (taken, _) = outcomes = read(*blocks, at_once=True), read(*blocks)
    assert shown(outcomes[0]) == shown(outcomes[1])
    assert waited.content_ns == taken.content_ns
    assert waited.first_chunk_ns == taken.first_chunk_ns


@pytest.mark.parametrize(
    ("stream", "content"),
    [
        (b"\xef\xbb\xbf" + WORDS + STOP, "你好 🙂"),
        (WORDS + b'{"choices": [{"delta": {"content": "no field"}}]}\n\n' + STOP, "你好 🙂"),
        (WORDS.replace(b", ", b",\ndata: ") + STOP, "你好 🙂"),
        (WORDS.replace(b"\n", b"\r") + STOP.replace(b"\n", b"\r"), "你好 🙂"),
        (STOP + WORDS.removesuffix(b"\n"), None),
    ],
    ids=["byte order mark", "a line that is no field", "data in lines", "CR", "an event without its end"],
)
def test_forms_that_the_format_allows(stream: bytes, content: str | None) -> None:
    """What the format makes of a stream is what is read, in one block and byte by byte."""
    assert read(stream)[0].content == content
    assert read(*(bytes([byte]) for byte in stream))[0].content == content


@pytest.mark.parametrize("line", [b"data: x", b"data: x\n"], ids=["a line", "lines"])
def test_an_event_has_its_limit(line: bytes) -> None:
    """Neither a line nor the lines of one event can fill the memory."""
    block = line * 1000
    reply, _ = read(*[block] * (MAX_EVENT_BYTES // len(block) * 8))
    assert reply.error is not None
    assert reply.error.error_type == "too_large"
