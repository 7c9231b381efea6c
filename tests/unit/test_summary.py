"""The numbers of a run: golden figures of a run made by hand, and what stays unknown."""

from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest

from bench.errors import JournalError
from bench.journal import TASKS
from bench.manifest import HarnessCost
from bench.policy.statistics import Distribution, InFlight, Proportion, wilson
from bench.records import ErrorInfo, TaskResult, WorkerId
from bench.summary import Summary, summarise
from bench.summary.figures import ErrorRow, HarnessFigures, ProviderRow, TaskCounts, TokenCounts, WorkerRow
from tests.samples import (
    cancelled_result,
    failed_attempt,
    failed_result,
    make_attempt,
    make_manifest,
    make_result,
    make_segment,
    write_run,
)

if TYPE_CHECKING:
    from pathlib import Path

SLOTS: Final = [WorkerId(pid=42, thread=f"slot-{number}", slot=number) for number in range(2)]
STOPPED: Final = ErrorInfo(type="cancelled", message="the run was stopped")
REFUSED: Final = ErrorInfo(type="rate_limited", message="slow down; more than the cap", http_status=429, retryable=True)
COST: Final = HarnessCost(
    startup_s=0.5, startup_cpu_s=0.25, cpu_s=1.0, peak_pss_bytes=90_000_000, wakeup_lag_p99_s=0.001
)


def times(scheduled_s: float, started_s: float, ended_s: float) -> dict[str, object]:
    """Return the times of a record that follow from its three instants."""
    instants: dict[str, object] = {"scheduled_s": scheduled_s, "started_s": started_s, "ended_s": ended_s}
    return instants | {
        "queue_s": started_s - scheduled_s,
        "service_s": ended_s - started_s,
        "latency_s": ended_s - scheduled_s,
    }


def seven_tasks() -> list[TaskResult]:
    """Return the records of two slots that were stopped: two successes, a failure, two cancelled; two never began."""
    slow_down = {"http_status": 429, "error_message": "slow down"}
    return [
        make_result(
            0,
            worker=SLOTS[0],
            attempts=(make_attempt(sent_s=0.5, end_s=2.5),),
            **times(0.0, 0.25, 2.5),
            ttft_s=0.5,
            tpot_s=0.125,
            icl_p50_s=0.25,
            prompt_tokens=10,
            completion_tokens=20,
            reasoning_tokens=4,
        ),
        make_result(
            1,
            worker=SLOTS[1],
            finish_reason="length",
            attempts=(failed_attempt(sent_s=0.5, end_s=1.0), make_attempt(sent_s=2.0, end_s=4.5, wait_before_s=1.0)),
            **times(0.0, 0.5, 4.5),
            ttft_s=0.25,
            tpot_s=0.25,
            icl_p50_s=0.25,
            prompt_tokens=30,
            completion_tokens=40,
            token_source="estimated",
        ),
        failed_result(
            2,
            worker=SLOTS[0],
            error=REFUSED,
            attempts=tuple(
                failed_attempt("rate_limited", sent_s=sent_s, end_s=sent_s + 0.5, **slow_down) for sent_s in (2.5, 6.0)
            ),
            **times(2.5, 2.5, 6.5),
        ),
        cancelled_result(
            3, worker=SLOTS[1], error=STOPPED, attempts=(failed_attempt(sent_s=4.5, end_s=5.0),), **times(4.5, 4.5, 7.5)
        ),
        cancelled_result(
            4,
            worker=SLOTS[0],
            error=STOPPED,
            attempts=(failed_attempt("cancelled", status="cancelled", http_status=None, sent_s=6.5, end_s=7.5),),
            **times(6.5, 6.5, 7.5),
        ),
    ]


@pytest.fixture
def golden(tmp_path: Path) -> Summary:
    """Return the summary of the seven tasks."""
    manifest = make_manifest(7, concurrency=2, segments=(make_segment(cost=COST),))
    return summarise(write_run(tmp_path / "run", seven_tasks(), manifest))


