"""Objectives: read as written, met or not, and goodput that nobody improves by giving tasks up."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ConfigError
from bench.policy.objectives import METRICS, Objective, Timed, goodput, parse_objectives

counts = st.integers(0, 10_000)


class Row(msgspec.Struct, kw_only=True):
    """A task with its times."""

    status: Literal["ok", "failed", "cancelled"] = "ok"
    latency_s: float | None = 2.0
    service_s: float | None = 1.5
    ttft_s: float | None = 0.5
    tpot_s: float | None = 0.02


def test_objectives_are_read_as_written() -> None:
    """Names, percentiles and units are read, with or without blanks."""
    found = parse_objectives("ttft_p95<1s, latency < 20s,tpot<50 ms,service_p99<1500us")
    assert found.stated == (
        Objective(metric="ttft", percentile="p95", bound_s=1.0),
        Objective(metric="latency", percentile=None, bound_s=20.0),
        Objective(metric="tpot", percentile=None, bound_s=0.05),
        Objective(metric="service", percentile="p99", bound_s=0.0015),
    )
    assert [objective.name for objective in found.per_request] == ["latency", "tpot"]


@given(
    st.lists(
        st.tuples(st.sampled_from(METRICS), st.sampled_from([None, "p50", "p90", "p95", "p99"])),
        min_size=1,
        unique=True,
    ),
    st.floats(1e-5, 1e5),
)
def test_objectives_survive_being_written(stated: list[tuple[str, str | None]], bound_s: float) -> None:
    """What an objective is written as is read as the same objective."""
    text = ",".join(
        f"{name}_{percentile}<{bound_s:g}s" if percentile else f"{name}<{bound_s:g}s" for name, percentile in stated
    )
    found = parse_objectives(text)
    assert len(found.stated) == len(stated)
    assert parse_objectives(",".join(map(str, found.stated))) == found


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("", "'' is no objective"),
        ("ttft<1s,", "'' is no objective"),
        ("ttft", "'ttft' is no objective"),
        ("ttft>1s", "'ttft>1s' is no objective"),
        ("ttft<1", "'ttft<1' is no objective"),
        ("ttft<-1s", "'ttft<-1s' is no objective"),
        ("latency<20s,itl<1s", "'itl' in 'itl<1s' cannot be an objective"),
        ("ttft_p80<1s", "'p80' in 'ttft_p80<1s' is no percentile"),
        ("ttft<1min", "'min' in 'ttft<1min' is no unit"),
        ("ttft<0s", "'ttft<0s' can never be met"),
        ("ttft<1s,ttft<2s", "two objectives about ttft"),
    ],
)
def test_what_is_no_objective_is_named(text: str, piece: str) -> None:
    """The piece that is wrong is named, with what may be written instead."""
    with pytest.raises(ConfigError) as raised:
        parse_objectives(text)
    assert piece in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row(), True),
        (Row(status="failed"), False),
        (Row(status="cancelled"), False),
        (Row(latency_s=20.0), False),
        (Row(ttft_s=1.0), False),
        (Row(tpot_s=0.05), False),
        (Row(latency_s=None), False),
        (Row(ttft_s=None, tpot_s=None), False),
        (Row(tpot_s=None), True),
        (Row(service_s=1e9), True),
    ],
)
def test_r17_a_task_meets_all_objectives_or_none(row: Timed, met: bool) -> None:  # noqa: FBT001
    """A task attains only if it succeeded and each objective holds by a measured time; one token has no TPOT."""
    assert parse_objectives("latency<20s,ttft<1s,tpot<50ms,service_p95<1ms").meets(row) is met


def test_a_time_per_token_that_nobody_measured_is_not_met() -> None:
    """Where the answer was not streamed a time per token meets nothing."""
    assert not parse_objectives("tpot<1s").meets(Row(ttft_s=None, tpot_s=None))


def test_percentiles_are_judged_together() -> None:
    """A percentile meets its objective, misses it, or is not there to tell; those of each request do not come up."""
    found = parse_objectives("ttft_p95<1s,latency_p99<2s,tpot_p50<50ms,latency<9s").aggregates(
        {"ttft_p95": 0.9, "latency_p99": 2.0, "tpot_p50": None, "latency": 1.0}
    )
    assert [(result.objective.name, result.value_s, result.met) for result in found] == [
        ("ttft_p95", 0.9, True),
        ("latency_p99", 2.0, False),
        ("tpot_p50", None, None),
    ]
    assert parse_objectives("ttft_p95<1s").aggregates({})[0].met is None


@given(counts, counts, counts, counts, st.integers(0, 100))
def test_r17_giving_tasks_up_cannot_raise_the_share(
    ok: int, failed: int, cancelled: int, dropped: int, late: int
) -> None:
    """To cancel, drop or fail what would have been late leaves the share where it is."""
    attained = ok // 2
    before = goodput(attained, ok=ok + late, failed=failed, cancelled=cancelled, dropped=dropped, window_s=10)
    for given_up in ("failed", "cancelled", "dropped"):
        numbers = {"ok": ok, "failed": failed, "cancelled": cancelled, "dropped": dropped}
        numbers[given_up] += late
        assert goodput(attained, window_s=10, **numbers) == before
    assert before.attempted == ok + late + failed + cancelled + dropped


def test_r17_goodput_worked_by_hand() -> None:
    """Of 100 attempts in 10 s, 60 within the objectives are 6 a second and 60 %."""
    found = goodput(60, ok=80, failed=10, cancelled=4, dropped=6, window_s=10.0)
    assert (found.attained, found.attempted, found.per_s, found.share.value) == (60, 100, 6.0, 0.6)
    assert found.share.low == pytest.approx(0.502, abs=1e-3)


def test_nothing_attempted_has_no_goodput() -> None:
    """Without a window there is no rate, without attempts no share; more than succeeded cannot attain."""
    found = goodput(0, ok=0, failed=0, cancelled=0, dropped=0, window_s=None)
    assert (found.per_s, found.share.value) == (None, None)
    assert goodput(1, ok=1, failed=0, cancelled=0, dropped=0, window_s=0.0).per_s is None
    for attained, ok in ((2, 1), (-1, 1)):
        with pytest.raises(ValueError, match="successes"):
            goodput(attained, ok=ok, failed=0, cancelled=0, dropped=0, window_s=1)
