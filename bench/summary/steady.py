"""The steady part of a run: what it does once every slot is warm and until the first slot has nothing left to do.

A run begins with connections to make and code to load, and ends with slots that stand idle. Rates and latencies of a
comparison are taken between the two. Closed loop: from when each slot has finished its first success until the first
slot goes idle for good. Open loop: from the first arrival to the last.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from bench.journal import iter_last_results, read_manifest
from bench.policy.statistics import Distribution, distribution
from bench.records import Status, WorkerId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class AttemptTimes(msgspec.Struct, frozen=True, gc=False):
    """The fields of an Attempt that say when."""

    sent_s: float
    end_s: float
    wait_before_s: float = 0.0
    connect_s: float | None = None
    headers_s: float | None = None
    first_content_s: float | None = None
    last_content_s: float | None = None
    parse_s: float | None = None


class TaskTimes(msgspec.Struct, frozen=True, gc=False):
    """The fields of a TaskResult that say when."""

    status: Status
    attempts: tuple[AttemptTimes, ...]
    scheduled_s: float
    started_s: float
    ended_s: float
    queue_s: float
    latency_s: float
    service_s: float
    ttft_s: float | None
    tpot_s: float | None
    icl_p50_s: float | None
    worker: WorkerId


class Phases(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a success went, as means in seconds per task; None where the client cannot see it.

    Attributes:
        queue_s: From the intended time until a worker began.
        backoff_s: Waits between attempts, and the attempts that failed.
        connect_s: Making connections, TLS included; 0 where one was reused.
        head_s: From sending (connecting left out) to the answer's head.
        first_token_s: From the head to the first token.
        generation_s: From the first token to the last.
        end_s: From the last token to the end of the call, parsing left out.
        parse_s: Parsing, where the client does it apart.
        between_s: From the end of a task to the start of the slot's next one: keeping the record, drawing a task.
    """

    queue_s: float
    backoff_s: float
    connect_s: float | None
    head_s: float | None
    first_token_s: float | None
    generation_s: float | None
    end_s: float
    parse_s: float | None
    between_s: float | None


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the steady part; times in seconds on the run's clock.

    Attributes:
        begin_s: Where it begins; `end_s` is where it ends.
        tasks: Successes that started inside; latencies are theirs.
        throughput_tasks_per_s: Successes by the share of their time that lies inside, per second.
        in_flight_mean: Calls under way, averaged over it.
        busy_ratio: Time that slots spent on tasks over the time there was (closed loop), by Little's law the mean
            number of tasks under way over N: above 1 something counts twice, far below 1 slots waited for the client.
        phases: Where the time went.
    """

    begin_s: float
    end_s: float
    tasks: int
    throughput_tasks_per_s: float
    in_flight_mean: float
    busy_ratio: float
    latency_s: Distribution
    service_s: Distribution
    ttft_s: Distribution
    tpot_s: Distribution
    icl_s: Distribution
    phases: Phases

    def share_inside(self, start_s: float, stop_s: float) -> float:
        """Return which share of a task's time lies inside; a task without duration is inside or not."""
        return _share_inside(start_s, stop_s, self.begin_s, self.end_s)


def steady(run: Path) -> Steady | None:
    """Return the numbers of a run's steady part, or None where it has none: each slot needs two tasks, without a pause.

    Memory is about 1 kB a task.

    Raises:
        JournalError: The run cannot be read or is damaged.
    """
    manifest = read_manifest(run)
    if len(manifest.segments) > 1:
        # Each start of a run has slots to warm and each end slots that stand idle.
        return None
    tasks = list(iter_last_results(run, TaskTimes))
    window = _open_window(tasks) if manifest.load_model == "open" else _closed_window(tasks, manifest.concurrency)
    return None if window is None else _figures(tasks, *window, manifest.concurrency)


def _by_slot(tasks: Iterable[TaskTimes]) -> dict[int, list[TaskTimes]]:
    slots: dict[int, list[TaskTimes]] = {}
    for task in tasks:
        slots.setdefault(task.worker.slot, []).append(task)
    for done in slots.values():
        done.sort(key=lambda task: task.started_s)
    return slots