def test_counts(golden: Summary) -> None:
    """Every task of the workload is counted once, by how it ended, and the rate of success is of those that ended."""
    assert golden.tasks == TaskCounts(total=7, ok=2, failed=1, cancelled=2, not_started=2)
    assert golden.success_rate == wilson(2, 3)
    assert (golden.attempts, golden.retries, golden.cut_at_max_tokens) == (7, 2, 1)


def test_rates(golden: Summary) -> None:
    """Rates are of successes, over the window from the first send to the last end."""
    assert golden.wall_s == 7.0
    assert golden.throughput_tasks_per_s == 2 / 7
    assert golden.throughput_tokens_per_s == 60 / 7
    assert golden.in_flight == InFlight(peak=2, mean=7.5 / 7)
    assert golden.start_spread_s == 0.25


def test_r18_distributions(golden: Summary) -> None:
    """Distributions are of the successes alone, those of failures stand apart, cancelled tasks are in neither."""
    assert golden.latency_s == Distribution(n=2, mean=3.5, sd=math.sqrt(2), min=2.5, max=4.5)
    assert golden.service_s == Distribution(n=2, mean=3.125, sd=math.sqrt(2 * 0.875**2), min=2.25, max=4.0)
    assert golden.queue_s == Distribution(n=2, mean=0.375, sd=math.sqrt(2) / 8, min=0.25, max=0.5)
    assert golden.ttft_s == Distribution(n=2, mean=0.375, sd=math.sqrt(2) / 8, min=0.25, max=0.5)
    assert golden.tpot_s == Distribution(n=2, mean=0.1875, sd=math.sqrt(2) / 16, min=0.125, max=0.25)
    assert golden.icl_s == Distribution(n=2, mean=0.25, sd=0.0, min=0.25, max=0.25)
    assert golden.failed_latency_s == Distribution(n=1, mean=4.0, min=4.0, max=4.0)


def test_tokens(golden: Summary) -> None:
    """Tokens are those of the successes, and it is said of how many the server did not count them."""
    assert golden.tokens == TokenCounts(prompt=40, completion=60, reasoning=4, estimated_tasks=1)


def test_rows(golden: Summary) -> None:
    """Providers and slots have what they did, and a cancelled task is no failure of either."""
    assert golden.providers == (ProviderRow(provider="alpha", tasks=5, ok=2, failed=1, attempts=7, latency_p50_s=None),)
    assert golden.workers == (
        WorkerRow(
            pid=42, thread="slot-0", slot=0, tasks=3, ok=1, failed=1, busy_s=7.25, first_start_s=0.25, last_end_s=7.5
        ),
        WorkerRow(
            pid=42, thread="slot-1", slot=1, tasks=2, ok=1, failed=0, busy_s=7.0, first_start_s=0.5, last_end_s=7.5
        ),
    )


def test_errors(golden: Summary) -> None:
    """Failures are counted by class, those that cost most tasks first, also those that only cost attempts."""
    assert golden.errors == (
        ErrorRow(type="cancelled", http_status=None, tasks=2, attempts=1, message="the run was stopped"),
        ErrorRow(type="rate_limited", http_status=429, tasks=1, attempts=2, message="slow down"),
        ErrorRow(type="server_error", http_status=503, tasks=0, attempts=2, message="busy"),
    )


def test_labels(golden: Summary) -> None:
    """A summary says which run it is of, and what was measured with what."""
    assert (golden.run_id, golden.mode) == ("20261122T030506Z-asyncio-0a1b", "asyncio")
    assert (golden.concurrency, golden.load_model) == (2, "closed")
    assert (golden.client, golden.transport, golden.provider, golden.model) == ("openai", "aiohttp", "alpha", "m-1")


