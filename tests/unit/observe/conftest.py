"""Glimpses and summaries with chosen fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bench.policy.statistics import InFlight, distribution, wilson
from bench.records import AttemptGlimpse, ErrorInfo, Glimpse
from bench.summary import Summary
from bench.summary.figures import ErrorRow, HarnessFigures, ProviderRow, TaskCounts, TokenCounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.errors import ErrorType
    from bench.records import Mode, Status


@pytest.fixture
def glimpse() -> Callable[..., Glimpse]:
    """Return a maker of glimpses: a success of half a second unless told otherwise."""

    def make(
        status: Status = "ok",
        *,
        latency_s: float = 0.5,
        ttft_s: float | None = 0.2,
        tokens: int | None = 10,
        attempts: int = 1,
        error: tuple[ErrorType, str] | None = None,
        cached: bool = False,
    ) -> Glimpse:
        return Glimpse(
            task_id="0-i0-v0",
            status=status,
            scheduled_s=0.0,
            first_token_s=ttft_s,
            ended_s=latency_s,
            latency_s=latency_s,
            ttft_s=ttft_s,
            completion_tokens=tokens,
            attempts=(*(AttemptGlimpse("failed"),) * (attempts - 1), AttemptGlimpse(status)),
            error=None if error is None else ErrorInfo(type=error[0], message=error[1]),
            cached=cached,
        )

    return make


@pytest.fixture
def summary() -> Callable[..., Summary]:
    """Return a maker of summaries: 48 successes in 3 s with 8 slots unless told otherwise."""

    def make(
        mode: Mode = "asyncio", *, ok: int = 48, failed: int = 0, wall_s: float | None = 3.0, **fields: object
    ) -> Summary:
        values: dict[str, Any] = {
            "schema_version": 1,
            "run_id": f"20260102T030405Z-{mode}-ab12",
            "mode": mode,
            "concurrency": 1 if mode == "serial" else 8,
            "load_model": "closed",
            "client": "openai",
            "transport": "aiohttp",
            "provider": "simulator",
            "model": "sim",
            "tasks": TaskCounts(total=ok + failed, ok=ok, failed=failed, cancelled=0, not_started=0),
            "success_rate": wilson(ok, ok + failed),
            "wall_s": wall_s,
            "throughput_tasks_per_s": ok / wall_s if wall_s else None,
            "throughput_tokens_per_s": None,
            **dict.fromkeys(("latency_s", "service_s", "ttft_s", "tpot_s", "icl_s"), distribution([0.25] * ok)),
            "queue_s": distribution([0.0] * ok),
            "failed_latency_s": distribution([1.5] * failed),
            "attempts": ok + failed + 7,
            "retries": 7,
            "cut_at_max_tokens": 0,
            "in_flight": InFlight(peak=8, mean=7.5),
            "start_spread_s": 0.001,
            "tokens": TokenCounts(prompt=1200, completion=4800, reasoning=0, estimated_tasks=0),
            "providers": (),
            "workers": (),
            "errors": (),
            "harness": HarnessFigures(
                startup_s=0.41,
                startup_cpu_s=0.2,
                cpu_s=1.0,
                cpu_us_per_task=1812.0,
                peak_pss_bytes=84_300_000,
                wakeup_lag_p99_s=0.0012,
            ),
        }
        return Summary(**{**values, **fields})

    return make


@pytest.fixture
def error_row() -> Callable[..., ErrorRow]:
    """Return a maker of error rows."""

    def make(message: str, *, tasks: int = 2, attempts: int = 7) -> ErrorRow:
        return ErrorRow(type="rate_limited", http_status=429, tasks=tasks, attempts=attempts, message=message)

    return make


@pytest.fixture
def provider_row() -> Callable[..., ProviderRow]:
    """Return a maker of provider rows."""

    def make(provider: str) -> ProviderRow:
        return ProviderRow(provider=provider, tasks=24, ok=24, failed=0, attempts=25, latency_p50_s=0.25)

    return make
