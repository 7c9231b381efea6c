"""The collector's rules, without a server."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clients._base import Timeouts
from bench.clients._collect import Collector
from bench.clients._pieces import encodable
from bench.clients._translate import Translator
from bench.clients.retry_after import retry_after_s
from bench.clock import NS_PER_S
from bench.errors import CallError
from bench.providers import Secret

TIMEOUTS = Timeouts(ttft_s=2.0, idle_s=1.0)


def collector(*, stream: bool = True, deadline_s: float = 100.0) -> Collector:
    """Return the collector of a call that was sent at instant 0."""
    return Collector(stream=stream, timeouts=TIMEOUTS, sent_ns=0, deadline_ns=int(deadline_s * NS_PER_S))


def test_limits_follow_the_tokens() -> None:
    """The limit is the first token's, then the next token's, and always the deadline where that comes first."""
    call = collector(deadline_s=4.5)
    assert call.limit() == (2 * NS_PER_S, "timeout_ttft")
    call.on_chunk(NS_PER_S, None, None, None)
    assert call.limit() == (2 * NS_PER_S, "timeout_ttft"), "a chunk without a token changes nothing"
    call.on_chunk(3 * NS_PER_S, None, "Hmm", None)
    assert call.limit() == (4 * NS_PER_S, "timeout_idle")
    call.on_chunk(4 * NS_PER_S, "text", None, None)
    assert call.limit() == (int(4.5 * NS_PER_S), "timeout_total")


def test_only_the_deadline_limits_what_is_not_streamed() -> None:
    """A whole answer has no first token to wait for."""
    assert collector(stream=False).limit() == (100 * NS_PER_S, "timeout_total")


@pytest.mark.parametrize(
    ("tokens_at_s", "deadline_s", "words"),
    [([], 100, "no first token within 2 s"), ([1], 100, "no further token for 1 s"), ([], 1.5, "1.5 s after sending")],
)
def test_a_limit_says_what_it_was(tokens_at_s: list[int], deadline_s: float, words: str) -> None:
    """The message of a timeout names the limit that was reached."""
    call = collector(deadline_s=deadline_s)
    for at_s in tokens_at_s:
        call.on_chunk(at_s * NS_PER_S, "x", None, None)
    assert words in str(call.timed_out())


def test_the_first_failure_stands() -> None:
    """What broke a call off is not replaced by what followed from it, and gets the answer's status."""
    call = collector()
    call.on_head(1, 200, "text/event-stream")
    call.fail(CallError("bad_sse", "first"))
    call.fail(CallError("stream_reset", "second"))
    error = call.finish(9).error
    assert error is not None
    assert (error.error_type, error.message, error.http_status) == ("bad_sse", "first", 200)


def test_a_whole_answer_outlives_a_cancellation() -> None:
    """An answer that was whole when the run was cancelled is a success; one that was not is cancelled."""
    call = collector()
    call.on_chunk(1, "half", None, None)
    broken = call.finish(5, cancelled=True)
    assert (broken.cancelled, str(broken.error)[:9], broken.content) == (True, "cancelled", "half")
    call.on_chunk(2, None, None, "stop")
    whole = call.finish(5, cancelled=True)
    assert (whole.cancelled, whole.error) == (False, None)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_can_be_encoded(text: str) -> None:
    """Whatever text comes can be written as UTF-8 afterwards, and text that could before is not changed."""
    result = encodable(text)
    assert result.encode().decode() == result
    try:
        text.encode()
    except UnicodeEncodeError:
        assert result != text
    else:
        assert result == text


HEADER_VALUES = (
    st.text(max_size=40) | st.floats().map(str) | st.floats(-1e12, 1e12).map(lambda at: formatdate(at % 1e10))
)


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), HEADER_VALUES), st.floats(0, 1e10))
def test_no_header_is_too_odd(headers: dict[str, str], now_s: float) -> None:
    """Whatever a server asks for is a finite wait of at least 0, or not understood."""
    wait_s = retry_after_s(headers, now_s)
    assert wait_s is None or (wait_s >= 0 and math.isfinite(wait_s))


def test_a_date_is_read_by_this_clock_where_the_server_names_none() -> None:
    """Without a Date of the server's own its Retry-After is read by the time given."""
    assert retry_after_s({"retry-after": formatdate(1000, usegmt=True)}, 940.0) == 60.0


@given(st.text(max_size=700), st.integers(2, 400))
def test_quotes_fit_and_hide_the_key(text: str, limit_chars: int) -> None:
    """A quote of foreign text is one printable line of the length allowed, without the key, wherever that was."""
    key = "sk-§§"
    quoted = Translator(Secret(key)).quote(text + key + text, limit_chars)
    assert len(quoted) <= limit_chars
    assert quoted.isprintable()
    assert key not in quoted