def test_what_the_harness_cost(golden: Summary) -> None:
    """The harness's own cost is that of the segment, and that of a task is the part after the start, by the records."""
    assert golden.harness == HarnessFigures(
        startup_s=0.5,
        startup_cpu_s=0.25,
        cpu_s=1.0,
        cpu_us_per_task=150_000.0,
        peak_pss_bytes=90_000_000,
        wakeup_lag_p99_s=0.001,
    )


def test_a_summary_is_stored_and_read(golden: Summary) -> None:
    """A summary comes out of JSON as it went in."""
    assert msgspec.json.decode(msgspec.json.encode(golden), type=Summary) == golden


def test_r18_percentiles_of_many_workers_are_of_all_values(tmp_path: Path) -> None:
    """Percentiles come from all values together, not from averages of the workers' own."""
    latencies = [1 + math.sin(number) if number % 5 else 10.0 + number / 100 for number in range(700)]
    results = [
        make_result(number, worker=SLOTS[number % 5 == 0], **times(0.0, 0.0, latency_s))
        for number, latency_s in enumerate(latencies)
    ]
    summary = summarise(write_run(tmp_path / "run", results, make_manifest(700)))
    figures = msgspec.structs.asdict(summary.latency_s)
    for name in ("p50", "p90", "p95", "p99"):
        assert figures[name] == pytest.approx(np.percentile(latencies, int(name[1:])))
    assert summary.providers[0].latency_p50_s == figures["p50"]


def test_r37_percentiles_need_their_samples(tmp_path: Path) -> None:
    """Of 100 successes the median and the 90th percentile are told, the 95th and the 99th are not."""
    results = [make_result(number, **times(0.0, 0.0, 1.0 + number)) for number in range(100)]
    latency = summarise(write_run(tmp_path / "run", results, make_manifest(100))).latency_s
    assert [latency.p50, latency.p90] == pytest.approx([50.5, 90.1])
    assert (latency.p95, latency.p99) == (None, None)


def test_r15_failures_alone_have_no_latency(tmp_path: Path) -> None:
    """Where everything failed no figure of a success is a number: a failure, however quick, is not a fast answer."""
    summary = summarise(write_run(tmp_path / "run", [failed_result(n) for n in range(30)], make_manifest(30)))
    for name in ("latency_s", "service_s", "ttft_s", "tpot_s", "icl_s", "queue_s"):
        assert getattr(summary, name) == Distribution(n=0), name
    assert summary.throughput_tokens_per_s is None
    assert summary.providers[0].latency_p50_s is None
    assert summary.failed_latency_s.n == 30
    assert (summary.success_rate.value, summary.throughput_tasks_per_s) == (0.0, 0.0)


def test_a_run_without_records_has_no_figures(tmp_path: Path) -> None:
    """A run that was stopped before its first record counts its tasks, and claims nothing else."""
    summary = summarise(write_run(tmp_path / "run", [], make_manifest(5)))
    assert summary.tasks == TaskCounts(total=5, ok=0, failed=0, cancelled=0, not_started=5)
    assert summary.success_rate == Proportion(n=0)
    unknown = ("wall_s", "throughput_tasks_per_s", "throughput_tokens_per_s", "start_spread_s", "client", "model")
    assert {getattr(summary, name) for name in unknown} == {None}
    assert (summary.in_flight, summary.providers, summary.workers) == (InFlight(peak=0), (), ())
    assert set(msgspec.structs.asdict(summary.harness).values()) == {None}


def test_uncounted_tokens_have_no_rate(tmp_path: Path) -> None:
    """Where nobody counted the answers' tokens their rate is unknown, not 0."""
    results = [make_result(n, prompt_tokens=None, completion_tokens=None, token_source=None) for n in range(3)]
    assert summarise(write_run(tmp_path / "run", results, make_manifest(3))).throughput_tokens_per_s is None