def _closed_window(tasks: Sequence[TaskTimes], concurrency: int) -> tuple[float, float] | None:
    slots = _by_slot(tasks)
    if len(slots) < concurrency:
        return None
    warm = [next((task.ended_s for task in done if task.status == "ok"), math.inf) for done in slots.values()]
    idle = [done[-1].ended_s for done in slots.values()]
    return (max(warm), min(idle)) if max(warm) < min(idle) else None


def _open_window(tasks: Sequence[TaskTimes]) -> tuple[float, float] | None:
    arrivals = [task.scheduled_s for task in tasks]
    return (min(arrivals), max(arrivals)) if arrivals and min(arrivals) < max(arrivals) else None


def _figures(tasks: Sequence[TaskTimes], begin_s: float, end_s: float, concurrency: int) -> Steady:
    window_s = end_s - begin_s

    def inside(start_s: float, stop_s: float) -> float:
        return max(0.0, min(stop_s, end_s) - max(start_s, begin_s))

    ok = [task for task in tasks if task.status == "ok"]
    shares = (_share_inside(task.started_s, task.ended_s, begin_s, end_s) for task in ok)
    calls_s = math.fsum(inside(call.sent_s, call.end_s) for task in tasks for call in task.attempts)
    busy_s = math.fsum(inside(task.started_s, task.ended_s) for task in tasks)
    begun = [task for task in ok if begin_s <= task.scheduled_s < end_s]
    return Steady(
        begin_s=begin_s,
        end_s=end_s,
        tasks=len(begun),
        throughput_tasks_per_s=math.fsum(shares) / window_s,
        in_flight_mean=calls_s / window_s,
        busy_ratio=busy_s / window_s / concurrency,
        latency_s=distribution(task.latency_s for task in begun),
        service_s=distribution(task.service_s for task in begun),
        ttft_s=distribution(task.ttft_s for task in begun if task.ttft_s is not None),
        tpot_s=distribution(task.tpot_s for task in begun if task.tpot_s is not None),
        icl_s=distribution(task.icl_p50_s for task in begun if task.icl_p50_s is not None),
        phases=_phases(begun, tasks, begin_s, end_s),
    )


def _share_inside(start_s: float, stop_s: float, begin_s: float, end_s: float) -> float:
    if stop_s <= start_s:
        return float(begin_s <= stop_s < end_s)
    return max(0.0, min(stop_s, end_s) - max(start_s, begin_s)) / (stop_s - start_s)


def _phases(begun: Sequence[TaskTimes], tasks: Sequence[TaskTimes], begin_s: float, end_s: float) -> Phases:
    """Split the time of the successes that began inside; the last attempt is the one that succeeded."""
    last = [task.attempts[-1] for task in begun if task.attempts]
    between = [
        after.started_s - before.ended_s
        for done in _by_slot(tasks).values()
        for before, after in pairwise(done)
        if begin_s <= before.ended_s and after.started_s <= end_s
    ]
    return Phases(
        queue_s=_mean([task.queue_s for task in begun]) or 0.0,
        backoff_s=_mean([task.attempts[-1].sent_s - task.attempts[0].sent_s for task in begun if task.attempts]) or 0.0,
        connect_s=_mean([call.connect_s or 0.0 for call in last])
        if any(call.connect_s is not None for task in tasks for call in task.attempts)
        else None,
        head_s=_mean([call.headers_s - call.sent_s - (call.connect_s or 0.0) for call in last if call.headers_s]),
        first_token_s=_mean(
            [call.first_content_s - call.headers_s for call in last if call.first_content_s and call.headers_s]
        ),
        generation_s=_mean(
            [
                call.last_content_s - call.first_content_s
                for call in last
                if call.last_content_s and call.first_content_s
            ]
        ),
        end_s=_mean(
            [
                call.end_s - (call.last_content_s or call.headers_s or call.end_s) - (call.parse_s or 0.0)
                for call in last
            ]
        )
        or 0.0,
        parse_s=_mean([call.parse_s for call in last if call.parse_s is not None]),
        between_s=_mean(between),
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
