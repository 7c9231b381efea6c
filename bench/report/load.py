"""A run as the report needs it: its manifest, its numbers, and columns of times; never the text of an answer."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from bench.errors import ConfigError, JournalError
from bench.journal import iter_last_results, read_manifest
from bench.report.routes_load import LoadedRoute, load_routes
from bench.summary.rows import ResultRow
from bench.summary.tally import Tally, completed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.manifest import RunManifest
    from bench.records import RouteChange
    from bench.summary import Summary

#: No run lasts 30 years: a larger number is damage, and would only break the charts.
_LONGEST_S: Final = 1e9

#: More tasks than this, requests in flight, tokens or bytes are a damaged number (a million times a million).
_LARGEST: Final = 1e12

_HINT: Final = "name directories of runs, such as results/<run id>"

#: A difference of two instants may be below zero by as much.
_ROUNDING_S: Final = 1e-6

#: Topics beyond this many are counted under one name: the page shows a dozen.
_TOPICS_AT_MOST: Final = 10_000


class _Row(ResultRow, frozen=True, gc=False):
    """What numbers are made of, and the label that a chart groups by."""

    topic: str | None = None
    chapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run directory, read.

    Attributes:
        path: The directory.
        manifest: `run.json`.
        summary: Recomputed from the records.
        successes: A row a success that was called for: `latency_s` and `topic` (a category; missing where it
            has none).
        first_tokens_s: Time to first token of the successes that have one.
        sent_s: Instants at which attempts began, by the run's clock.
        ended_s: Instants at which they ended, in the same order.
        refused_s: Instants at which the attempts that failed ended.
        routes: Of a run of profile `prod`, as those of its summary.
        changes: What has changed about them.
    """

    path: Path
    manifest: RunManifest
    summary: Summary
    successes: pd.DataFrame
    first_tokens_s: NDArray[np.float64]
    sent_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    refused_s: NDArray[np.float64]
    routes: tuple[LoadedRoute, ...] = ()
    changes: tuple[RouteChange, ...] = ()


def load(run: Path) -> LoadedRun:
    """Read a run directory once, a record at a time.

    Raises:
        ConfigError: It is not a run, or is damaged; the message names path and reason.
    """
    columns = _Columns()
    try:
        manifest = read_manifest(run)
        for row in iter_last_results(run, _Row):
            columns.add(row)
        _check_manifest(run, manifest)
        columns.check(run)
        summary = completed(columns.tally.summary(manifest), run, manifest)
        routes, changes = load_routes(run, manifest)
    except JournalError as error:
        msg = f"cannot report on {run}: {error}"
        raise ConfigError(msg, _HINT) from error
    return LoadedRun(
        path=run,
        manifest=manifest,
        summary=summary,
        successes=columns.successes(),
        first_tokens_s=_numbers(columns.tally.times["ttft_s"]),
        sent_s=_numbers(columns.tally.sent),
        ended_s=_numbers(columns.tally.ended),
        refused_s=_numbers(columns.refused_s),
        routes=routes,
        changes=changes,
    )


def _check_manifest(run: Path, manifest: RunManifest) -> None:
    """Refuse numbers that no run has.

    Raises:
        ConfigError: A count is out of range, or a cost or what is said of a node is not a time or an amount.
    """
    costs = [segment.cost for segment in manifest.segments if segment.cost is not None]
    named: list[tuple[str, float | None, int]] = [
        ("concurrency", manifest.concurrency, 1),
        ("tasks", manifest.tasks, 0),
    ]
    named += [(name, getattr(cost, name), 0) for cost in costs for name in cost.__struct_fields__]
    nodes = [node for segment in manifest.segments for node in segment.nodes]
    named += [(f"{name} of a node", getattr(node, name), 0) for node in nodes for name in ("slots", "lost", "cpu_s")]
    for name, value, least in named:
        if value is not None and not least <= value <= _LARGEST:
            raise _damaged(run, "run.json", f"{name} is {value!s:.40}")


def _damaged(run: Path, file: str, what: str) -> ConfigError:
    msg = f"cannot report on {run}: {file} is damaged: {what}"
    return ConfigError(msg, _HINT)


def _numbers(column: array[float]) -> NDArray[np.float64]:
    return np.frombuffer(column, dtype=np.float64) if column else np.empty(0)


@dataclass
class _Columns:
    """Columns that grow with each record; successes stand in the order of `tally.times["latency_s"]`."""

    tally: Tally = field(default_factory=Tally)
    topics: dict[str, int] = field(default_factory=dict)
    topic_codes: array[int] = field(default_factory=lambda: array("i"))
    refused_s: array[float] = field(default_factory=lambda: array("d"))

    def add(self, row: _Row) -> None:
        """Count one record in."""
        self.tally.add(row)
        if row.status == "ok" and not row.cached:
            self.topic_codes.append(self._code(row.topic if row.topic is not None else row.chapter))
        for attempt in row.attempts:
            if attempt.status == "failed":
                self.refused_s.append(attempt.end_s)

    def _code(self, topic: str | None) -> int:
        if topic is None:
            return -1
        code = self.topics.setdefault(topic, len(self.topics))
        if code >= _TOPICS_AT_MOST:
            del self.topics[topic]
            return -1
        return code

    def check(self, run: Path) -> None:
        """Refuse times that no clock has given, and tokens that no model has written.

        Raises:
            ConfigError: A time is negative by more than rounding, or beyond 30 years, or there are too many tokens.
        """
        tally = self.tally
        named = {
            **tally.times,
            "sent_s": tally.sent,
            "end_s": tally.ended,
            "latency_s of failures": tally.failed_latencies,
        }
        for name, tokens in vars(tally.tokens).items():
            if not 0 <= tokens <= _LARGEST:
                raise _damaged(run, "tasks.jsonl", f"the sum of {name} tokens is {tokens!s:.40}")
        for name, column in named.items():
            if len(column) and not (min(column) >= -_ROUNDING_S and max(column) <= _LONGEST_S):
                raise _damaged(run, "tasks.jsonl", f"{name} is {max(column, key=abs):g}")

    def successes(self) -> pd.DataFrame:
        """Return the successes as a frame."""
        codes = np.frombuffer(self.topic_codes, dtype=np.intc) if self.topic_codes else np.empty(0, dtype=np.intc)
        return pd.DataFrame(
            {
                "latency_s": _numbers(self.tally.times["latency_s"]),
                "topic": pd.Categorical.from_codes(codes, categories=pd.Index(list(self.topics), dtype="str")),
            }
        )
