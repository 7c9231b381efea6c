"""Sends the traces of a run, once or while it goes on; the journal is the queue, so that nothing waits for it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bench.clock import NS_PER_S, utc_label, utc_now
from bench.errors import BenchError
from bench.tracing.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.tracing.answer import Answer
    from bench.tracing.destination import Destination
    from bench.tracing.gather import Gathering
    from bench.tracing.make import Iteration, SpanMaker
    from bench.tracing.notes import Notes
    from bench.tracing.payload import Operation, Part
    from bench.tracing.span import Span

_log = logging.getLogger("bench.tracing")

#: A request has at most so many spans, and bytes beyond which none is added; LangSmith takes 20 MB.
_MOST_SPANS: Final = 200
_MOST_BYTES: Final = 4_000_000

#: How often the files are looked at while nothing is to be sent.
_POLL_S: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a sender bears with an endpoint that takes nothing just now.

    Attributes:
        first_wait_s: The wait after the first attempt; further ones double.
        longest_wait_s: No wait is longer, whatever the server asks for.
        attempts: How often the same is tried once the run is over; while it goes on, there is no end to it.
    """

    first_wait_s: float = 0.5
    longest_wait_s: float = 8.0
    attempts: int = 4


class Connection(Protocol):
    """Where spans are sent; used by one thread."""

    def post(self, parts: Sequence[Part]) -> Answer:
        """Send spans, once."""

    def project_url(self) -> str | None:
        """Return the address of the project's page."""


class SpanWriter(Protocol):
    """Turns spans into what a connection sends."""

    def parts(self, span: Span, operation: Operation = "post") -> tuple[Part, ...]:
        """Return the parts of a span; a patch says the same about a span that was posted before."""


@dataclass(eq=False)
class _Batch:
    """What goes with one request.

    Attributes:
        lines: The records, by their lines.
        parts: Their spans.
        spans: How many these are.
        size_bytes: How much that is.
    """

    lines: list[int] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    spans: int = 0
    size_bytes: int = 0

    def is_full(self) -> bool:
        """Whether nothing more should be added."""
        return self.spans >= _MOST_SPANS or self.size_bytes >= _MOST_BYTES


class Push:
    """One push: a thread that sends, which whoever began it need not wait for.

    Args:
        to: Where traces go.
        connection: The way there.
        gathering: What is to be sent.
        maker: Makes the roots' spans.
        writer: Writes spans.
        notes: What was taken; this thread alone adds to them.
        patience: How it bears with an endpoint that takes nothing.

    Attributes:
        over: To be set once the run's records are all there.
        hurry: To be set where the end is waited for: no wait is longer than the first from then on.
    """

    def __init__(  # noqa: PLR0913 - the parts that it is put together from
        self,
        to: Destination,
        *,
        connection: Connection,
        gathering: Gathering,
        maker: SpanMaker,
        writer: SpanWriter,
        notes: Notes,
        patience: Patience,
    ) -> None:
        self._to = to
        self._connection = connection
        self._gathering = gathering
        self._maker = maker
        self._writer = writer
        self._notes = notes
        self._patience = patience
        self._reason: str | None = None
        self._failed = 0
        self._refused: set[int] = set()
        self._shut = False
        self._url: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self.over = threading.Event()
        self.hurry = threading.Event()

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Push {self._notes!r} failed={self._failed}>"

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, and return whether it has come."""
        return self._ended.wait(timeout_s)

    def outcome(self) -> Outcome:
        """Return how far it got; from any thread."""
        sent, failed, left_out = self._notes.sent_count, self._failed, self._gathering.left_out
        missing = sum(1 for _ in self._gathering.roots(over=True))
        dropped = max(0, self._gathering.count() - sent - failed - left_out)
        return Outcome(
            endpoint=self._to.endpoint,
            project=self._to.project,
            traces_sent=sent,
            traces_failed=failed,
            traces_dropped=dropped,
            traces_left_out=left_out,
            roots_sent=len(self._notes.said),
            roots_missing=missing,
            # What went well in the end needs none.
            reason=self._reason if failed or dropped or missing else None,
            url=self._url,
            ended_at=utc_label(utc_now()),
        )

    def _work(self) -> None:
        try:
            self._send_all()
            if self._notes.sent_count and not self._shut:
                self._url = self._connection.project_url()
        except BenchError as error:
            self._reason = str(error)
        except Exception as bug:  # noqa: BLE001 - the thread's edge: whoever waits for it is told
            _log.exception("a bug ended the sending of traces")
            self._reason = f"a bug in this program ({type(bug).__name__})"
        finally:
            self._ended.set()

    def _send_all(self) -> None:
        while not self._shut:
            # Before the files are looked at: what comes later than this is no part of the run.
            is_over = self.over.is_set()
            self._gathering.grow(over=is_over)
            batch = self._batch()
            if batch.lines:
                self._send(batch)
            self._send_roots(over=False)
            if not batch.lines and is_over:
                self._send_roots(over=True)
                return
            if not batch.lines:
                self.over.wait(_POLL_S)

    def _batch(self) -> _Batch:
        batch = _Batch()
        while not batch.is_full() and (line := self._gathering.next_line()) is not None:
            spans = self._gathering.spans_of(line)
            parts = [part for span in spans for part in self._writer.parts(span)]
            batch.lines.append(line)
            batch.parts += parts
            batch.spans += len(spans)
            batch.size_bytes += sum(len(part.data) for part in parts)
        return batch

    def _send(self, batch: _Batch) -> None:
        self._failed += len(batch.lines)
        if self._deliver(batch.parts):
            self._failed -= len(batch.lines)
            self._notes.has_sent(batch.lines)

    def _send_roots(self, *, over: bool) -> None:
        todo = [root for root in self._gathering.roots(over=over) if root[0].number not in self._refused]
        while todo and not self._shut:
            some, todo = todo[:_MOST_SPANS], todo[_MOST_SPANS:]
            parts = [part for root in some for part in self._root(*root)]
            if self._deliver(parts):
                for iteration, _ in some:
                    self._notes.has_said(iteration)
            else:
                self._refused.update(iteration.number for iteration, _ in some)

    def _root(self, iteration: Iteration, said_before: bool) -> tuple[Part, ...]:  # noqa: FBT001 - as it is listed
        return self._writer.parts(self._maker.root(iteration), "patch" if said_before else "post")

    def _deliver(self, parts: Sequence[Part]) -> bool:
        """Send parts until they are taken or refused; return whether they were taken."""
        wait_s, attempts = self._patience.first_wait_s, 0
        while True:
            attempts += 1
            answer = self._connection.post(parts)
            if answer.taken:
                return True
            self._reason = answer.reason
            if answer.shut or not answer.again:
                self._shut = answer.shut
                return False
            if self.over.is_set() and attempts >= self._patience.attempts:
                # Nothing else would fare better.
                self._shut = True
                return False
            self._rest(min(max(wait_s, answer.retry_after_s or 0.0), self._patience.longest_wait_s))
            wait_s *= 2

    def _rest(self, wait_s: float) -> None:
        """Wait between two attempts; where the end is waited for meanwhile, no longer than the first wait from then."""
        until_ns = time.perf_counter_ns() + int(wait_s * NS_PER_S)
        if self.hurry.wait(wait_s):
            left_s = (until_ns - time.perf_counter_ns()) / NS_PER_S
            time.sleep(max(0.0, min(left_s, self._patience.first_wait_s)))
