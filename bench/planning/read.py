"""From the directories of experiments and runs to the points that a plan is made from."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.config import ConcurrentConfig
from bench.errors import ConfigError, JournalError
from bench.experiment.store import CELLS, EXPERIMENT, load
from bench.journal import iter_last_results, read_manifest
from bench.planning.measured import Block, Call, Conditions, Point
from bench.policy.retry import RetryPolicy
from bench.providers import Patience
from bench.records import JsonObject, Status, WorkerId
from bench.summary.harness import harness_figures
from bench.summary.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.experiment.records import Experiment
    from bench.manifest import RunManifest
    from bench.records import Mode
    from bench.summary.steady import Steady

#: The settings of a measurement that say whom it asked and what for: the run that would settle a question has them too.
_ASKED: Final = ("provider", "providers_file", "base_url", "model", "simulator", "max_tokens", "topics_file")

#: More of what was left out is not read.
_CAUTIONS_AT_MOST: Final = 8

#: What a run that did not keep a setting had.
_DEFAULTS: Final = {each.name: each.default for each in dataclasses.fields(ConcurrentConfig)}

#: Modes whose Python runs on one core at a time, in one process.
_ONE_CORE: Final = frozenset({"serial", "threading", "asyncio"})


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What experiments and runs say together.

    Attributes:
        points: By mode, client and N.
        sources: The ids of the experiments and runs.
        asked: The settings of the first of them that say whom it asked.
        cautions: What makes the figures less certain, a sentence each.
    """

    points: tuple[Point, ...]
    sources: tuple[str, ...]
    asked: JsonObject
    cautions: tuple[str, ...]


class _Attempt(msgspec.Struct, frozen=True, gc=False):
    status: Status
    sent_s: float
    end_s: float
    retry_after_s: float | None = None


class _Error(msgspec.Struct, frozen=True, gc=False):
    retryable: bool = False


