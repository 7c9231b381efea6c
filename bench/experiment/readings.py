"""What an experiment reads from a cell's records beside its summary: goodput, first and last instant, client lag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S
from bench.journal import iter_last_results

if TYPE_CHECKING:
    from pathlib import Path

    from bench.policy.objectives import Objectives
    from bench.summary.steady import Steady

#: What a null server writes before each token: its clock, in nanoseconds.
_STAMP: Final = re.compile(r"\s*(\d{6,})")


class _Good(msgspec.Struct, frozen=True, gc=False):
    """The fields that objectives are about."""

    status: str
    scheduled_s: float
    started_s: float
    ended_s: float
    latency_s: float
    service_s: float
    ttft_s: float | None
    tpot_s: float | None


def goodput(run: Path, part: Steady, objectives: Objectives) -> dict[str, float]:
    """Return the successes per second of the steady part that met all objectives, and their share of all attempted.

    They count by the share of their time that lies inside, as for throughput, of which goodput is a part.
    """
    good = attained = attempted = 0.0
    for row in iter_last_results(run, _Good):
        meets = objectives.meets(row)
        good += meets * part.share_inside(row.started_s, row.ended_s)
        begun = part.begin_s <= row.scheduled_s < part.end_s
        attempted += begun
        attained += begun and meets
    if not attempted:
        return {}
    return {"goodput": good / (part.end_s - part.begin_s), "attained": attained / attempted}


class _Calls(msgspec.Struct, frozen=True, gc=False):
    sent_s: float
    end_s: float


class _Span(msgspec.Struct, frozen=True, gc=False):
    attempts: tuple[_Calls, ...]


def ends_s(run: Path) -> tuple[float, float] | None:
    """Return when the first call was sent and the last one ended, in seconds on the run's clock."""
    first, last = float("inf"), 0.0
    for row in iter_last_results(run, _Span):
        for call in row.attempts:
            first, last = min(first, call.sent_s), max(last, call.end_s)
    return (first, last) if last else None


class _Stamped(msgspec.Struct, frozen=True, gc=False):
    content: str | None
    scheduled_s: float
    first_token_s: float | None


def client_lags_s(run: Path, origin_ns: int, part: Steady | None) -> list[float]:
    """Return, ascending, how long after the server's stamp each first token of the steady part was seen, in seconds."""
    lags = []
    for row in iter_last_results(run, _Stamped):
        stamp = _STAMP.match(row.content or "")
        inside = part is None or part.begin_s <= row.scheduled_s < part.end_s
        if stamp is not None and row.first_token_s is not None and inside:
            lags.append(row.first_token_s - (int(stamp[1]) - origin_ns) / NS_PER_S)
    return sorted(lags)
