"""A finished cell read as a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.experiment.readings import goodput
from bench.journal import iter_last_results
from bench.policy.objectives import Objectives
from bench.policy.statistics import distribution
from bench.records import WorkerId
from bench.tuning.records import Held, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.experiment.cell import Observed
    from bench.policy.objectives import Objective
    from bench.summary.steady import Steady
    from bench.tuning.asking import Ask

#: Exit codes of a run that was done, though a request may have failed.
_DONE: Final = frozenset({0, 1})


class _Error(msgspec.Struct, frozen=True, gc=False):
    type: str


class _Row(msgspec.Struct, frozen=True, gc=False):
    """The fields of a TaskResult that a probe is judged by."""

    status: str
    error: _Error | None
    scheduled_s: float
    started_s: float
    latency_s: float
    service_s: float
    ttft_s: float | None
    tpot_s: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    worker: WorkerId


def read_probe(ask: Ask, observed: Observed, objectives: Objectives | None) -> Probe:
    """Return what a cell tells.

    Args:
        ask: What it was to be.
        observed: What became of it.
        objectives: The objectives, if any were stated.
    """
    bare = Probe(mode=ask.mode, concurrency=ask.concurrency, purpose=ask.purpose)
    summary, run = observed.summary, observed.run
    rows = [] if run is None or summary is None else list(iter_last_results(run, _Row))
    if summary is None or run is None or observed.exit_code not in _DONE or not rows:
        said = observed.said or f"its process ended with code {observed.exit_code}"
        sent = 0 if summary is None else summary.attempts
        return msgspec.structs.replace(bare, error=said, requests=sent, run=None if run is None else run.name)
    stated = objectives or Objectives(stated=())
    part = observed.steady
    if part is not None and not any(part.begin_s <= row.scheduled_s < part.end_s for row in rows):
        part = None
    peak_bytes = summary.harness.peak_pss_bytes
    numbers = _all_but_first(rows, ask.concurrency, stated) if part is None else _steady(rows, run, part, stated)
    return msgspec.structs.replace(
        bare,
        requests=summary.attempts,
        tokens=sum((row.prompt_tokens or 0) + (row.completion_tokens or 0) for row in rows),
        run=run.name,
        failure="" if not summary.errors else f"{summary.errors[0].type}: {summary.errors[0].message}",
        steady=part is not None,
        cpu_us_per_task=summary.harness.cpu_us_per_task,
        peak_pss_mb=None if peak_bytes is None else peak_bytes / 1e6,
        machine_busy=observed.machine.busy_share,
        **numbers,
    )


def _steady(rows: Sequence[_Row], run: Path, part: Steady, stated: Objectives) -> dict[str, Any]:
    """Return the numbers of the steady part."""
    inside = [row for row in rows if part.begin_s <= row.scheduled_s < part.end_s]
    good = goodput(run, part, stated)
    return {
        **_counts(inside, stated),
        "throughput_per_s": part.throughput_tasks_per_s,
        "goodput_per_s": good.get("goodput", 0.0),
        "latency_p95_s": part.latency_s.p95,
        "ttft_p95_s": part.ttft_s.p95,
    }


def _all_but_first(rows: Sequence[_Row], n: int, stated: Objectives) -> dict[str, Any]:
    """Return the numbers of all requests but each slot's first, where there is no steady part.

    Rates are those that n slots have at these latencies, by Little's law.
    """
    first: dict[int, float] = {}
    for row in rows:
        first[row.worker.slot] = min(row.started_s, first.get(row.worker.slot, row.started_s))
    later = [row for row in rows if row.started_s > first[row.worker.slot]] or list(rows)
    spent_s = sum(row.latency_s for row in later)
    counts = _counts(later, stated)
    each_per_s = n / spent_s if spent_s > 0 else 0.0
    ok = sum(row.status == "ok" for row in later)
    return {**counts, "throughput_per_s": ok * each_per_s, "goodput_per_s": counts["attained"] * each_per_s}


def _counts(rows: Sequence[_Row], stated: Objectives) -> dict[str, Any]:
    ok = [row for row in rows if row.status == "ok"]
    latencies = distribution(row.latency_s for row in ok)
    return {
        "attempted": len(rows),
        "attained": sum(stated.meets(row) for row in rows),
        "refused": sum(row.error is not None and row.error.type == "rate_limited" for row in rows),
        "latency_mean_s": latencies.mean,
        "latency_sd_s": latencies.sd,
        "held": tuple(_held(ok, objective) for objective in stated.stated if objective.percentile is not None),
    }


def _held(ok: Sequence[_Row], objective: Objective) -> Held:
    """Return how many successes kept to a percentile's bound: a share of them has to."""
    alone = Objectives(stated=(msgspec.structs.replace(objective, percentile=None),))
    share = int((objective.percentile or "p100").removeprefix("p")) / 100
    return Held(objective=str(objective), share=share, met=sum(alone.meets(row) for row in ok), of=len(ok))