class _Task(msgspec.Struct, frozen=True, gc=False):
    status: Status
    error: _Error | None
    attempts: tuple[_Attempt, ...]
    started_s: float
    ended_s: float
    prompt_tokens: int | None
    completion_tokens: int | None
    worker: WorkerId


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was read, and by which point it counts."""

    conditions: Conditions
    block: Block
    ceiling_per_s: float | None


def read_measured(words: Sequence[str], results_dir: Path) -> Measured:
    """Read experiments and runs.

    Args:
        words: Their directories, or their ids below `results_dir`.
        results_dir: See above.

    Raises:
        ConfigError: One is neither, cannot be read, or is no measurement; or none of them has a steady part.
    """
    runs: list[_Run] = []
    cautions: list[str] = []
    asked: JsonObject = {}
    sources: list[str] = []
    for directory in dict.fromkeys(_found(word, results_dir).resolve() for word in words):
        sources.append(directory.name)
        if (directory / EXPERIMENT).is_file():
            experiment = load(directory)
            asked = asked or _whom(experiment.settings)
            runs += _of_experiment(directory, experiment, cautions)
        else:
            manifest = read_manifest(directory)
            asked = asked or _whom(manifest.config)
            runs += _of_run(directory, manifest, None, cautions)
    if not runs:
        raise ConfigError(
            f"no run of {', '.join(sources)} has a steady part to plan from: {'; '.join(cautions) or 'no cell ended'}",
            "measure with: compare",
        )
    points = _points(runs)
    alone = [point for point in points if len(point.blocks) == 1]
    if alone:
        cautions.insert(
            0,
            f"{len(alone)} of {len(points)} points were measured by one run alone: their intervals do not say how "
            "runs differ",
        )
    more = len(cautions) - _CAUTIONS_AT_MOST
    said = (*cautions[:_CAUTIONS_AT_MOST], f"and {more} more like these") if more > 0 else tuple(cautions)
    return Measured(points=points, sources=tuple(sources), asked=asked, cautions=said)


def _found(word: str, results_dir: Path) -> Path:
    for path in (Path(word), results_dir / word):
        if (path / EXPERIMENT).is_file() or (path / "run.json").is_file():
            return path
    raise ConfigError(
        f"{word!r} is neither experiment nor run: {Path(word)} and {results_dir / word} hold none",
        "name the directory or the id of what was measured",
    )


def _whom(settings: JsonObject) -> JsonObject:
    asked = {name: settings[name] for name in _ASKED if settings.get(name)}
    # An experiment asks the simulator where nobody else is named.
    return asked if "provider" in asked or "base_url" in asked else {"provider": ["simulator"], **asked}


def _of_experiment(directory: Path, experiment: Experiment, cautions: list[str]) -> Iterator[_Run]:
    """Yield the cells that asked the endpoint itself: of each arm those that count, or all where none does."""
    arms = {arm.name: arm.again or arm.name for arm in experiment.plan.arms}
    uncounted = []
    for name in dict.fromkeys(arms.values()):
        cells = [cell for cell in experiment.cells if arms[cell.arm] == name]
        measured = [cell for cell in cells if cell.kind == "measurement" and cell.run is not None]
        counting = [cell for cell in measured if cell.valid]
        if measured and not counting:
            uncounted.append(name)
        ceilings = [c.figures.throughput for c in cells if c.kind == "ceiling" and c.figures.throughput is not None]
        for cell in counting or measured:
            run = directory / CELLS / str(cell.run)
            try:
                yield from _of_run(run, read_manifest(run), max(ceilings, default=None), cautions)
            except JournalError as error:
                cautions.append(f"left out: {error}")
    if uncounted:
        cautions.append(
            f"no cell of {', '.join(uncounted)} counts in {experiment.experiment_id}, so all do here: see its report"
        )


def _of_run(directory: Path, manifest: RunManifest, ceiling_per_s: float | None, cautions: list[str]) -> Iterator[_Run]:
    """Yield a run, if it can be planned from."""
    is_bench = manifest.config.get("profile", "bench") == "bench"
    if not is_bench or manifest.load_model != "closed" or manifest.mode == "distributed":
        cautions.append(
            f"left out: {manifest.run_id} is no closed measurement on one machine (profile bench, no --rate)"
        )
        return
    part = steady(directory)
    block = None if part is None else _block(directory, manifest, part)
    if block is None:
        cautions.append(f"left out: {manifest.run_id} has no steady part: each slot needs two tasks, without a pause")
        return
    yield _Run(conditions=_conditions(manifest), block=block, ceiling_per_s=ceiling_per_s)


def _conditions(manifest: RunManifest) -> Conditions:
    config: dict[str, Any] = _DEFAULTS | manifest.config
    usable = int(_nested(manifest.environment, "cpu", "usable_cores") or 1)
    processes = int(config["processes"] or usable)
    most = manifest.concurrency if manifest.mode == "multiprocessing" else min(processes, manifest.concurrency)
    return Conditions(
        mode=manifest.mode,
        client=str(config["client"]),
        n=manifest.concurrency,
        cores=1 if manifest.mode in _ONE_CORE else min(usable, most),
        retry=RetryPolicy(retries=config["retries"], delay_s=float(config["retry_delay"]), backoff=config["backoff"]),
        timeout_s=float(config["timeout"] or Patience().task_s),
    )


def _nested(values: JsonObject, *names: str) -> Any:  # noqa: ANN401 - whatever JSON holds there
    found: Any = values
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _block(directory: Path, manifest: RunManifest, part: Steady) -> Block | None:
    """Return the tasks that began in the steady part; None where there is none."""
    rows = list(iter_last_results(directory, _Task))
    begun = [row for row in rows if part.begin_s <= row.started_s < part.end_s and row.attempts]
    if not begun:
        return None
    tasks = tuple(tuple(_calls(row)) for row in begun)
    hold_s = _mean([row.ended_s - row.started_s for row in begun]) + (part.phases.between_s or 0.0)
    calls_s = _mean([math.fsum(call.duration_s for call in task) for task in tasks])
    waits_s = _mean([math.fsum(b.sent_s - a.end_s for a, b in pairwise(row.attempts)) for row in begun])
    answered = [row for row in begun if row.status == "ok"]
    cpu_us = harness_figures(manifest.segments, len(rows)).cpu_us_per_task
    return Block(
        run_id=manifest.run_id,
        tasks=tasks,
        hold_s=hold_s,
        around_s=max(0.0, hold_s - calls_s - waits_s),
        prompt_tokens=_known_mean(row.prompt_tokens for row in answered),
        completion_tokens=_known_mean(row.completion_tokens for row in answered),
        cpu_s=None if cpu_us is None else cpu_us / 1e6,
    )


def _calls(row: _Task) -> Iterator[Call]:
    last = len(row.attempts) - 1
    for place, attempt in enumerate(row.attempts):
        yield Call(
            duration_s=attempt.end_s - attempt.sent_s,
            ok=attempt.status == "ok",
            # Of an attempt that another one followed the record says by that that it was worth another.
            retryable=place < last or (row.error is not None and row.error.retryable),
            retry_after_s=attempt.retry_after_s,
        )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _known_mean(values: Iterable[int | None]) -> float | None:
    known = list(values)
    return None if not known or None in known else math.fsum(value or 0 for value in known) / len(known)


def _points(runs: Sequence[_Run]) -> tuple[Point, ...]:
    """Put runs of one mode, client and N together."""
    found: dict[tuple[Mode, str, int], list[_Run]] = {}
    for run in runs:
        found.setdefault((run.conditions.mode, run.conditions.client, run.conditions.n), []).append(run)
    return tuple(
        Point(
            conditions=same[0].conditions,
            blocks=tuple(run.block for run in same),
            ceiling_per_s=max((run.ceiling_per_s for run in same if run.ceiling_per_s is not None), default=None),
        )
        for _, same in sorted(found.items())
    )
