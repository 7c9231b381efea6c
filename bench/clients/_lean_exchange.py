"""One request's answer, from its first byte to its judgement; whoever has the socket feeds it, in a thread or a loop.

Of a chunked body each read is kept with its instant, and looked at only when the answer may be over, when 16 KiB are
kept, or when a limit seems to have been reached: so that the instants owe nothing to the time that parsing takes.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import httptools

from bench.clients._lean_events import Events
from bench.clients._lean_loose import answer_in, error_in
from bench.clients._limits import MAX_ERROR_BYTES, check_encoding, check_size
from bench.clients._rate_limits import rate_limits_in
from bench.clients._read import not_a_stream, take_answer
from bench.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.clients._collect import Collector
    from bench.clients._lean_http import Reader
    from bench.clients._translate import Translator

#: Bytes that may wait to be parsed: some fifty chunks, parsed within 0.3 ms.
MAX_WAITING_BYTES: Final = 16 * 1024

#: What the head ends with, and a chunked body too.
_END: Final = b"\r\n\r\n"

_CHUNKED: Final = b"\r\ntransfer-encoding: chunked\r\n"

_SUCCESSES: Final = range(200, 300)


class Exchange:
    """One answer on its way.

    Args:
        collector: Takes what comes.
        translator: Words what is wrong with it.
        stream: Whether a stream was asked for.

    Attributes:
        ended: Whether nothing more is to be read: the answer is whole, or was given up.
        parse_ns: Time spent parsing so far, in nanoseconds.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_broken",
        "_events",
        "_is_stream",
        "_may_wait",
        "_reader",
        "_stream",
        "_translator",
        "_waiting",
        "_waiting_bytes",
        "collector",
        "ended",
        "parse_ns",
    )

    def __init__(self, collector: Collector, translator: Translator, *, stream: bool) -> None:
        self.collector = collector
        self._translator = translator
        self._stream = stream
        self._is_stream = False
        self._events = Events(collector, translator)
        #: Whether reads may wait, as those of a chunked body do; None before the first one.
        self._may_wait: bool | None = None
        self._waiting: list[tuple[int, bytes]] = []
        self._waiting_bytes = 0
        #: The body so far, where it is no stream.
        self._body: list[tuple[int, bytes]] = []
        self._body_bytes = 0
        self._reader: Reader | None = None
        self._broken: BaseException | None = None
        self.ended = False
        self.parse_ns = 0

    @property
    def done(self) -> bool:
        """Whether the stream's last event was seen; what may still come is the end of the body."""
        return self._events.done

    @property
    def open(self) -> bool:
        """Whether an event is still to come."""
        return not (self.ended or self._events.done)

    @property
    def unanswered(self) -> bool:
        """Whether the connection was lost before a byte of the answer had come."""
        return self._broken is not None and self._reader is not None and not self._reader.head_bytes

    @property
    def reusable(self) -> bool:
        """Whether the answer left its connection fit for another request."""
        return self._reader is not None and self._reader.keep_alive and self._broken is None

    def begin(self, reader: Reader) -> None:
        """Begin, or begin anew on another connection."""
        reader.begin()
        self._reader = reader
        self._broken = None
        self._may_wait = None
        self.ended = False

    def take(self, now_ns: int, data: bytes) -> bool:
        """Take what was read at `now_ns`; return whether the answer may be over, which `catch_up` finds out."""
        if self.ended:
            if self._reader is not None:
                self._reader.keep_alive = False  # what follows the answer was not asked for
            return True
        self._waiting.append((now_ns, data))
        if self._may_wait is None:
            is_chunked, is_head = _seen_first(data)
            # What is handed on as it arrives is looked at as it arrives.
            self._may_wait = is_chunked and not self.collector.hands_on
            if is_head:
                return False
        if not self._may_wait:
            self.catch_up()
            return not self.open
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.catch_up()
            return not self.open
        # The server may leave the body open after its last event, which has no brace, also where it comes in halves.
        return data[-4:] == _END or b"[DONE]" in data or b"{" not in data

    def lost(self, error: Exception | None) -> None:
        """Take the connection's end: its error, or None where the server closed it in order."""
        self.catch_up()
        if self.ended:
            return
        self._broken = error or ConnectionError("the server closed the connection")
        self.ended = True
        reader = self._reader
        if error is None and reader is not None and reader.http_status is not None and reader.ends_with_connection():
            reader.complete = True

    def expired(self, now_ns: int) -> bool:
        """Return whether the call's limit has passed, all that has come considered; if so, fail with it."""
        if self.collector.limit()[0] > now_ns and math.isinf(self.collector.blind_s):
            return False
        self.catch_up()
        if self.ended or self.done or self.collector.limit()[0] > now_ns:
            return False
        self._fail(self.collector.timed_out())
        return True

    def catch_up(self) -> None:
        """Parse what waits, and find out whether the answer is over."""
        reader = self._reader
        if reader is None or not self._waiting:
            return
        begun_ns = time.perf_counter_ns()
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        try:
            self._parse(waiting, reader)
        except httptools.HttpParserError as error:
            self._fail(self._not_http(error))
        except CallError as error:
            self._fail(error)
        if reader.complete:
            self.ended = True
        self.parse_ns += time.perf_counter_ns() - begun_ns

    def judge(self) -> None:
        """Put what came, once it has ended, into the collector."""
        self.catch_up()
        reader, collector = self._reader, self.collector
        if reader is None or collector.http_status is None:
            if self._broken is not None:
                collector.fail(self._translator.network(self._broken, head_seen=False))
        elif self._is_stream:
            self._finish_stream(reader)
        elif not reader.complete:
            self._fail_broken()
        else:
            self._judge_body(b"".join([body for _, body in self._body]), reader)

    def _parse(self, reads: list[tuple[int, bytes]], reader: Reader) -> None:
        bodies: list[tuple[int, bytes]] = []
        try:
            for now_ns, data in reads:
                try:
                    reader.feed(data)
                finally:
                    # Also of an answer that is no HTTP from here on.
                    if self.collector.http_status is None and reader.http_status is not None:
                        self._take_head(now_ns, reader)
                    if parts := reader.parts:
                        bodies.append((now_ns, parts[0] if len(parts) == 1 else b"".join(parts)))
                        parts.clear()
        finally:
            if bodies:
                self._take_bodies(bodies)

    def _take_head(self, now_ns: int, reader: Reader) -> None:
        collector = self.collector
        content_type = encoding = b""
        for name, value in reader.headers.items():
            if (lowered := name.lower()) == b"content-type":
                content_type = value
            elif lowered == b"content-encoding":
                encoding = value
        collector.on_head(now_ns, reader.http_status or 0, content_type.decode("latin-1"))
        if collector.reads_limits:
            collector.rate_limits = rate_limits_in(self._headers(reader))
        self._is_stream = self._stream and collector.http_status in _SUCCESSES and collector.is_event_stream
        if encoding:
            check_encoding(encoding.decode("latin-1"))

    def _take_bodies(self, bodies: list[tuple[int, bytes]]) -> None:
        for _, body in bodies:
            self._body_bytes += len(body)
        if self._is_stream:
            check_size(self._body_bytes)
            self._events.feed(bodies)
            return
        self._body += bodies
        if self.collector.http_status in _SUCCESSES:
            check_size(self._body_bytes)
        elif self._body_bytes > MAX_ERROR_BYTES and self._reader is not None:
            self._reader.complete, self._reader.keep_alive = True, False

    def _finish_stream(self, reader: Reader) -> None:
        if reader.complete:
            try:
                self._events.finish(time.perf_counter_ns())
            except CallError as error:
                self.collector.fail(error)
        elif not self.done:
            self._fail_broken()

    def _fail_broken(self) -> None:
        if self._broken is not None:
            self.collector.fail(self._translator.network(self._broken, head_seen=True))

    def _judge_body(self, body: bytes, reader: Reader) -> None:
        """Judge a body that is no stream."""
        collector, translator = self.collector, self._translator
        begun_ns = time.perf_counter_ns()
        try:
            if collector.http_status not in _SUCCESSES:
                headers = self._headers(reader)
                collector.fail(translator.status(collector.http_status or 0, error_in(body), headers))
            elif self._stream:
                collector.fail(not_a_stream(body, collector, translator))
            else:
                take_answer(answer_in(body, collector.content_type), collector, translator)
        except CallError as error:
            collector.fail(error)
        except (ValueError, RecursionError) as error:
            collector.fail(translator.undecodable(error, stream=False))
        self.parse_ns += time.perf_counter_ns() - begun_ns

    def _headers(self, reader: Reader) -> Mapping[str, str]:
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reader.headers.items()}

    def _not_http(self, error: httptools.HttpParserError) -> CallError:
        if self.collector.http_status is not None:
            return self._translator.network(error, head_seen=True)
        return CallError("bad_content_type", f"the answer is not HTTP: {self._translator.quote(str(error))}")

    def _fail(self, error: CallError) -> None:
        self.collector.fail(error)
        self.ended = True


def _seen_first(data: bytes) -> tuple[bool, bool]:
    """Return of an answer's first read whether a chunked body follows its head, and whether it is just the head."""
    end = data.find(_END)
    chunked = _CHUNKED in data[: end + 2].lower()
    return chunked, chunked and end == len(data) - len(_END)
