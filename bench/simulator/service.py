"""What each request gets: the routes, the documents that the simulator gives of itself, and the count of its chats."""

import time
from typing import Final, Protocol

import msgspec

from bench.simulator.completions import Completions, refuse
from bench.simulator.exchange import Exchange, Wire
from bench.simulator.replies import Reply, document, nowhere, wrong_method
from bench.simulator.request_log import RequestLog
from bench.simulator.settings import SimulatorSettings
from bench.simulator.stats import Outcome, Stats
from bench.simulator.timeline import Freeze, Timeline

_NS_PER_S: Final = 1_000_000_000
_CHAT: Final = b"/v1/chat/completions"
_MODELS: Final = b"/v1/models"
_HEALTH: Final = b"/health"
_STATS: Final = b"/stats"
_RESET: Final = b"/stats/reset"
#: Path -> the one method that it has.
_METHODS: Final = {_CHAT: b"POST", _MODELS: b"GET", _HEALTH: b"GET", _STATS: b"GET", _RESET: b"POST"}


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request as it was read.

    Attributes:
        method: Its method, in capitals.
        path: Its target without the query.
        body: Its body; empty when it was refused.
        keep_alive: Whether its connection stays open after the answer.
        refusal: Why it could not be read to its end; None when it was.
    """

    method: bytes
    path: bytes
    body: bytes
    keep_alive: bool
    refusal: Reply | None = None


class Line(Wire, Protocol):
    """A connection, as the service sees it.

    Attributes:
        number: Its number in the order of accepting, from 1.
        exchange: The chat completion request that it is being answered; None when there is none.
    """

    number: int
    exchange: Exchange | None


class Service:
    """One simulator: answers the requests of all its connections. One event loop uses it."""

    def __init__(self, settings: SimulatorSettings, *, timeline: Timeline, log: RequestLog | None) -> None:
        self.stats = Stats(settings, now_ns=time.perf_counter_ns(), cpu_s=time.process_time())
        self._settings = settings
        self._log = log
        self._timeline = timeline
        self._completions = Completions(settings, stats=self.stats, timeline=timeline)
        self._seq = 0

    def answer(self, line: Line, received: Received, *, at_ns: int) -> None:
        """Answer a request, at once or over time; the line is told when the answer is complete.

        Args:
            line: The connection that it came over.
            received: The request.
            at_ns: When its last byte was read, or when the answer before it on its connection was complete.
        """
        if received.path == _CHAT and received.method == b"POST":
            self._chat(line, received, at_ns)
            return
        reply = received.refusal or self._document(received.method, received.path)
        line.send(reply.encode(keep_alive=received.keep_alive))
        line.complete("ok")

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Note that a chat completion request ended."""
        now_ns = exchange.finished_ns = time.perf_counter_ns()
        exchange.outcome = outcome
        was_in_flight, exchange.in_flight = exchange.in_flight, False
        self.stats.ended(outcome, now_ns, was_in_flight=was_in_flight)
        if self._log is not None:
            self._log.write(exchange)
        if was_in_flight:
            self._completions.left(exchange)

    def _chat(self, line: Line, received: Received, at_ns: int) -> None:
        seq = self._seq
        self._seq = seq + 1
        if seq == 0 and self._settings.freeze_s > 0:
            self._timeline.add(at_ns + round(self._settings.freeze_at_s * _NS_PER_S), Freeze(self._settings.freeze_s))
        self.stats.requests += 1
        exchange = Exchange(
            wire=line, seq=seq, connection=line.number, keep_alive=received.keep_alive, received_ns=at_ns
        )
        line.exchange = exchange
        if received.refusal is None:
            self._completions.begin(exchange, received.body)
        else:
            refuse(exchange, received.refusal, "invalid")

    def _document(self, method: bytes, path: bytes) -> Reply:
        allowed = _METHODS.get(path)
        if allowed is None:
            return nowhere(path, known=tuple(_METHODS))
        if method != allowed:
            return wrong_method(method, path, allowed=allowed)
        if path == _HEALTH:
            return document({"status": "ok"})
        if path == _MODELS:
            model = {"id": self._settings.model, "object": "model", "created": 0, "owned_by": "simulator"}
            return document({"object": "list", "data": [model]})
        now_ns, cpu_s = time.perf_counter_ns(), time.process_time()
        snapshot = self.stats.snapshot(now_ns=now_ns, cpu_s=cpu_s)
        if path == _RESET:
            self.stats.reset(now_ns=now_ns, cpu_s=cpu_s)
        return document(snapshot)
