"""Chat completion requests: let in or refused, given their fate, and their answers started."""

import math
import time
from functools import partial
from http import HTTPStatus
from typing import Final

from bench.simulator.answers import StreamAnswer, WholeAnswer, send_at_once
from bench.simulator.chat import ChatError, ChatRequest, read_chat
from bench.simulator.draws import Draws, Fate
from bench.simulator.exchange import Exchange
from bench.simulator.limits import TokenBucket
from bench.simulator.places import Places
from bench.simulator.replies import Reply, problem, too_many
from bench.simulator.scripts import NOT_JSON, Script, Scripts, completion, request_id
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Outcome, Stats
from bench.simulator.timeline import Timed, Timeline

_MS_PER_S: Final = 1_000

#: How an answer that is not streamed ends, by fate.
_ENDINGS: Final[dict[Fate, Outcome]] = {
    "ok": "ok",
    "cut": "cut",
    "truncate": "truncated",
    "malform": "malformed",
    "stall": "stalled",
}


class Completions:
    """The part of a simulator that completes chats. One event loop uses it."""

    def __init__(self, settings: SimulatorSettings, *, stats: Stats, timeline: Timeline) -> None:
        self._settings = settings
        self._stats = stats
        self._timeline = timeline
        self._is_instant = settings.is_instant
        self._draws = Draws(settings)
        self._scripts = Scripts(seed=settings.seed, tokens=settings.tokens, stamps=settings.stamps)
        rate = settings.requests_per_minute
        self._places = None if settings.capacity is None else Places(settings.capacity, stats=stats)
        self._bucket = None if rate is None else TokenBucket(rate, now_ns=time.perf_counter_ns())

    def begin(self, exchange: Exchange, body: bytes) -> None:
        """Read a request and start its answer, or refuse it."""
        try:
            chat = read_chat(body)
        except ChatError as error:
            refuse(exchange, problem(HTTPStatus.BAD_REQUEST, str(error)), "invalid")
            return
        exchange.digest = chat.digest
        exchange.stream = chat.stream
        fate = self._draws.fate(exchange.seq)
        limit = self._limit(fate, exchange.received_ns)
        if limit is not None:
            message, exchange.retry_after_s = limit
            refuse(exchange, too_many(message, exchange.retry_after_s, request_id(exchange.seq)), "rejected")
        else:
            exchange.in_flight = True
            self._stats.began(exchange.received_ns)
            if self._places is None:
                self._start(exchange, chat, fate)
            else:
                self._places.take(exchange, partial(self._start, exchange, chat, fate))

    def left(self, exchange: Exchange) -> None:
        """Give on the place of a request that was let in, and is over or has lost its client."""
        if self._places is not None:
            self._places.leave(exchange)

    def _limit(self, fate: Fate, now_ns: int) -> tuple[str, float] | None:
        """Return why a request is refused for now, and its Retry-After in seconds; None when it is let in."""
        settings = self._settings
        if fate == "reject":
            return "drawn to be rejected", settings.retry_after_s
        if settings.max_in_flight is not None and self._stats.in_flight >= settings.max_in_flight:
            return f"{settings.max_in_flight} requests are in flight, which is the limit", settings.retry_after_s
        if self._bucket is not None and (wait_s := self._bucket.take(now_ns)) > 0:
            rounded_s = math.ceil(wait_s * _MS_PER_S) / _MS_PER_S
            return f"{settings.requests_per_minute:g} requests a minute is the limit", rounded_s
        return None

    def _start(self, exchange: Exchange, chat: ChatRequest, fate: Fate) -> None:
        script = self._scripts.script(chat)
        lateness = self._stats.lateness
        if self._is_instant and fate == "ok" and chat.stream and script.whole is not None:
            send_at_once(exchange, chat, script, whole=script.whole, lateness=lateness)
            return
        answer: Timed
        if fate == "error":
            answer = self._failure(exchange)
        elif chat.stream:
            answer = StreamAnswer(exchange, chat, script, fate=fate, draws=self._draws, lateness=lateness)
        else:
            answer = self._whole(exchange, chat, script, fate)
        due_ns = answer.advance(time.perf_counter_ns())
        if due_ns is not None:
            self._timeline.add(due_ns, answer)

    def _failure(self, exchange: Exchange) -> WholeAnswer:
        """Answer 500 when the first token would have been due: a request that fails has held its place."""
        headers = request_id(exchange.seq)
        reply = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "drawn to fail", kind="server_error", headers=headers)
        exchange.http_status = reply.status
        data = reply.encode(keep_alive=exchange.keep_alive)
        due_ns = exchange.begun_ns + self._draws.wait_ns(exchange.seq, 0)
        return WholeAnswer(exchange, data, outcome="error", due_ns=due_ns, lateness=self._stats.lateness)

    def _whole(self, exchange: Exchange, chat: ChatRequest, script: Script, fate: Fate) -> WholeAnswer:
        """Answer without a stream, when the last token is due.

        Cut and stalled answers stop in the middle of their body. A truncated one is half a JSON document with the
        length that its header announces: HTTP sees nothing wrong.
        """
        body = NOT_JSON if fate == "malform" else completion(exchange.stamp(), chat, script)
        if fate == "truncate":
            body = body[: len(body) // 2]
        data = Reply(body=body, headers=request_id(exchange.seq)).encode(keep_alive=exchange.keep_alive)
        if fate in {"cut", "stall"}:
            data = data[: len(data) - len(body) // 2]
        waits_ns = sum(self._draws.wait_ns(exchange.seq, token) for token in range(len(script.tokens)))
        due_ns = exchange.begun_ns + waits_ns
        return WholeAnswer(exchange, data, outcome=_ENDINGS[fate], due_ns=due_ns, lateness=self._stats.lateness)


def refuse(exchange: Exchange, reply: Reply, outcome: Outcome) -> None:
    """Send a reply to a request that was not let in."""
    exchange.http_status = reply.status
    exchange.first_sent_ns = time.perf_counter_ns()
    exchange.wire.send(reply.encode(keep_alive=exchange.keep_alive))
    exchange.end(outcome)
