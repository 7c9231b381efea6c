"""Whether a cell of an experiment counts, and what it may be used for, with a reason for each rule that it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

Severity = Literal["invalid", "client-limited", "server-limited", "warning"]
LoadModel = Literal["closed", "open"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell has to keep to.

    Attributes:
        min_duration_s: Shorter windows hold too few of the machine's own waves.
        min_ok: Successes; 11 is what a median needs.
        max_failed_share: Of all tasks: failures are faster or slower than answers, and change the load.
        clock_invalid: How far monotonic and wall time may part; `clock_warning` is where it is told.
        max_wakeup_lag_s: 99th percentile of how late a sleeping thread wakes.
        steal_invalid: Share of the machine's time that its host took; `steal_warning` is where it is told.
        max_pressure: Share of the time in which something waited for a core.
        max_foreign_cpu: Share of the machine's cores that neither client nor server used.
        max_client_cpu: Share of its cores that a client may use before it is told.
        max_server_lateness_s: 99th percentile of how late the server sent what it had to send.
        max_server_cpu: Share of a core.
        little_low: Lowest ratio of requests in flight to slots in a closed loop; `little_high` is the highest.
        min_achieved: Share of the offered rate that an open loop has to reach.
        max_error_s: Error of the instrument; `max_error_of_ttft` is the same as a share of the median first token.
    """

    min_duration_s: float = 10.0
    min_ok: int = 11
    max_failed_share: float = 0.01
    clock_invalid: float = 0.01
    clock_warning: float = 0.001
    max_wakeup_lag_s: float = 0.1
    steal_invalid: float = 0.05
    steal_warning: float = 0.01
    max_pressure: float = 0.5
    max_foreign_cpu: float = 0.1
    max_client_cpu: float = 0.9
    max_server_lateness_s: float = 0.005
    max_server_cpu: float = 0.8
    little_low: float = 0.95
    little_high: float = 1.001
    min_achieved: float = 0.95
    max_error_s: float = 0.002
    max_error_of_ttft: float = 0.05


class CellFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a cell; None is not measured, and breaks no rule (`unmeasured` names it).

    Attributes:
        load_model: `closed` (slots) or `open` (arrivals).
        slots: N.
        duration_s: Length of the window that the figures are of.
        tasks: Tasks that ended in it, of which `ok` and `failed`.
        dropped: Arrivals that were never sent.
        payload_mismatches: Answers that were not those to their question.
        clock_ratio: Monotonic over wall duration.
        wakeup_lag_p99_s: How late a sleeping thread of the client woke.
        steal_share: Of the machine's time, taken by its host.
        pressure_some_share: Of the time, with something waiting for a core.
        foreign_cpu_share: Of the machine's cores, used by neither client nor server.
        cpu_share_client: Of the cores that the client may use.
        server_lateness_p99_s: How late the server sent.
        server_cpu_share: Of one core.
        little_ratio: Requests in flight by Little's law over slots.
        in_flight_mean: Mean in the steady window.
        peak_in_flight_server: Most at once, as the server counted.
        calibration_error_s: What the client adds to the first token against a null server.
        canary_error_s: The same, measured beside the load.
        ttft_p50_s: Median time to first token.
        offered_per_s: Arrivals a second that were asked for.
        achieved_per_s: Requests a second that were sent.
    """

    load_model: LoadModel
    slots: int | None = None
    duration_s: float | None = None
    tasks: int | None = None
    ok: int | None = None
    failed: int | None = None
    dropped: int | None = None
    payload_mismatches: int | None = None
    clock_ratio: float | None = None
    wakeup_lag_p99_s: float | None = None
    steal_share: float | None = None
    pressure_some_share: float | None = None
    foreign_cpu_share: float | None = None
    cpu_share_client: float | None = None
    server_lateness_p99_s: float | None = None
    server_cpu_share: float | None = None
    little_ratio: float | None = None
    in_flight_mean: float | None = None
    peak_in_flight_server: int | None = None
    calibration_error_s: float | None = None
    canary_error_s: float | None = None
    ttft_p50_s: float | None = None
    offered_per_s: float | None = None
    achieved_per_s: float | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a cell breaks.

    Attributes:
        rule: A short id, the same in every experiment.
        severity: `invalid` keeps a cell out of verdicts, and so does `server-limited`; `client-limited` bars claims
            about the server and not the ranking of modes as clients; `warning` bars nothing.
        sentence: With the value and the bound.
    """

    rule: str
    severity: Severity
    sentence: str


