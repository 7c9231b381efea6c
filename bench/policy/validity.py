"""Whether a cell of an experiment counts, and what it may be used for, with a reason for each rule that it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from bench.policy.facts import Bounds, CellFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

Severity = Literal["invalid", "client-limited", "server-limited", "warning"]


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
_OPEN_ONLY = frozenset({"dropped", "offered_per_s", "achieved_per_s", "overloaded"})


def check_cell(facts: CellFacts, bounds: Bounds | None = None) -> tuple[Reason, ...]:
    """Return every rule that a cell breaks; an empty tuple for a cell that counts without reserve."""
    bounds = bounds or Bounds()
    parts = (_size, _outcomes, _clock, _machine, _occupancy, _arrivals, _levels, _server, _client, _ceiling)
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
    if _over(facts.wakeup_lag_max_s, bounds.max_standstill_s):
        words = f"the client stood still for {facts.wakeup_lag_max_s:.3g} s"
        yield _invalid("standstill", f"{words}, above {bounds.max_standstill_s:g} s: its times are not the server's")
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
    """Check the books by Little's law, and that a closed loop had N in flight: no more, and not less than it told."""
    if _over(facts.little_ratio, bounds.little_high):
        words = f"latencies add up to {facts.little_ratio:.4g} of the slots"
        yield _invalid("little", f"{words}, above {bounds.little_high:g}: something is counted twice")
    if facts.load_model != "closed":
        return
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
    """Check that an open loop sent what it had to, and that it was answered."""
    if facts.overloaded:
        words = "requests under way and the time to their first token both rose until the end"
        yield _invalid("overload", f"overload: {words}, so more arrived than was answered")
    if _over(facts.dropped, 0):
        yield _invalid("dropped", f"{facts.dropped} arrivals were never sent, 0 may be")
    if facts.offered_per_s and _under(facts.achieved_per_s, bounds.min_achieved * facts.offered_per_s):
        words = f"{facts.achieved_per_s:.4g} of {facts.offered_per_s:.4g} arrivals a second were sent"
        yield _invalid("offered-load", f"{words}, below a share of {bounds.min_achieved:g}")


def _levels(facts: CellFacts, _bounds: Bounds) -> Iterator[Reason]:
    """Check that the cell ran at one level."""
    if facts.latency_step is not None and facts.latency_step != 1:
        words = f"latency went from one level to another, {facts.latency_step:.3g} times as high"
        yield _warning("step", f"{words}, and stayed there: the figures are of two states")


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


def _ceiling(facts: CellFacts, bounds: Bounds) -> Iterator[Reason]:
    """Check that the client could have done far more than it did."""
    if not (facts.throughput_per_s and facts.ceiling_per_s):
        return
    share = facts.throughput_per_s / facts.ceiling_per_s
    if share > bounds.max_of_ceiling:
        most = f"the {facts.ceiling_per_s:.4g} tasks/s that it does against a server that answers at once"
        sentence = f"the client was at {share:.0%} of {most}, above {bounds.max_of_ceiling:.0%}"
        yield Reason(rule="ceiling", severity="client-limited", sentence=sentence)
