"""Answers under way, with the time as a number and a list in place of a connection."""

import itertools

import msgspec
import pytest

from bench.simulator.answers import StreamAnswer, WholeAnswer, send_at_once
from bench.simulator.chat import ChatRequest, read_chat
from bench.simulator.draws import Draws, Fate
from bench.simulator.exchange import Exchange
from bench.simulator.scripts import END, LAST_CHUNK, Script, Scripts
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Lateness, Outcome

_MS = 1_000_000
_START_NS = 1_000_000_000
_PACED = SimulatorSettings(ttft_s=0.2, itl_s=0.01)


class _Tape:
    """A wire that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended: Outcome | None = None

    def send(self, data: bytes) -> None:
        assert data
        assert self.ended is None
        self.sent.append(data)

    def complete(self, outcome: Outcome) -> None:
        self.ended = outcome

    def reset(self) -> None:
        self.ended = "cut"


def _chat(*, usage: bool = True) -> ChatRequest:
    options = {"include_usage": usage}
    messages = [{"role": "user", "content": "hello"}]
    return read_chat(
        msgspec.json.encode({"model": "m", "messages": messages, "stream": True, "stream_options": options})
    )


def _exchange(tape: _Tape) -> Exchange:
    return Exchange(wire=tape, seq=7, connection=1, keep_alive=True, received_ns=_START_NS)


def _script(tokens: int) -> Script:
    return Scripts(seed=0, tokens=tokens).script(_chat())


def _stream(
    tape: _Tape, *, settings: SimulatorSettings = _PACED, fate: Fate = "ok", tokens: int = 16
) -> tuple[StreamAnswer, Exchange, Lateness]:
    exchange, lateness = _exchange(tape), Lateness()
    script = _script(tokens)
    answer = StreamAnswer(exchange, _chat(), script, fate=fate, draws=Draws(settings), lateness=lateness)
    return answer, exchange, lateness


def _played(answer: StreamAnswer | WholeAnswer) -> list[int]:
    """Advance an answer exactly when it is due, and return the times, in milliseconds after the request."""
    due_ns = answer.advance(_START_NS)
    times = [] if due_ns is not None else [0]
    while due_ns is not None:
        times.append((due_ns - _START_NS) // _MS)
        due_ns = answer.advance(due_ns)
    return times


def test_each_token_is_sent_at_its_own_time() -> None:
    """Sixteen tokens go out by sixteen writes, the first after 200 ms and each other 10 ms later."""
    tape = _Tape()
    answer, exchange, lateness = _stream(tape)
    assert _played(answer) == [200 + 10 * token for token in range(16)]
    assert len(tape.sent) == 16
    assert tape.ended == "ok"
    assert exchange.first_sent_ns == _START_NS + 200 * _MS
    assert (lateness.count, lateness.max_s) == (16, 0)


def test_being_late_once_does_not_shift_what_follows() -> None:
    """An answer that was woken 25 ms late sends the three tokens due by one write, and the next at its own time."""
    tape = _Tape()
    answer, _, lateness = _stream(tape)
    answer.advance(_START_NS + 200 * _MS)
    assert answer.advance(_START_NS + 235 * _MS) == _START_NS + 240 * _MS
    assert len(tape.sent) == 2
    assert tape.sent[1].count(b"data: ") == 3
    assert lateness.max_s == 0.025


def test_being_woken_early_sends_nothing() -> None:
    """An answer that is woken before its time sends nothing and says when it is due."""
    tape = _Tape()
    answer, _, _ = _stream(tape)
    assert answer.advance(_START_NS + 200 * _MS - 1) == _START_NS + 200 * _MS
    assert tape.sent == []


def test_all_at_once_is_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way for instant streams sends exactly what the long way sends, with usage and without."""
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    for usage, tokens in itertools.product((True, False), (1, 2, 16)):
        chat = _chat(usage=usage)
        script = _script(tokens)
        assert script.whole is not None
        long, short = _Tape(), _Tape()
        draws = Draws(SimulatorSettings())
        StreamAnswer(_exchange(long), chat, script, fate="ok", draws=draws, lateness=Lateness()).advance(_START_NS)
        send_at_once(_exchange(short), chat, script, whole=script.whole, lateness=Lateness())
        assert long.sent == short.sent
        assert long.ended == short.ended == "ok"