#: Facts of one load model alone.
_CLOSED_ONLY = frozenset({"little_ratio", "in_flight_mean", "peak_in_flight_server"})
_OPEN_ONLY = frozenset({"dropped", "offered_per_s", "achieved_per_s"})


def check_cell(facts: CellFacts, bounds: Bounds | None = None) -> tuple[Reason, ...]:
    """Return every rule that a cell breaks; an empty tuple for a cell that counts without reserve."""
    bounds = bounds or Bounds()
    parts = (_size, _outcomes, _clock, _machine, _occupancy, _arrivals, _server, _client)
    return tuple(reason for part in parts for reason in part(facts, bounds))


def bars_verdict(reasons: tuple[Reason, ...]) -> tuple[str, ...]:
    """Return the sentences of those reasons that keep a cell out of verdicts."""
    return tuple(reason.sentence for reason in reasons if reason.severity in {"invalid", "server-limited"})


def unmeasured(facts: CellFacts) -> tuple[str, ...]:
    """Return the names of the facts that were not measured, and whose rules were therefore not checked."""
    elsewhere = _OPEN_ONLY if facts.load_model == "closed" else _CLOSED_ONLY
    return tuple(
        name for name, value in msgspec.structs.asdict(facts).items() if value is None and name not in elsewhere
    )


def _over(value: float | None, bound: float) -> bool:
    """Tell whether a value was measured and lies above its bound."""
    return value is not None and value > bound


def _under(value: float | None, bound: float) -> bool:
    """Tell whether a value was measured and lies below its bound."""
    return value is not None and value < bound


def _invalid(rule: str, sentence: str) -> Reason:
    """Return a reason for which a cell does not count."""
    return Reason(rule=rule, severity="invalid", sentence=sentence)


def _warning(rule: str, sentence: str) -> Reason:
    """Return a reason to look twice."""
    return Reason(rule=rule, severity="warning", sentence=sentence)