def test_the_last_record_of_a_task_decides(tmp_path: Path) -> None:
    """In a resumed run a task counts once, as its last record says, and the earlier one leaves no trace."""
    records = [
        failed_result(0, **times(0.0, 0.0, 9.0)),
        make_result(1),
        make_result(0, segment=1, **times(0.0, 0.0, 2.0)),
        cancelled_result(2),
    ]
    manifest = make_manifest(4, segments=(make_segment(cost=COST), make_segment(cost=COST)))
    summary = summarise(write_run(tmp_path / "run", records, manifest))
    assert summary.tasks == TaskCounts(total=4, ok=2, failed=0, cancelled=1, not_started=1)
    assert (summary.latency_s.n, summary.latency_s.max, summary.failed_latency_s.n) == (2, 2.0, 0)
    assert [row.type for row in summary.errors] == ["cancelled"]
    assert (summary.harness.cpu_s, summary.harness.startup_s, summary.harness.startup_cpu_s) == (2.0, 1.0, 0.5)
    assert (summary.harness.peak_pss_bytes, summary.harness.wakeup_lag_p99_s) == (90_000_000, 0.001)


def test_a_segment_without_cost_makes_the_cost_unknown(tmp_path: Path) -> None:
    """Where one segment was killed before its cost was known, the run's cost is unknown, not that of the others."""
    manifest = make_manifest(1, segments=(make_segment(), make_segment(cost=COST)))
    summary = summarise(write_run(tmp_path / "run", [make_result()], manifest))
    assert set(msgspec.structs.asdict(summary.harness).values()) == {None}
    partly = make_manifest(1, segments=(make_segment(cost=HarnessCost(cpu_s=1.0)), make_segment(cost=COST)))
    harness = summarise(write_run(tmp_path / "partly", [make_result()], partly)).harness
    assert (harness.cpu_s, harness.peak_pss_bytes, harness.startup_s) == (2.0, None, None)
    assert (harness.startup_cpu_s, harness.cpu_us_per_task) == (None, None)


def test_a_replaced_worker_is_no_late_start(tmp_path: Path) -> None:
    """The spread of starts is that of the slots: a process that replaced a lost one has a row, and is no late start."""
    pids = [WorkerId(pid=pid, thread="MainThread", slot=slot) for pid, slot in ((1, 0), (2, 1), (3, 0))]
    starts = zip(pids, (0.0, 0.25, 30.0), strict=True)
    results = [make_result(n, worker=who, **times(s, s, s + 1)) for n, (who, s) in enumerate(starts)]
    summary = summarise(write_run(tmp_path / "run", results, make_manifest(3)))
    assert summary.start_spread_s == 0.25
    assert [(row.slot, row.pid) for row in summary.workers] == [(0, 1), (0, 3), (1, 2)]


def test_providers_are_apart(tmp_path: Path) -> None:
    """Attempts count for the provider that was asked, tasks for the one that the record names."""
    attempts = (failed_attempt(provider="beta"), make_attempt(provider="alpha", sent_s=1.0, end_s=2.0))
    results = [make_result(0, attempts=attempts), failed_result(1, provider="beta", attempts=())]
    rows = summarise(write_run(tmp_path / "run", results, make_manifest(2))).providers
    assert [(row.provider, row.tasks, row.ok, row.failed, row.attempts) for row in rows] == [
        ("alpha", 1, 1, 0, 1),
        ("beta", 1, 0, 1, 1),
    ]


def test_texts_are_not_loaded(tmp_path: Path) -> None:
    """A summary needs memory for its figures, not for the answers' texts."""
    run = write_run(tmp_path / "run", (make_result(n, content="x" * 200_000) for n in range(100)), make_manifest(100))
    tracemalloc.start()
    try:
        assert summarise(run).tasks.ok == 100
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000 < (run / TASKS).stat().st_size


def test_damage_is_told(tmp_path: Path) -> None:
    """A run with a damaged record has no summary that leaves it out in silence."""
    run = write_run(tmp_path / "run", [make_result()])
    with (run / TASKS).open("ab") as file:
        file.write(b'{"status":"ok"}\n')
    with pytest.raises(JournalError, match=r"tasks\.jsonl, line 2 is damaged"):
        summarise(run)
