"""What an experiment reads from a cell's records beside its summary: goodput, ends, client lag, overload, a step."""

from __future__ import annotations

import heapq
import re
import statistics
from typing import TYPE_CHECKING, Final

import msgspec

from bench.clock import NS_PER_S
from bench.journal import iter_last_results
from bench.policy.scaling import saturated
from bench.policy.stability import level_step

if TYPE_CHECKING:
    from pathlib import Path

    from bench.policy.objectives import Objectives
    from bench.summary.steady import Steady

#: What a null server writes before each token: its clock, in nanoseconds.
_STAMP: Final = re.compile(r"\s*(\d{6,})")


#: Parts into which a cell's latencies are put to find a step: two levels of three and room to tell where they part.
_PARTS: Final = 12

#: Tasks that the median of such a part takes.
_PART_TASKS: Final = 4

#: Answers that a step within a cell takes to be told.
STEP_TASKS: Final = _PARTS * _PART_TASKS

#: A smaller change of latency within a cell is a wave.
_LEAST_STEP: Final = 0.2


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


class _Arrived(msgspec.Struct, frozen=True, gc=False):
    scheduled_s: float
    first_token_s: float | None
    ended_s: float


def overloaded(run: Path) -> bool | None:
    """Tell whether an open loop got more than was answered; None where it is too short to tell.

    What is under way includes who waits for a slot, and the time to first token counts from the arrival: with all slots
    taken the server is asked no more than before, and only those who wait are more and more.
    """
    rows = sorted(iter_last_results(run, _Arrived), key=lambda row: row.scheduled_s)
    ends: list[float] = []
    under_way = []
    for row in rows:
        while ends and ends[0] <= row.scheduled_s:
            heapq.heappop(ends)
        heapq.heappush(ends, row.ended_s)
        under_way.append((row.scheduled_s, float(len(ends))))
    # Who got no token waited for one until the end.
    waits = [(row.scheduled_s, (row.first_token_s or row.ended_s) - row.scheduled_s) for row in rows]
    found = saturated(under_way, waits)
    return None if found.in_flight is None or found.ttft is None else found.saturated


class _Begun(msgspec.Struct, frozen=True, gc=False):
    status: str
    started_s: float
    latency_s: float


def latency_step(run: Path, part: Steady) -> float | None:
    """Return how many times as high latency was after a step in the steady part; 1 without one, None if too short."""
    rows = sorted(
        (row for row in iter_last_results(run, _Begun) if part.begin_s <= row.started_s < part.end_s),
        key=lambda row: row.started_s,
    )
    latencies = [row.latency_s for row in rows if row.status == "ok"]
    if len(latencies) < STEP_TASKS:
        return None
    ends = [len(latencies) * place // _PARTS for place in range(_PARTS + 1)]
    medians = [statistics.median(latencies[ends[place] : ends[place + 1]]) for place in range(_PARTS)]
    step = level_step(medians, least=_LEAST_STEP)
    return 1.0 if step is None else step.ratio
