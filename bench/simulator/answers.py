"""Answers under way: what is sent when, and how each kind of ending is brought about.

A fault happens after half of the tokens (at least one), at the time when the next one would have been due.
"""

import time
from typing import Final

from bench.simulator.chat import ChatRequest
from bench.simulator.draws import Draws, Fate
from bench.simulator.exchange import Exchange
from bench.simulator.scripts import (
    DIGEST_HOLE,
    DIGEST_PART,
    END,
    LAST_CHUNK,
    Piece,
    Script,
    stamped,
    stream_head,
    usage_chunk,
)
from bench.simulator.stats import Lateness, Outcome

#: Fates that end a stream before its last token.
_BREAKS: Final[dict[Fate, Outcome]] = {"cut": "cut", "truncate": "truncated", "stall": "stalled"}


class WholeAnswer:
    """An answer that goes out by one write."""

    __slots__ = ("_data", "_due_ns", "_exchange", "_lateness", "_outcome")

    def __init__(self, exchange: Exchange, data: bytes, *, outcome: Outcome, due_ns: int, lateness: Lateness) -> None:
        self._exchange = exchange
        self._data = data
        self._outcome = outcome
        self._due_ns = due_ns
        self._lateness = lateness

    def advance(self, now_ns: int) -> int | None:
        """Send it if it is due."""
        if self._exchange.finished_ns is not None:
            return None
        if now_ns < self._due_ns:
            return self._due_ns
        self._lateness.add(now_ns - self._due_ns)
        self._exchange.first_sent_ns = now_ns
        self._exchange.wire.send(self._data)
        self._exchange.end(self._outcome)
        return None


def send_at_once(exchange: Exchange, chat: ChatRequest, script: Script, *, whole: Piece, lateness: Lateness) -> None:
    """Send a whole stream by one write: what a `StreamAnswer` without waits and faults sends, for far less work."""
    stamp = exchange.stamp()
    usage = usage_chunk(stamp, chat, script) if chat.include_usage else b""
    # Only the short parts are put together before the one join that copies the whole.
    piece = whole.copy()
    piece[0] = stream_head(exchange.seq, keep_alive=exchange.keep_alive) + piece[0]
    piece[DIGEST_PART] = piece[DIGEST_PART].replace(DIGEST_HOLE, chat.digest.encode())
    piece[-1] = b"".join((piece[-1], usage, END))
    data = stamp.join(piece)
    now_ns = exchange.first_sent_ns = time.perf_counter_ns()
    lateness.add(now_ns - exchange.begun_ns)
    exchange.wire.send(stamped(data, now_ns) if script.stamped else data)
    exchange.wire.complete("ok")


class StreamAnswer:
    """A stream: each token at its own absolute time, the last one together with what ends the stream."""

    __slots__ = (
        "_break",
        "_chat",
        "_draws",
        "_due_ns",
        "_exchange",
        "_fate",
        "_fault_at",
        "_lateness",
        "_next",
        "_script",
        "_stamp",
    )

    def __init__(
        self, exchange: Exchange, chat: ChatRequest, script: Script, *, fate: Fate, draws: Draws, lateness: Lateness
    ) -> None:
        self._exchange = exchange
        self._chat = chat
        self._script = script
        self._fate = fate
        self._break = _BREAKS.get(fate)
        self._fault_at = max(1, len(script.tokens) // 2)
        self._draws = draws
        self._lateness = lateness
        self._next = 0
        self._stamp = exchange.stamp()
        self._due_ns = exchange.begun_ns + draws.wait_ns(exchange.seq, 0)

    def advance(self, now_ns: int) -> int | None:
        """Send, by one write, every token that is due."""
        if self._exchange.finished_ns is not None:
            return None
        parts: list[bytes] = []
        outcome = None
        while outcome is None and self._due_ns <= now_ns:
            outcome = self._step(parts, now_ns)
        if parts:
            data = b"".join(parts)
            self._exchange.wire.send(stamped(data, time.perf_counter_ns()) if self._script.stamped else data)
        if outcome is None:
            return self._due_ns
        self._exchange.end(outcome)
        return None

    def _step(self, parts: list[bytes], now_ns: int) -> Outcome | None:
        """Add the next token, or the break that comes in its place; return how the stream ended, if it did."""
        token = self._next
        if token == self._fault_at and self._break is not None:
            if self._break == "truncated":
                parts.append(LAST_CHUNK)
            return self._break
        self._lateness.add(now_ns - self._due_ns)
        if token == 0:
            self._add_first(parts, now_ns)
        else:
            parts.append(self._stamp.join(self._script.tokens[token]))
        if self._fate == "malform" and token == self._fault_at - 1:
            parts.append(self._stamp.join(self._script.malformed))
        self._next = token + 1
        if self._next == len(self._script.tokens) and self._break is None:
            self._add_end(parts)
            return "malformed" if self._fate == "malform" else "ok"
        self._due_ns += self._draws.wait_ns(self._exchange.seq, self._next)
        return None

    def _add_first(self, parts: list[bytes], now_ns: int) -> None:
        self._exchange.first_sent_ns = now_ns
        parts.append(stream_head(self._exchange.seq, keep_alive=self._exchange.keep_alive))
        chunk = self._stamp.join(self._script.tokens[0])
        parts.append(chunk.replace(DIGEST_HOLE, self._chat.digest.encode(), 1))

    def _add_end(self, parts: list[bytes]) -> None:
        parts.append(self._stamp.join(self._script.finish))
        if self._chat.include_usage:
            parts.append(usage_chunk(self._stamp, self._chat, self._script))
        parts.append(END)