def _size(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that there is enough to measure."""
    if _under(facts.duration_s, bounds.min_duration_s):
        yield _invalid("min-duration", f"it lasted {facts.duration_s:.3g} s, and takes {bounds.min_duration_s:g} s")
    if _under(facts.ok, bounds.min_ok):
        yield _invalid("min-tasks", f"{facts.ok} tasks succeeded, and it takes {bounds.min_ok}")


def _outcomes(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that what was measured are right answers."""
    if facts.tasks and facts.failed is not None and facts.failed / facts.tasks > bounds.max_failed_share:
        share = facts.failed / facts.tasks
        most = f"{bounds.max_failed_share:.3g}"
        yield _invalid("failures", f"{facts.failed} of {facts.tasks} tasks failed, a share of {share:.3g} above {most}")
    if _over(facts.payload_mismatches, 0):
        yield _invalid("payload", f"{facts.payload_mismatches} answers were not those to their question, 0 may be")


def _clock(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check monotonic against wall time."""
    if facts.clock_ratio is None:
        return
    apart = abs(facts.clock_ratio - 1)
    words = f"monotonic and wall time differ by {apart:.2%}"
    if apart > bounds.clock_invalid:
        yield _invalid("clock", f"{words}, and may by {bounds.clock_invalid:.1%}")
    elif apart > bounds.clock_warning:
        yield _warning("clock", f"{words}, more than {bounds.clock_warning:.1%}")


def _machine(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that the machine was the experiment's own."""
    if _over(facts.wakeup_lag_p99_s, bounds.max_wakeup_lag_s):
        lag_ms, most_ms = (facts.wakeup_lag_p99_s or 0) * 1e3, bounds.max_wakeup_lag_s * 1e3
        yield _invalid("wakeup-lag", f"sleeping threads woke up to {lag_ms:.3g} ms late (p99), above {most_ms:g} ms")
    if _over(facts.steal_share, bounds.steal_invalid):
        yield _invalid("steal", f"the host took {facts.steal_share:.1%} of the time, above {bounds.steal_invalid:.1%}")
    elif _over(facts.steal_share, bounds.steal_warning):
        yield _warning("steal", f"the host took {facts.steal_share:.1%} of the time, above {bounds.steal_warning:.1%}")
    if _over(facts.foreign_cpu_share, bounds.max_foreign_cpu):
        words = f"other programs used {facts.foreign_cpu_share:.1%} of the machine"
        yield _invalid("foreign-cpu", f"{words}, above {bounds.max_foreign_cpu:.1%}")
    if _over(facts.pressure_some_share, bounds.max_pressure):
        words = f"something waited for a core {facts.pressure_some_share:.1%} of the time"
        # A client that uses all cores waits for them itself: only where nobody counted is it taken for others' work.
        reason = _invalid if facts.foreign_cpu_share is None else _warning
        yield reason("pressure", f"{words}, above {bounds.max_pressure:.1%}")


def _occupancy(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that a closed loop had N in flight: no more, and not less than it told."""
    if facts.load_model != "closed":
        return
    if _over(facts.little_ratio, bounds.little_high):
        words = f"latencies add up to {facts.little_ratio:.4g} of the slots"
        yield _invalid("little", f"{words}, above {bounds.little_high:g}: something is counted twice")
    if _under(facts.little_ratio, bounds.little_low):
        words = f"latencies add up to {facts.little_ratio:.3g} of the slots"
        yield _invalid("little", f"{words}, below {bounds.little_low:g}: time of the client is not accounted for")
    if facts.slots is None:
        return
    if _under(facts.in_flight_mean, bounds.little_low * facts.slots):
        words = f"{facts.in_flight_mean:.4g} requests were in flight on average"
        yield _invalid("in-flight", f"{words}, below {bounds.little_low:g} of {facts.slots}")
    if facts.peak_in_flight_server is not None and facts.peak_in_flight_server != facts.slots:
        words = f"the server saw {facts.peak_in_flight_server} requests at once"
        yield _invalid("peak-in-flight", f"{words}, and N is {facts.slots}")


def _arrivals(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that an open loop sent what it had to."""
    if _over(facts.dropped, 0):
        yield _invalid("dropped", f"{facts.dropped} arrivals were never sent, 0 may be")
    if facts.offered_per_s and _under(facts.achieved_per_s, bounds.min_achieved * facts.offered_per_s):
        words = f"{facts.achieved_per_s:.4g} of {facts.offered_per_s:.4g} arrivals a second were sent"
        yield _invalid("offered-load", f"{words}, below a share of {bounds.min_achieved:g}")


def _server(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that the server was not what was measured."""
    if _over(facts.server_lateness_p99_s, bounds.max_server_lateness_s):
        late_ms, most_ms = (facts.server_lateness_p99_s or 0) * 1e3, bounds.max_server_lateness_s * 1e3
        sentence = f"the server sent up to {late_ms:.3g} ms late (p99), above {most_ms:g} ms"
        yield Reason(rule="server-lateness", severity="server-limited", sentence=sentence)
    if _over(facts.server_cpu_share, bounds.max_server_cpu):
        sentence = f"the server used {facts.server_cpu_share:.0%} of a core, above {bounds.max_server_cpu:.0%}"
        yield Reason(rule="server-cpu", severity="server-limited", sentence=sentence)


def _client(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check what the client adds to what it measures."""
    measured = (("calibration", facts.calibration_error_s), ("canary", facts.canary_error_s))
    for rule, error_s in measured:
        if error_s is None:
            continue
        of_ttft_s = None if facts.ttft_p50_s is None else bounds.max_error_of_ttft * facts.ttft_p50_s
        if error_s > bounds.max_error_s or (of_ttft_s is not None and error_s > of_ttft_s):
            most = f"{bounds.max_error_s * 1e3:g} ms"
            if of_ttft_s is not None:
                most += f" or {bounds.max_error_of_ttft:.0%} of it ({of_ttft_s * 1e3:.3g} ms)"
            sentence = f"the client adds {error_s * 1e3:.3g} ms to the first token ({rule}), above {most}"
            yield Reason(rule=rule, severity="client-limited", sentence=sentence)
    if _over(facts.cpu_share_client, bounds.max_client_cpu):
        words = f"the client used {facts.cpu_share_client:.0%} of its cores"
        yield _warning("client-cpu", f"{words}, above {bounds.max_client_cpu:.0%}")
