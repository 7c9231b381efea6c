"""Validity: each rule by the fact that breaks it, and by the one just beside it that does not."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from bench.policy.facts import Bounds, CellFacts
from bench.policy.validity import Reason, bars_verdict, check_cell, unmeasured

#: A cell with nothing wrong, closed.
CLOSED: Final = CellFacts(
    load_model="closed",
    slots=64,
    duration_s=30.0,
    tasks=5000,
    ok=5000,
    failed=0,
    payload_mismatches=0,
    clock_ratio=1.0,
    wakeup_lag_p99_s=0.002,
    wakeup_lag_max_s=0.4,
    steal_share=0.0,
    pressure_some_share=0.1,
    foreign_cpu_share=0.01,
    cpu_share_client=0.5,
    server_lateness_p99_s=0.001,
    server_cpu_share=0.3,
    little_ratio=0.99,
    in_flight_mean=63.5,
    peak_in_flight_server=64,
    calibration_error_s=0.0005,
    canary_error_s=0.0005,
    ttft_p50_s=0.2,
    throughput_per_s=180.0,
    ceiling_per_s=4000.0,
    latency_step=1.0,
)

#: The same in an open loop.
OPEN: Final = msgspec.structs.replace(
    CLOSED,
    load_model="open",
    little_ratio=None,
    in_flight_mean=None,
    peak_in_flight_server=None,
    dropped=0,
    offered_per_s=100.0,
    achieved_per_s=100.0,
    overloaded=False,
)


@pytest.mark.parametrize("facts", [CLOSED, OPEN], ids=["closed", "open"])
def test_r41_a_cell_without_fault_has_no_reason(facts: CellFacts) -> None:
    """A cell that keeps to every bound is VALID without reserve, and every rule was checked."""
    assert check_cell(facts) == ()
    assert unmeasured(facts) == ()


@pytest.mark.parametrize(
    ("facts", "changes", "rule", "severity", "words"),
    [
        (CLOSED, {"duration_s": 9.9}, "min-duration", "invalid", ["9.9 s", "10 s"]),
        (CLOSED, {"ok": 10}, "min-tasks", "invalid", ["10 tasks", "takes 11"]),
        (CLOSED, {"failed": 51}, "failures", "invalid", ["51 of 5000", "0.0102 above 0.01"]),
        (CLOSED, {"payload_mismatches": 1}, "payload", "invalid", ["1 answers"]),
        (CLOSED, {"clock_ratio": 1.011}, "clock", "invalid", ["1.10%", "1.0%"]),
        (CLOSED, {"clock_ratio": 0.989}, "clock", "invalid", ["1.10%"]),
        (CLOSED, {"clock_ratio": 0.998}, "clock", "warning", ["0.20%", "0.1%"]),
        (CLOSED, {"wakeup_lag_p99_s": 0.11}, "wakeup-lag", "invalid", ["110 ms", "100 ms"]),
        (CLOSED, {"wakeup_lag_max_s": 1.01}, "standstill", "invalid", ["1.01 s", "above 1 s"]),
        (CLOSED, {"steal_share": 0.06}, "steal", "invalid", ["6.0%", "5.0%"]),
        (CLOSED, {"steal_share": 0.02}, "steal", "warning", ["2.0%", "1.0%"]),
        (CLOSED, {"foreign_cpu_share": 0.2}, "foreign-cpu", "invalid", ["20.0%", "10.0%"]),
        (CLOSED, {"pressure_some_share": 0.6}, "pressure", "warning", ["60.0%", "50.0%"]),
        (CLOSED, {"pressure_some_share": 0.6, "foreign_cpu_share": None}, "pressure", "invalid", ["60.0%"]),
        (CLOSED, {"little_ratio": 1.002}, "little", "invalid", ["1.002", "counted twice"]),
        (CLOSED, {"little_ratio": 0.94}, "little", "invalid", ["0.94", "not accounted for"]),
        (CLOSED, {"in_flight_mean": 60.7}, "in-flight", "invalid", ["60.7", "0.95 of 64"]),
        (CLOSED, {"peak_in_flight_server": 65}, "peak-in-flight", "invalid", ["65", "N is 64"]),
        (CLOSED, {"peak_in_flight_server": 63}, "peak-in-flight", "invalid", ["63", "N is 64"]),
        (OPEN, {"dropped": 1}, "dropped", "invalid", ["1 arrivals"]),
        (OPEN, {"achieved_per_s": 94.0}, "offered-load", "invalid", ["94 of 100"]),
        (OPEN, {"overloaded": True}, "overload", "invalid", ["more arrived than was answered"]),
        (OPEN, {"little_ratio": 1.002}, "little", "invalid", ["1.002", "counted twice"]),
        (CLOSED, {"ceiling_per_s": 359.0}, "ceiling", "client-limited", ["50% of the 359 tasks/s"]),
        (CLOSED, {"latency_step": 1.3}, "step", "warning", ["1.3 times as high"]),
        (CLOSED, {"server_lateness_p99_s": 0.006}, "server-lateness", "server-limited", ["6 ms", "5 ms"]),
        (CLOSED, {"server_cpu_share": 0.85}, "server-cpu", "server-limited", ["85%", "80%"]),
        (CLOSED, {"calibration_error_s": 0.0021}, "calibration", "client-limited", ["2.1 ms", "2 ms", "10 ms"]),
        (CLOSED, {"canary_error_s": 0.0021}, "canary", "client-limited", ["2.1 ms", "2 ms"]),
        (CLOSED, {"ttft_p50_s": 0.009}, "calibration", "client-limited", ["0.5 ms", "5% of it (0.45 ms)"]),
        (CLOSED, {"cpu_share_client": 0.95}, "client-cpu", "warning", ["95%", "90%"]),
    ],
)  # fmt: skip
def test_r41_each_rule_has_its_reason(
    facts: CellFacts, changes: dict[str, object], rule: str, severity: str, words: list[str]
) -> None:
    """One fact beyond its bound gives the reason of its rule, with the value and the bound in it."""
    reasons = check_cell(msgspec.structs.replace(facts, **changes))
    found = next(reason for reason in reasons if reason.rule == rule)
    assert {reason.rule for reason in reasons} <= {rule, "canary"}
    assert found.severity == severity
    assert all(word in found.sentence for word in words), found.sentence


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        (CLOSED, {"duration_s": 10.0, "ok": 11}),
        (CLOSED, {"failed": 50}),
        (CLOSED, {"clock_ratio": 1.0009}),
        (CLOSED, {"wakeup_lag_max_s": 1.0}),
        (CLOSED, {"wakeup_lag_p99_s": 0.1, "steal_share": 0.01, "foreign_cpu_share": 0.1, "pressure_some_share": 0.5}),
        (CLOSED, {"little_ratio": 0.95, "in_flight_mean": 60.8}),
        (CLOSED, {"little_ratio": 1.001}),
        (CLOSED, {"server_lateness_p99_s": 0.005, "server_cpu_share": 0.8, "cpu_share_client": 0.9}),
        (CLOSED, {"calibration_error_s": 0.002, "canary_error_s": 0.002}),
        (CLOSED, {"calibration_error_s": 0.0005, "ttft_p50_s": None}),
        (OPEN, {"achieved_per_s": 95.0}),
        (CLOSED, {"ceiling_per_s": 360.0}),
        (CLOSED, {"ceiling_per_s": None}),
        (OPEN, {"little_ratio": 0.1, "in_flight_mean": 1.0, "peak_in_flight_server": 3}),
    ],
)
def test_r41_a_bound_may_be_reached(facts: CellFacts, changes: dict[str, object]) -> None:
    """A value on its bound breaks nothing, and slots that an open loop does not fill are no fault of it."""
    assert check_cell(msgspec.structs.replace(facts, **changes)) == ()


def test_r41_what_was_not_measured_breaks_no_rule_and_is_told() -> None:
    """Without a measurement there is no reason, but the names of all that was left unchecked."""
    assert check_cell(CellFacts(load_model="closed")) == ()
    left = unmeasured(CellFacts(load_model="closed", slots=4, duration_s=20.0))
    assert "duration_s" not in left
    assert {"steal_share", "little_ratio", "canary_error_s"} <= set(left)
    assert "dropped" not in left
    assert "little_ratio" not in unmeasured(CellFacts(load_model="open"))


def test_r41_bounds_can_be_shortened() -> None:
    """A demonstration may take less time than a measurement, and then says what it took."""
    short = msgspec.structs.replace(CLOSED, duration_s=1.5)
    assert check_cell(short, Bounds(min_duration_s=1.0)) == ()
    (reason,) = check_cell(short, Bounds(min_duration_s=2.0))
    assert reason == Reason(rule="min-duration", severity="invalid", sentence="it lasted 1.5 s, and takes 2 s")


@pytest.mark.parametrize("facts", [CLOSED, OPEN], ids=["closed", "open"])
def test_r46_littles_law_is_held_against_every_cell(facts: CellFacts) -> None:
    """More time of tasks than the slots have is a fault of the books in both loops, less than it in a closed one."""
    over, under = (check_cell(msgspec.structs.replace(facts, little_ratio=ratio)) for ratio in (1.01, 0.9))
    assert [reason.rule for reason in over] == ["little"]
    assert [reason.rule for reason in under] == (["little"] if facts.load_model == "closed" else [])


def test_r41_what_bars_a_verdict() -> None:
    """Invalid and server-limited cells stay out of verdicts; a client at its limit and a warning do not."""
    reasons = tuple(
        Reason(rule="x", severity=severity, sentence=severity)
        for severity in ("invalid", "client-limited", "server-limited", "warning")
    )
    assert bars_verdict(reasons) == ("invalid", "server-limited")


def test_every_reason_of_a_bad_cell_is_told() -> None:
    """A cell that breaks several rules has a reason for each, and they survive the file."""
    reasons = check_cell(
        msgspec.structs.replace(OPEN, duration_s=0.5, dropped=3, server_cpu_share=1.0, steal_share=0.5)
    )
    assert [reason.rule for reason in reasons] == ["min-duration", "steal", "dropped", "server-cpu"]
    assert msgspec.json.decode(msgspec.json.encode(reasons), type=tuple[Reason, ...]) == reasons