@pytest.mark.parametrize(("fate", "outcome"), [("cut", "cut"), ("truncate", "truncated"), ("stall", None)])
@pytest.mark.parametrize(("tokens", "sent"), [(1, 1), (2, 1), (16, 8)])
def test_a_break_comes_after_half_of_the_tokens(fate: Fate, outcome: Outcome | None, tokens: int, sent: int) -> None:
    """A broken stream sends half of its tokens, at least one, and breaks when the next would have been due."""
    tape = _Tape()
    answer, exchange, _ = _stream(tape, fate=fate, tokens=tokens)
    assert _played(answer)[-1] == 200 + 10 * sent
    wire = b"".join(tape.sent)
    assert wire.count(b'"content":') == 1 + sent  # the role's is empty
    assert b"[DONE]" not in wire
    assert b'"stop"' not in wire
    assert wire.endswith(LAST_CHUNK) == (fate == "truncate")
    assert tape.ended == outcome
    assert exchange.outcome == ("stalled" if fate == "stall" else "client_gone")


@pytest.mark.parametrize("tokens", [1, 2, 16])
def test_a_malformed_stream_goes_on_to_its_end(tokens: int) -> None:
    """A malformed stream holds one chunk that is not JSON among all of its tokens, and ends as others do."""
    tape = _Tape()
    answer, _, _ = _stream(tape, fate="malform", tokens=tokens)
    assert len(_played(answer)) == tokens
    wire = b"".join(tape.sent)
    assert wire.count(b'"delta":{"content":\n') == 1
    assert wire.count(b'"content":') == tokens + 2
    assert wire.endswith(END)
    assert tape.ended == "malformed"


def test_an_answer_whose_client_is_gone_sends_nothing_more() -> None:
    """Once its exchange is finished, an answer that is still in the timeline ends without a byte."""
    for answer, exchange, tape in (_half_sent_stream(), _waiting_document()):
        exchange.finished_ns = _START_NS
        sent = len(tape.sent)
        assert answer.advance(_START_NS + 1_000 * _MS) is None
        assert len(tape.sent) == sent


def _half_sent_stream() -> tuple[StreamAnswer, Exchange, _Tape]:
    tape = _Tape()
    answer, exchange, _ = _stream(tape)
    answer.advance(_START_NS + 230 * _MS)
    return answer, exchange, tape


def _waiting_document() -> tuple[WholeAnswer, Exchange, _Tape]:
    tape = _Tape()
    exchange = _exchange(tape)
    answer = WholeAnswer(exchange, b"x", outcome="ok", due_ns=_START_NS + 5 * _MS, lateness=Lateness())
    assert answer.advance(_START_NS) == _START_NS + 5 * _MS
    return answer, exchange, tape


def test_a_document_is_sent_once_when_due() -> None:
    """An answer that is not streamed goes out by one write at its time."""
    tape = _Tape()
    exchange, lateness = _exchange(tape), Lateness()
    answer = WholeAnswer(exchange, b"document", outcome="ok", due_ns=_START_NS + 350 * _MS, lateness=lateness)
    assert _played(answer) == [350]
    assert (tape.sent, tape.ended, exchange.first_sent_ns) == ([b"document"], "ok", _START_NS + 350 * _MS)
    assert lateness.count == 1


def test_jitter_moves_the_tokens_and_the_seed_decides_how() -> None:
    """With jitter the times differ from the mean, never go back, and are the same for the same seed."""
    settings = SimulatorSettings(ttft_s=0.2, itl_s=0.01, jitter=0.5, seed=3)
    first, again = (_played(_stream(_Tape(), settings=settings)[0]) for _ in range(2))
    assert first == again
    assert first == sorted(first)
    assert first != [200 + 10 * token for token in range(16)]
