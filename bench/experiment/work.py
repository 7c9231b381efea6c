"""What arms were asked and answered: read from a cell's records, put together over its blocks, and compared."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from bench.journal import iter_last_results
from bench.policy.comparability import WorkFacts, differences
from bench.policy.statistics import distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.experiment.records import Arm, Cell, Experiment


class _Error(msgspec.Struct, frozen=True, gc=False):
    type: str


class _Row(msgspec.Struct, frozen=True, gc=False):
    """The fields of a TaskResult that say what was asked and answered; never its text."""

    status: str
    fingerprint: str
    finish_reason: str | None
    error: _Error | None
    cached: bool
    completion_tokens: int | None
    server_model: str | None = None


def read_work(run: Path, *, name: str, workload: str | None, in_flight_mean: float | None) -> WorkFacts:
    """Return what the tasks of a run were and what became of them.

    Args:
        run: The run's directory.
        name: Of its arm.
        workload: Fingerprint of the workload, from the run's manifest.
        in_flight_mean: Requests in flight in the steady part.

    Raises:
        JournalError: The run cannot be read or is damaged.
    """
    tasks = cached = 0
    prompts: set[str] = set()
    tokens: list[float] = []
    finishes: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    models: set[str] = set()
    for row in iter_last_results(run, _Row):
        tasks += 1
        cached += row.cached
        prompts.add(row.fingerprint)
        if row.error is not None:
            errors[row.error.type] += 1
        if row.status == "ok":
            models |= {row.server_model} if row.server_model else set()
            finishes[row.finish_reason or "none"] += 1
            if row.completion_tokens is not None:
                tokens.append(row.completion_tokens)
    lengths = distribution(tokens)
    return WorkFacts(
        name=name,
        tasks=tasks,
        workload_fingerprint=workload,
        prompt_set=hashlib.sha256("".join(sorted(prompts)).encode()).hexdigest() if prompts else None,
        output_tokens_p50=lengths.p50,
        output_tokens_p95=lengths.p95,
        finish_reasons=dict(finishes),
        errors=dict(errors),
        cached=cached,
        server_models=tuple(sorted(models)) or None,
        in_flight_mean=in_flight_mean,
    )


def work_differences(arms: Sequence[Arm], by_arm: Mapping[str, Sequence[Cell | None]]) -> Iterator[str]:
    """Yield what arms of one N did not do alike, a sentence each; an arm is held against all that were alike so far.

    Args:
        arms: All arms.
        by_arm: Each arm's cells by block.
    """
    for n in sorted({arm.concurrency for arm in arms}):
        alike: list[WorkFacts] = []
        for arm in arms:
            works = _works(arm, by_arm[arm.name]) if arm.concurrency == n else []
            if not works:
                continue
            if len({work.workload_fingerprint for work in works}) > 1:
                yield f"{arm.name} was not given the same prompts in every block"
            mine = _together(arm.name, works)
            found = next((found for other in alike if (found := differences(other, mine))), ())
            yield from found
            if not found:
                alike.append(mine)


def arm_facts(experiment: Experiment, arm: Arm, name: str) -> WorkFacts | None:
    """Return what an arm was asked and answered over all its cells; None where none was done.

    Args:
        experiment: Whose arm it is.
        arm: The arm.
        name: What the facts are to be called.
    """
    cells = [cell for cell in experiment.cells if cell.kind == "measurement" and cell.arm == arm.name]
    works = _works(arm, cells)
    return _together(name, works) if works else None


def _works(arm: Arm, cells: Iterable[Cell | None]) -> list[WorkFacts]:
    """Return the facts of an arm's cells; those that do not count are left out unless none does.

    A cell that could not begin, or broke off, did no work that could be compared.
    """
    done = [cell for cell in cells if cell is not None and cell.error is None]
    return [
        cell.work or WorkFacts(name=arm.name, tasks=cell.tasks, workload_fingerprint=cell.workload)
        for cell in [cell for cell in done if cell.valid] or done
    ]


def _together(name: str, works: Sequence[WorkFacts]) -> WorkFacts:
    """Return the facts of an arm: counts are summed over its blocks, quantiles and means are medians of the blocks'."""
    cached = [work.cached for work in works if work.cached is not None]
    models = [work.server_models for work in works if work.server_models is not None]
    return WorkFacts(
        name=name,
        tasks=sum(work.tasks for work in works),
        workload_fingerprint=_joined(work.workload_fingerprint for work in works),
        prompt_set=_joined(work.prompt_set for work in works),
        output_tokens_p50=_median(work.output_tokens_p50 for work in works),
        output_tokens_p95=_median(work.output_tokens_p95 for work in works),
        finish_reasons=_summed([work.finish_reasons for work in works]),
        errors=_summed([work.errors for work in works]),
        cached=sum(cached) if len(cached) == len(works) else None,
        server_models=tuple(sorted({model for each in models for model in each})) if models else None,
        in_flight_mean=_median(work.in_flight_mean for work in works),
    )


def _joined(values: Iterable[str | None]) -> str | None:
    return " ".join(sorted({value for value in values if value is not None})) or None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _summed(counts: Sequence[Mapping[str, int] | None]) -> dict[str, int] | None:
    known = [each for each in counts if each is not None]
    return dict(sum(map(Counter, known), Counter())) if len(known) == len(counts) else None
