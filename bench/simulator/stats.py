"""What a simulator counts about itself, and the snapshot that it gives of that."""

import math
from typing import Final, Literal, get_args

import msgspec

from bench.simulator.settings import SimulatorSettings

_NS_PER_S: Final = 1_000_000_000
#: Width of a lateness bucket. Fine enough to tell 0.1 ms from 0.2 ms, and 4,001 buckets are 32 kB.
_BUCKET_NS: Final = 50_000
#: Lateness beyond the last bucket (0.2 s) is counted there; the maximum is exact.
_BUCKETS: Final = 4_000


#: How a chat completion request ended, seen from the server.
Outcome = Literal["ok", "error", "rejected", "invalid", "cut", "truncated", "malformed", "stalled", "client_gone"]
_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


class SimulatorStats(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of one window: since the start, or since the last reset.

    Requests are chat completions only. A request is in flight from its last byte read until the last byte of its
    answer is handed to the socket or its connection is lost; one that was rejected or is invalid never is. Those that
    wait for one of the server's places are in flight too.

    Attributes:
        window_s: Length of the window.
        requests: Requests that were read.
        outcomes: Requests that ended, by outcome.
        in_flight: Requests in flight now.
        peak_in_flight: Most requests in flight at once.
        in_flight_s: Requests in flight, integrated over the window.
        waiting: Requests that wait for a place now.
        peak_waiting: The longest queue for places.
        connections_accepted: Connections accepted.
        connections_used: Connections that carried a request (those that only ask for statistics do not).
        connections_open: Connections open now.
        sends: Tokens or whole answers that were sent.
        lateness_p50_s: Half of them were sent at most this long after they were due; None without any.
        lateness_p99_s: The same for 99 of 100; both are upper bounds, at most 50 us too high.
        lateness_max_s: The latest.
        cpu_s: CPU time of the server's process.
        settings: What the server was told to do.
    """

    window_s: float
    requests: int
    outcomes: dict[Outcome, int]
    in_flight: int
    peak_in_flight: int
    in_flight_s: float
    waiting: int
    peak_waiting: int
    connections_accepted: int
    connections_used: int
    connections_open: int
    sends: int
    lateness_p50_s: float | None
    lateness_p99_s: float | None
    lateness_max_s: float | None
    cpu_s: float
    settings: SimulatorSettings

    @property
    def mean_in_flight(self) -> float:
        """Mean number of requests in flight over the window."""
        return self.in_flight_s / self.window_s if self.window_s > 0 else 0.0


class Lateness:
    """How late things were, in a bounded histogram."""

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 1)
        self._max_ns = 0

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * (_BUCKETS + 1)
        self._max_ns = 0

    def add(self, late_ns: int) -> None:
        """Count one thing that was `late_ns` late."""
        bucket = late_ns // _BUCKET_NS
        self._counts[min(bucket, _BUCKETS)] += 1
        self._max_ns = max(self._max_ns, late_ns)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    @property
    def max_s(self) -> float | None:
        """The latest; None without any."""
        return self._max_ns / _NS_PER_S if self.count else None

    def quantile_s(self, share: float) -> float | None:
        """Return an upper bound of the given quantile, one bucket wide at most; None without any."""
        rank = math.ceil(share * self.count)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                bound_ns = (bucket + 1) * _BUCKET_NS if bucket < _BUCKETS else self._max_ns
                return min(bound_ns, self._max_ns) / _NS_PER_S
        return None


class Stats:
    """The running counts. One event loop calls it; every time is `perf_counter_ns`, CPU time is in seconds.

    Attributes:
        requests: Requests that were read in this window; who reads one adds it.
        in_flight: Requests in flight now.
        lateness: How late things were sent in this window.
    """

    def __init__(self, settings: SimulatorSettings, *, now_ns: int, cpu_s: float) -> None:
        self.in_flight = 0
        self._waiting = 0
        self.lateness = Lateness()
        self._settings = settings
        self._connections_open = 0
        self.reset(now_ns=now_ns, cpu_s=cpu_s)

    def reset(self, *, now_ns: int, cpu_s: float) -> None:
        """Begin a new window; what is in flight and open stays so."""
        self._began_ns = now_ns
        self._began_cpu_s = cpu_s
        self._changed_ns = now_ns
        self._in_flight_ns = 0
        self._peak = self.in_flight
        self._peak_waiting = self._waiting
        self.requests = 0
        self._outcomes = dict.fromkeys(_OUTCOMES, 0)
        self._accepted = 0
        self._used = 0
        self.lateness.clear()

    def connection_opened(self) -> None:
        """Count a connection that was accepted."""
        self._accepted += 1
        self._connections_open += 1

    def connection_used(self) -> None:
        """Count a connection that carries its first request."""
        self._used += 1

    def connection_closed(self) -> None:
        """Count a connection as closed."""
        self._connections_open -= 1

    def began(self, now_ns: int) -> None:
        """Count a request as in flight from now on."""
        self._integrate(now_ns)
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)

    def waiting_now(self, count: int) -> None:
        """Note how many wait for a place."""
        self._waiting = count
        self._peak_waiting = max(self._peak_waiting, count)

    def ended(self, outcome: Outcome, now_ns: int, *, was_in_flight: bool) -> None:
        """Count how a request ended, and that it is in flight no more."""
        self._outcomes[outcome] += 1
        if was_in_flight:
            self._integrate(now_ns)
            self.in_flight -= 1

    def snapshot(self, *, now_ns: int, cpu_s: float) -> SimulatorStats:
        """Return the counts as they are now."""
        self._integrate(now_ns)
        return SimulatorStats(
            window_s=(now_ns - self._began_ns) / _NS_PER_S,
            requests=self.requests,
            outcomes=dict(self._outcomes),
            in_flight=self.in_flight,
            peak_in_flight=self._peak,
            in_flight_s=self._in_flight_ns / _NS_PER_S,
            waiting=self._waiting,
            peak_waiting=self._peak_waiting,
            connections_accepted=self._accepted,
            connections_used=self._used,
            connections_open=self._connections_open,
            sends=self.lateness.count,
            lateness_p50_s=self.lateness.quantile_s(0.5),
            lateness_p99_s=self.lateness.quantile_s(0.99),
            lateness_max_s=self.lateness.max_s,
            cpu_s=cpu_s - self._began_cpu_s,
            settings=self._settings,
        )

    def _integrate(self, now_ns: int) -> None:
        elapsed_ns = now_ns - self._changed_ns
        if elapsed_ns > 0:
            self._in_flight_ns += self.in_flight * elapsed_ns
            self._changed_ns = now_ns
