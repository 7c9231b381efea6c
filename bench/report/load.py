"""A run as the report needs it: its manifest, its numbers, and columns of times; never the text of an answer."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from bench.errors import ConfigError, JournalError
from bench.journal import iter_last_results, read_manifest
from bench.summary.tally import ResultRow, Tally

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import RunManifest
    from bench.summary import Summary

#: No run lasts 30 years: a larger number is damage, and would only break the charts.
_LONGEST_S: Final = 1e9

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
        successes: A row a success: `latency_s` and `topic` (a category; missing where the task has none).
        first_tokens_s: Time to first token of the successes that have one.
        sent_s: Instants at which attempts began, by the run's clock.
        ended_s: Instants at which they ended, in the same order.
        refused_s: Instants at which the attempts that failed ended.
    """

    path: Path
    manifest: RunManifest
    summary: Summary
    successes: pd.DataFrame
    first_tokens_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    sent_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    ended_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    refused_s: np.ndarray[tuple[int], np.dtype[np.float64]]


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
        summary = columns.tally.summary(manifest)
    except JournalError as error:
        msg = f"cannot report on {run}: {error}"
        raise ConfigError(msg, "name directories of runs, such as results/<run id>") from error
    columns.check(run)
    return LoadedRun(
        path=run,
        manifest=manifest,
        summary=summary,
        successes=columns.successes(),
        first_tokens_s=_numbers(columns.tally.times["ttft_s"]),
        sent_s=_numbers(columns.tally.sent),
        ended_s=_numbers(columns.tally.ended),
        refused_s=_numbers(columns.refused_s),
    )


def _numbers(column: array[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
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
        if row.status == "ok":
            self.topic_codes.append(self._code(row.topic if row.topic is not None else row.chapter))
        for attempt in row.attempts:
            if attempt.status != "ok":
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
        """Refuse times that no clock has given.

        Raises:
            ConfigError: A time is not a number, negative by more than rounding, or beyond 30 years.
        """
        tally = self.tally
        named = {**tally.times, "sent_s": tally.sent, "end_s": tally.ended, "latency_s of failures": tally.failed_latencies}
        for name, column in named.items():
            if len(column) and not (min(column) >= -1e-6 and max(column) <= _LONGEST_S):
                worst = max(column, key=lambda value: math.inf if math.isnan(value) else abs(value))
                msg = f"cannot report on {run}: tasks.jsonl is damaged: {name} is {worst:g}"
                raise ConfigError(msg, "times are seconds since the start of the run; nothing in the directory was changed")

    def successes(self) -> pd.DataFrame:
        """Return the successes as a frame."""
        codes = np.frombuffer(self.topic_codes, dtype=np.intc) if self.topic_codes else np.empty(0, dtype=np.intc)
        return pd.DataFrame(
            {
                "latency_s": _numbers(self.tally.times["latency_s"]),
                "topic": pd.Categorical.from_codes(codes, categories=list(self.topics)),
            }
        )
