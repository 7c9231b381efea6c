"""Keys do not leave: neither those that are known nor what has the shape of one."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.logcontext import Scrubber
from bench.tracing.payload import Writer
from bench.tracing.secrets import KeyScrubber
from bench.tracing.span import Span

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN = 'kan"arie/1+x'
SHAPES = (
    "sk-proj-kanarie0123456789ABCDEFabcdef",
    "0a1b2c3d4e5f60718293a4b5c6d7e8f9.AbCdEf0123456789",
    "lsv2_pt_kanarie0123456789_0123456789",
    "AIzakanarie0123456789ABCDEFabcdef0123456",
)


def quote_all(text: str) -> str:
    """A text as it stands in an address."""
    return quote(text, safe="")


@pytest.mark.parametrize("key", [KNOWN, *SHAPES])
def test_no_field_holds_a_key(key: str) -> None:
    """A key in prompt, answer, error, metadata, tag or name of a field is in no part of what is sent."""
    text = f"before {key} after"
    span = Span(
        id="1",
        trace_id="1",
        parent_id=None,
        order="o",
        name=text,
        kind="llm",
        start_us=0,
        end_us=1,
        inputs={"messages": [{"role": "user", "content": text}], key: 1},
        outputs={"choices": [{"message": {"content": text}}]},
        error=f"401 said: Bearer {key}",
        metadata={"topic": text},
        tags=(text,),
    )
    parts = Writer("project", KeyScrubber([KNOWN])).parts(span)
    whole = b"".join(part.data for part in parts)
    assert key.encode() not in whole
    assert b"kanarie" not in whole.replace(b"\\", b"")
    assert b"arie" not in whole
    assert b"before **** after" in whole
    for part in parts:
        json.loads(part.data)


@given(
    st.text("aZ09-+/.=% \"\\<&'", min_size=4, max_size=12),
    st.sampled_from([str, str.upper, quote_all, html.escape, lambda key: json.dumps(key)[1:-1]]),
    st.text(max_size=8),
    st.text(max_size=8),
)
def test_however_a_server_repeats_it(secret: str, repeat: Callable[[str], str], before: str, after: str) -> None:
    """What is skipped because no sign of a key is in it holds none: a key goes in every form, in JSON as in a text."""
    text = f"{before}{repeat(secret)}{after}"
    clean = Scrubber([secret])(text).encode("utf-8", "backslashreplace").decode()
    assert KeyScrubber([secret]).text(text) == clean
    assert json.loads(KeyScrubber([secret]).json({"a": [text]})) == {"a": [clean]}


@given(st.sampled_from(SHAPES), st.text(max_size=8), st.text(max_size=8))
def test_a_shape_in_json(key: str, before: str, after: str) -> None:
    """JSON that is sent says what its value says with every text scrubbed."""
    scrub, value = KeyScrubber(), {"a": [f"{before} {key} {after}", 0.0210938180000012], "b": None}
    assert json.loads(scrub.json(value)) == scrub.value(value)
    assert key.encode() not in scrub.json(value)


def test_what_is_left_alone() -> None:
    """Digests, ids and words are no keys."""
    for text in (
        "sha256 " + "ab" * 32,
        "task sk-1",
        "2026-11-22T03:05:06.789Z",
        "01a20349-ade2-7b56-ae05-6379b9706298",
    ):
        assert KeyScrubber([]).text(text) == text


def test_half_a_pair() -> None:
    """Text that UTF-8 cannot hold is sent all the same."""
    assert KeyScrubber([]).value({"a": ["\ud83d"]}) == {"a": ["\\ud83d"]}
    assert json.loads(KeyScrubber([]).json({"a": ["\ud83d"]})) == {"a": ["\\ud83d"]}
