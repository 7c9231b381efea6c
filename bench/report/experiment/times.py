"""The times of a cell's tasks, for its curves: of its steady part, as its figures are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from bench.errors import JournalError
from bench.journal import iter_last_results
from bench.records import Status
from bench.summary.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray


class _Call(msgspec.Struct, frozen=True, gc=False):
    sent_s: float
    end_s: float
    status: Status


class _Row(msgspec.Struct, frozen=True, gc=False):
    status: Status
    attempts: tuple[_Call, ...]
    scheduled_s: float
    latency_s: float
    ttft_s: float | None


@dataclass(frozen=True, kw_only=True)
class CellTimes:
    """Times of one run, in seconds.

    Attributes:
        latencies_s: Of the successes of the steady part; of all where the run has no steady part.
        first_tokens_s: Of the same tasks, where they have one.
        sent_s: When each attempt of the whole run began, on the run's clock.
        ended_s: When it ended.
        refused_s: When those that failed ended.
    """

    latencies_s: NDArray[np.float64]
    first_tokens_s: NDArray[np.float64]
    sent_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    refused_s: NDArray[np.float64]


def cell_times(run: Path) -> CellTimes | None:
    """Read the times of a cell's run, or return None where its records are damaged."""
    try:
        part = steady(run)
        rows = list(iter_last_results(run, _Row))
    except (JournalError, RecursionError):
        return None
    inside = [
        row for row in rows if row.status == "ok" and (part is None or part.begin_s <= row.scheduled_s < part.end_s)
    ]
    calls = [call for row in rows for call in row.attempts]
    return CellTimes(
        latencies_s=_column(row.latency_s for row in inside),
        first_tokens_s=_column(row.ttft_s for row in inside if row.ttft_s is not None),
        sent_s=_column(call.sent_s for call in calls),
        ended_s=_column(call.end_s for call in calls),
        refused_s=_column(call.end_s for call in calls if call.status != "ok"),
    )


def _column(values: Iterable[float]) -> NDArray[np.float64]:
    return np.fromiter(values, dtype=np.float64)
