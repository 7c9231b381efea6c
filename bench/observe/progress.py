"""The numbers of a live display: counted as records arrive, computed only when someone looks."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S
from bench.policy.histogram import Histogram
from bench.records import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.records import Glimpse, TaskResult

#: The width of the window that "recent" means.
RECENT_S: Final = 5.0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come. Rates and times are of successes that were called for; what is not known yet is None.

    Attributes:
        ready: Whether the slots stand ready; before that nothing else has a value.
        elapsed_s: Since the slots stood ready (before that: since the start), up to now; in the last snapshot up to
            the last record.
        ok: Successes, those of the cache as well.
        retried: Tasks of which an attempt failed that was not the last.
        in_flight: Tasks taken and not done.
        recent_tasks_per_s: Over the last `RECENT_S` seconds.
        left_s: What the rest will take if it goes on as until now.
        errors: How many tasks failed with each type, the most frequent first.
    """

    ready: bool
    elapsed_s: float
    total: int
    done: int
    ok: int
    failed: int
    cancelled: int
    retried: int
    in_flight: int
    tasks_per_s: float | None
    tokens_per_s: float | None
    recent_tasks_per_s: float | None
    recent_tokens_per_s: float | None
    samples: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_max_s: float | None
    ttft_p50_s: float | None
    left_s: float | None
    errors: tuple[tuple[str, int], ...]
    last_error: ErrorInfo | None


class Progress:
    """Counts what a run reports, in about a microsecond a call; any thread may report, and one takes snapshots.

    Args:
        total: Tasks of the workload.
        now_ns: The monotonic time in nanoseconds.
    """

    def __init__(self, total: int, *, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._total = total
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._begun_ns = now_ns()
        self._ready_ns: int | None = None
        self._last_ns: int | None = None
        self._drawn = self._done = self._ok = self._cached = self._cancelled = self._retried = 0
        self._tokens: int | None = None
        #: What came since the last snapshot, which sorts it into the histograms: sorting takes longer than appending.
        self._new_latencies_s: list[float] = []
        self._new_ttfts_s: list[float] = []
        self._latency, self._ttft = Histogram(), Histogram()
        self._errors: Counter[str] = Counter()
        self._last_error: ErrorInfo | None = None
        #: (instant, successes, tokens) at past snapshots, the oldest just beyond the recent window.
        self._marks: deque[tuple[int, int, int]] = deque()

    def ready(self) -> None:
        """Start the run's time."""
        with self._lock:
            self._ready_ns = self._now_ns()
            self._marks.append((self._ready_ns, 0, 0))

    def drawn(self) -> None:
        """Count a task that a slot took."""
        with self._lock:
            self._drawn += 1

    def recorded(self, glimpse: Glimpse | TaskResult) -> None:
        """Count a record."""
        with self._lock:
            self._last_ns = self._now_ns()
            self._done += 1
            if len(glimpse.attempts) > 1 and any(attempt.status == "failed" for attempt in glimpse.attempts[:-1]):
                self._retried += 1
            if glimpse.cached:
                self._cached += 1
            elif glimpse.status == "ok":
                self._ok += 1
                self._new_latencies_s.append(glimpse.latency_s)
                if glimpse.ttft_s is not None:
                    self._new_ttfts_s.append(glimpse.ttft_s)
                if glimpse.completion_tokens is not None:
                    self._tokens = (self._tokens or 0) + glimpse.completion_tokens
            elif glimpse.status == "cancelled":
                self._cancelled += 1
            elif glimpse.error is not None:
                self._errors[glimpse.error.type] += 1
                self._last_error = glimpse.error

    def snapshot(self, *, last: bool = False) -> Snapshot:
        """Return the state of now; `last` ends the run's time at its last record."""
        with self._lock:
            latencies_s, self._new_latencies_s = self._new_latencies_s, []
            ttfts_s, self._new_ttfts_s = self._new_ttfts_s, []
        latency, ttft = self._latency, self._ttft
        latency.add(latencies_s)
        ttft.add(ttfts_s)
        latency_p50_s, latency_p95_s = latency.percentile("p50"), latency.percentile("p95")
        ttft_p50_s = ttft.percentile("p50")
        with self._lock:
            now_ns = self._last_ns if last and self._last_ns is not None else self._now_ns()
            elapsed_s = (now_ns - (self._ready_ns or self._begun_ns)) / NS_PER_S
            recent = self._recent(now_ns)
            running_s = elapsed_s if self._ready_ns is not None and elapsed_s > 0 else None
            in_flight = max(0, self._drawn - self._done)
            return Snapshot(
                ready=self._ready_ns is not None,
                elapsed_s=elapsed_s,
                total=self._total,
                done=self._done,
                ok=self._ok + self._cached,
                failed=self._done - self._ok - self._cached - self._cancelled,
                cancelled=self._cancelled,
                retried=self._retried,
                in_flight=in_flight,
                tasks_per_s=self._ok / running_s if running_s and self._done else None,
                tokens_per_s=self._tokens / running_s if running_s and self._tokens is not None else None,
                recent_tasks_per_s=recent and recent[0],
                recent_tokens_per_s=recent[1] if recent and self._tokens is not None else None,
                samples=latency.n,
                latency_p50_s=latency_p50_s,
                latency_p95_s=latency_p95_s,
                latency_max_s=latency.max_s if latency.n else None,
                ttft_p50_s=ttft_p50_s,
                left_s=self._left_s(elapsed_s, in_flight),
                errors=tuple(self._errors.most_common()),
                last_error=self._last_error,
            )

    def _recent(self, now_ns: int) -> tuple[float, float] | None:
        """Return tasks/s and tokens/s over the last few seconds, and mark this instant for the next call."""
        if not self._marks:
            return None
        marks = self._marks
        marks.append((now_ns, self._ok, self._tokens or 0))
        while len(marks) > 2 and now_ns - marks[1][0] >= RECENT_S * NS_PER_S:  # noqa: PLR2004 - one to compare with this one
            marks.popleft()
        since_ns, ok, tokens = marks[0]
        window_s = (now_ns - since_ns) / NS_PER_S
        if window_s < RECENT_S:
            return None
        return (self._ok - ok) / window_s, ((self._tokens or 0) - tokens) / window_s

    def _left_s(self, elapsed_s: float, in_flight: int) -> float | None:
        """Return the time left, taking a task in flight for half done."""
        if not self._done:
            return None
        done = self._done + in_flight / 2
        return max(0.0, self._total - done) * elapsed_s / done
