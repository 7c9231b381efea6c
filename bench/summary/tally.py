"""How a run's numbers are made from its records, one record at a time."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.journal import iter_last_results, read_manifest
from bench.policy.statistics import distribution, in_flight, wilson
from bench.records import DISPATCHER, SCHEMA_VERSION
from bench.summary.cached import CachedTally
from bench.summary.figures import ErrorRow, Summary, TaskCounts, TokenCounts, WorkerRow
from bench.summary.harness import harness_figures
from bench.summary.load import LoadTally
from bench.summary.nodes import NodeTallies
from bench.summary.outcomes import Outcomes
from bench.summary.providers import ProviderTallies
from bench.summary.races import hedges, is_beaten
from bench.summary.routes import route_figures
from bench.summary.rows import ResultRow
from bench.summary.versions import version_figures

if TYPE_CHECKING:
    from pathlib import Path

    from bench.errors import ErrorType
    from bench.manifest import RunManifest
    from bench.records import WorkerId


def summarise(run: Path) -> Summary:
    """Compute the summary of a run from `run.json` and `tasks.jsonl`, reading a record at a time.

    Memory is about 100 bytes a task (its times), whatever the length of the answers.

    Raises:
        JournalError: The run cannot be read or is damaged.
    """
    manifest = read_manifest(run)
    tally = Tally()
    for row in iter_last_results(run, ResultRow):
        tally.add(row)
    return completed(tally.summary(manifest), run, manifest)


def completed(summary: Summary, run: Path, manifest: RunManifest) -> Summary:
    """Return a summary with what only some runs have: versions, and routes.

    Raises:
        JournalError: The run cannot be read or is damaged.
    """
    versions, routes = version_figures(run, manifest), route_figures(run, manifest)
    return msgspec.structs.replace(summary, versions=versions, routes=routes)


def _doubles() -> array[float]:
    return array("d")


#: What all records of a run have in common.
_LABELS: Final = ("client", "transport", "provider", "model")

#: Columns of ResultRow that become distributions, and the distributions' names.
_TIMES: Final = {
    "latency_s": "latency_s",
    "service_s": "service_s",
    "ttft_s": "ttft_s",
    "tpot_s": "tpot_s",
    "icl_p50_s": "icl_s",
    "queue_s": "queue_s",
}


@dataclass
class _WorkerTally(Outcomes):
    busy_s: float = 0.0
    first_start_s: float = float("inf")
    last_end_s: float = 0.0


@dataclass
class _ErrorTally:
    message: str
    tasks: int = 0
    attempts: int = 0


@dataclass
class _TokenTally:
    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    estimated_tasks: int = 0


@dataclass
class Tally:
    """Sums and columns that grow with each record."""

    labels: ResultRow | None = None
    ok: int = 0
    failed: int = 0
    cancelled: int = 0
    dropped: int = 0
    load: LoadTally = field(default_factory=LoadTally)
    cut: int = 0
    times: dict[str, array[float]] = field(default_factory=lambda: {name: _doubles() for name in _TIMES})
    failed_latencies: array[float] = field(default_factory=_doubles)
    sent: array[float] = field(default_factory=_doubles)
    ended: array[float] = field(default_factory=_doubles)
    retries: int = 0
    hedges: int = 0
    beaten: int = 0
    cached: CachedTally = field(default_factory=CachedTally)
    tokens: _TokenTally = field(default_factory=_TokenTally)
    providers: ProviderTallies = field(init=False)
    workers: dict[WorkerId, _WorkerTally] = field(default_factory=dict)
    nodes: NodeTallies = field(default_factory=NodeTallies)
    errors: dict[tuple[ErrorType, int | None], _ErrorTally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let the providers share the column of latencies."""
        self.providers = ProviderTallies(self.times["latency_s"])

    def add(self, row: ResultRow) -> None:
        """Count one record in."""
        self.labels = self.labels or row
        # Before its latency is added: those of the first provider are set apart when a second one comes.
        if row.cached:
            self.ok += 1
            self.cached.add(row.prompt_tokens, row.completion_tokens)
        else:
            self.providers.of(row.provider).count(row.status)
        if row.status == "ok" and not row.cached:
            self._add_success(row)
        elif row.status == "failed":
            self.failed += 1
            self.failed_latencies.append(row.latency_s)
        dropped = row.error is not None and row.error.type == "dropped"
        self.dropped += dropped
        self.cancelled += row.status == "cancelled" and not dropped
        sent_s = row.attempts[0].sent_s if row.attempts else None
        self.load.add(scheduled_s=row.started_s - row.queue_s, sent_s=sent_s, unsent=dropped or row.cached)
        self._add_attempts(row)
        if not dropped and row.worker.thread != DISPATCHER:
            self._add_worker(row)
            self.nodes.add(row)

    def _add_success(self, row: ResultRow) -> None:
        self.ok += 1
        self.cut += row.finish_reason == "length"
        for name, column in self.times.items():
            value = getattr(row, name)
            if value is not None:
                column.append(value)
        self.tokens.prompt += row.prompt_tokens or 0
        self.tokens.completion += row.completion_tokens or 0
        self.tokens.reasoning += row.reasoning_tokens or 0
        self.tokens.estimated_tasks += row.token_source == "estimated"  # noqa: S105 - tokens of text
        self.providers.succeeded(row.provider, row.latency_s)

    def _add_attempts(self, row: ResultRow) -> None:
        beside = sum(hedges(row.attempts))
        self.hedges += beside
        self.retries += max(0, len(row.attempts) - 1 - beside)
        for attempt in row.attempts:
            self.sent.append(attempt.sent_s)
            self.ended.append(attempt.end_s)
            self.providers.of(attempt.provider).attempts += 1
            if is_beaten(attempt, row.status):
                self.beaten += 1
            elif attempt.error_type is not None:
                self._error(attempt.error_type, attempt.http_status, attempt.error_message or "").attempts += 1
        if row.error is not None:
            self._error(row.error.type, row.error.http_status, row.error.message).tasks += 1

    def _error(self, error_type: ErrorType, http_status: int | None, message: str) -> _ErrorTally:
        return self.errors.setdefault((error_type, http_status), _ErrorTally(message))

    def _add_worker(self, row: ResultRow) -> None:
        worker = self.workers.setdefault(row.worker, _WorkerTally())
        worker.count(row.status)
        worker.busy_s += row.service_s
        worker.first_start_s = min(worker.first_start_s, row.started_s)
        worker.last_end_s = max(worker.last_end_s, row.ended_s)

    def summary(self, manifest: RunManifest) -> Summary:
        """Return the numbers so far, with the labels of the run."""
        labels: dict[str, Any] = {name: getattr(self.labels, name, None) for name in _LABELS}
        distributions: dict[str, Any] = {_TIMES[name]: distribution(column) for name, column in self.times.items()}
        wall_s = max(self.ended) - min(self.sent) if self.sent else None
        counts = self._counts(manifest.tasks)
        is_open = manifest.load_model == "open"
        return Summary(
            schema_version=SCHEMA_VERSION,
            run_id=manifest.run_id,
            mode=manifest.mode,
            concurrency=manifest.concurrency,
            load_model=manifest.load_model,
            offered_per_s=self.load.offered_per_s if is_open else None,
            achieved_per_s=self.load.achieved_per_s if is_open else None,
            **labels,
            tasks=counts,
            success_rate=wilson(self.ok, self.ok + self.failed),
            wall_s=wall_s,
            throughput_tasks_per_s=(self.ok - self.cached.tasks) / wall_s if wall_s else None,
            throughput_tokens_per_s=self.tokens.completion / wall_s if wall_s and self.tokens.completion else None,
            **distributions,
            failed_latency_s=distribution(self.failed_latencies),
            attempts=len(self.sent),
            retries=self.retries,
            hedges=self.hedges,
            beaten=self.beaten,
            cached=self.cached.counts(),
            cut_at_max_tokens=self.cut,
            in_flight=in_flight(self.sent, self.ended),
            start_spread_s=self._start_spread_s(),
            tokens=TokenCounts(**vars(self.tokens)),
            providers=self.providers.rows(distributions["latency_s"]),
            workers=self._worker_rows(),
            nodes=self.nodes.rows(manifest.segments),
            errors=self._error_rows(),
            harness=harness_figures(manifest.segments, counts.total - counts.not_started),
        )

    def _counts(self, total: int) -> TaskCounts:
        ends = {"ok": self.ok, "failed": self.failed, "cancelled": self.cancelled, "dropped": self.dropped}
        return TaskCounts(total=total, not_started=max(0, total - sum(ends.values())), **ends)

    def _start_spread_s(self) -> float | None:
        # Slot by slot: a process that replaced a lost one is no late start.
        first_starts: dict[int, float] = {}
        for who, worker in self.workers.items():
            first_starts[who.slot] = min(worker.first_start_s, first_starts.get(who.slot, worker.first_start_s))
        return max(first_starts.values()) - min(first_starts.values()) if first_starts else None

    def _worker_rows(self) -> tuple[WorkerRow, ...]:
        ordered = sorted(self.workers.items(), key=lambda item: (item[0].slot, item[0].pid))
        return tuple(
            WorkerRow(
                pid=who.pid,
                thread=who.thread,
                slot=who.slot,
                tasks=tally.tasks,
                ok=tally.ok,
                failed=tally.failed,
                busy_s=tally.busy_s,
                first_start_s=tally.first_start_s,
                last_end_s=tally.last_end_s,
                node=who.node,
            )
            for who, tally in ordered
        )

    def _error_rows(self) -> tuple[ErrorRow, ...]:
        ordered = sorted(self.errors.items(), key=lambda item: (-item[1].tasks, -item[1].attempts, item[0][0]))
        return tuple(
            ErrorRow(type=kind, http_status=status, tasks=tally.tasks, attempts=tally.attempts, message=tally.message)
            for (kind, status), tally in ordered
        )
