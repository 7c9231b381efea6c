"""Gates: read as written, and passed, failed or not to be shown."""

from __future__ import annotations

import pytest

from bench.errors import ConfigError
from bench.policy.gate import PLAIN, TIMES, GateArm, evaluate, parse_gate


def cell(
    mode: str = "asyncio", n: int = 64, client: str = "lean", invalid: tuple[str, ...] = (), **values: float | None
) -> GateArm:
    """Return a cell with the given figures."""
    return GateArm(client=client, mode=mode, concurrency=n, values=dict(values), invalid=invalid)


def test_gates_are_read_as_written() -> None:
    """Client and N may be left out, the bound may be the baseline, a share of it, or a number with its unit."""
    gate = parse_gate(" asyncio.throughput >= 0.95 * baseline ")
    assert gate.text == "asyncio.throughput >= 0.95 * baseline"
    assert (gate.client, gate.mode, gate.concurrency, gate.metric) == (None, "asyncio", None, "throughput")
    assert (gate.op, gate.factor, gate.constant) == (">=", 0.95, None)
    gate = parse_gate("threading@64.ttft_p95<1.1*baseline")
    assert (gate.mode, gate.concurrency, gate.op, gate.factor) == ("threading", 64, "<", 1.1)
    gate = parse_gate("lean/asyncio@64.success_rate >= 0.99")
    assert (gate.client, gate.factor, gate.constant) == ("lean", None, 0.99)
    assert parse_gate("asyncio.throughput > baseline").factor == 1


@pytest.mark.parametrize(
    ("bound", "constant"),
    [
        ("ttft_p95 < 500ms", 0.5),
        ("latency_p50 <= 2 s", 2.0),
        ("tpot_p99 < 150us", 0.00015),
        ("success_rate >= 99%", 0.99),
        ("peak_pss_mb < 200", 200.0),
        ("throughput > 1e3", 1000.0),
    ],
)
def test_constants_have_their_metrics_unit(bound: str, constant: float) -> None:
    """A time is read in seconds whatever its unit, a rate of success as a share, all else as it stands."""
    assert parse_gate(f"asyncio.{bound}").constant == pytest.approx(constant)


@pytest.mark.parametrize("metric", [*PLAIN, *TIMES])
def test_every_metric_has_a_gate(metric: str) -> None:
    """A gate may be about any metric that is listed."""
    assert parse_gate(f"asyncio.{metric} >= 0.9 * baseline").metric == metric


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "'' is no gate"),
        ("throughput >= 1", "is no gate"),
        ("asyncio.throughput = 1", "is no gate"),
        ("asyncio.throughput >= baseline * 2", "is no gate"),
        ("asyncio.throughput >= -1", "is no gate"),
        ("asyncio@0.throughput >= 1", "is no gate"),
        ("asyncio.speed >= 1", "'speed' in"),
        ("asyncio.ttft_p95 < 1", "is a time: it needs a unit of s, ms, us"),
        ("asyncio.ttft_p95 < 1%", "is a time"),
        ("asyncio.throughput > 5s", "is written without a unit, got 's'"),
        ("asyncio.throughput > 5%", "is written without a unit, got '%'"),
        ("asyncio.success_rate > 99", "is a share of at most 1, got 99"),
    ],
)
def test_what_is_no_gate_is_refused(text: str, wrong: str) -> None:
    """What is wrong with a gate is said, and how to write one."""
    with pytest.raises(ConfigError) as raised:
        parse_gate(text)
    assert wrong in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ("asyncio.throughput >= 0.95 * baseline", 95.0, "passed"),
        ("asyncio.throughput >= 0.95 * baseline", 94.9, "failed"),
        ("asyncio.throughput > 0.95 * baseline", 95.0, "failed"),
        ("asyncio.throughput <= 100", 100.0, "passed"),
        ("asyncio.throughput < 100", 100.0, "failed"),
        ("asyncio.throughput < 0 * baseline", 1.0, "failed"),
    ],
)
def test_a_gate_passes_or_fails(text: str, value: float, outcome: str) -> None:
    """Each operator means what it says, on its bound too."""
    result = evaluate(parse_gate(text), [cell(throughput=value)], [cell(throughput=100.0)])
    assert (result.gate, result.outcome) == (text, outcome)


def test_r42_a_gate_says_what_it_saw() -> None:
    """Either way the arm, its value, the bound and where that comes from are said."""
    gate = parse_gate("asyncio.ttft_p95 < 1.1 * baseline")
    passed = evaluate(gate, [cell(ttft_p95=0.1)], [cell(ttft_p95=0.2)])
    assert passed.words == ("lean/asyncio@64: ttft_p95 0.1 s is < 0.22 s = 1.1 * 0.2 s",)
    failed = evaluate(parse_gate("asyncio.success_rate >= 99%"), [cell(success_rate=0.9)], None)
    assert failed.words == ("lean/asyncio@64: success_rate 0.9 is not >= 0.99",)


@pytest.mark.parametrize(
    ("arm", "baseline", "words"),
    [
        (cell("threading", throughput=1.0), [cell(throughput=1.0)], "no such arm; there are: lean/threading@64"),
        (cell(throughput=1.0), None, "no baseline was given"),
        (cell(throughput=1.0), [cell(n=8, throughput=1.0)], "the baseline has no lean/asyncio@64"),
        (cell(throughput=1.0), [cell(client="openai", throughput=1.0)], "the baseline has no lean/asyncio@64"),
        (cell(throughput=1.0), [cell(throughput=None)], "lean/asyncio@64 of the baseline has no throughput: "),
        (cell(throughput=1.0), [cell(invalid=("short",), throughput=1.0)], "lean/asyncio@64 of the baseline is INV"),
        (cell(invalid=("too short",), throughput=1.0), [cell(throughput=1.0)], "lean/asyncio@64 is INVALID: too short"),
        (cell(throughput=None), [cell(throughput=1.0)], "lean/asyncio@64 has no throughput: it was not measured"),
        (cell(), [cell(throughput=1.0)], "lean/asyncio@64 has no throughput: it was not measured"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_has_not_passed(arm: GateArm, baseline: list[GateArm] | None, words: str) -> None:
    """Without the arm, the baseline, a valid cell or a figure a gate is neither passed nor failed, and says why."""
    result = evaluate(parse_gate("asyncio.throughput >= 0.5 * baseline"), [arm], baseline)
    assert result.outcome == "not_shown"
    assert result.words[0].startswith(words)


def test_a_gate_holds_for_every_arm_that_it_names() -> None:
    """One arm that fails fails the gate, one that cannot be shown leaves it open, and others do not matter."""
    arms = [cell(n=8, throughput=50.0), cell(n=64, throughput=200.0), cell("threading", throughput=1.0)]
    assert evaluate(parse_gate("asyncio.throughput > 40"), arms, None).outcome == "passed"
    some = evaluate(parse_gate("asyncio.throughput > 100"), arms, None)
    assert (some.outcome, len(some.words)) == ("failed", 2)
    assert evaluate(parse_gate("asyncio@64.throughput > 100"), arms, None).outcome == "passed"
    assert evaluate(parse_gate("openai/asyncio.throughput > 100"), arms, None).outcome == "not_shown"
    arms.append(cell(n=1, throughput=None))
    assert evaluate(parse_gate("asyncio.throughput > 40"), arms, None).outcome == "not_shown"
    assert evaluate(parse_gate("asyncio.throughput > 100"), arms, None).outcome == "failed"
