"""The run of a workload as events: each task takes the slot that is free first, and keeps it for a while.

Two things hold a task up. A slot has to be free. And calls go out no closer together than a gap, as profile `prod`
spaces them to keep within the requests and tokens of a minute (`bench.policy.pool.rates`, without its burst of a
hundredth of a minute). One event a task, in a heap of the instants at which slots are free.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from heapq import heapreplace
from typing import TYPE_CHECKING, Final

import msgspec

from bench.policy.retry import GiveUp, next_wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.planning.measured import Block, Call, Conditions

#: Tasks whose times are drawn at once.
_DRAWN_AT_ONCE: Final = 1 << 16

#: Tasks that stand for all where some fail: enough for a failure in ten thousand to be among them.
_MADE: Final = 20_000

#: Rounds of all slots, and tasks, that are simulated before the rest is taken to go on at the same pace.
_ROUNDS: Final = 200
SAMPLE: Final = 200_000


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """For how long tasks keep a slot: values to draw from, in seconds; with it what a task is on average.

    Attributes:
        values_s: Each as likely as the others.
        mean_s: Their mean.
        calls: Attempts of a task, mean.
        failed: Share of tasks that get no answer.
    """

    values_s: Sequence[float]
    mean_s: float
    calls: float
    failed: float

    def scaled(self, factor: float) -> Held:
        """Return the same for tasks that take so many times as long."""
        values = self.values_s if factor == 1 else [value * factor for value in self.values_s]
        return msgspec.structs.replace(self, values_s=values, mean_s=self.mean_s * factor)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated: slots, the least time between two starts in seconds, and for how long tasks keep a slot."""

    slots: int
    gap_s: float
    held: Held


def held(blocks: Sequence[Block], conditions: Conditions, *, waits_hold: bool, seed: int) -> Held:
    """Return for how long tasks keep a slot, with failures and retries as the policy has them.

    Attempts are drawn apart from each other: whether one fails does not depend on how the last one ended.

    Args:
        blocks: What was measured.
        conditions: The retry policy, and the longest time of a task.
        waits_hold: Whether a task keeps its slot between attempts, as in a measurement; in profile `prod` it does not.
        seed: Of the draws.
    """
    around_s = math.fsum(block.around_s * len(block.tasks) for block in blocks) / sum(len(b.tasks) for b in blocks)
    calls = [call for block in blocks for task in block.tasks for call in task]
    if all(call.ok for call in calls):
        values = [call.duration_s + around_s for call in calls]
        return Held(values_s=values, mean_s=math.fsum(values) / len(values), calls=1.0, failed=0.0)
    rng = random.Random(seed)  # noqa: S311 - no secret
    tasks = [_one_task(calls, conditions, rng, waits_hold=waits_hold) for _ in range(_MADE)]
    values = [kept_s + around_s for kept_s, _, _ in tasks]
    return Held(
        values_s=values,
        mean_s=math.fsum(values) / _MADE,
        calls=sum(attempts for _, attempts, _ in tasks) / _MADE,
        failed=sum(not ok for _, _, ok in tasks) / _MADE,
    )


def _one_task(
    calls: Sequence[Call], conditions: Conditions, rng: random.Random, *, waits_hold: bool
) -> tuple[float, int, bool]:
    """Return for how long one task keeps its slot, its attempts, and whether it gets an answer."""
    kept_s = passed_s = 0.0
    made = 0
    while True:
        call = calls[int(rng.random() * len(calls))]
        made += 1
        kept_s += call.duration_s
        passed_s += call.duration_s
        if call.ok:
            return kept_s, made, True
        wait_s = next_wait(
            conditions.retry,
            failed=made,
            retryable=call.retryable,
            retry_after_s=call.retry_after_s,
            left_s=conditions.timeout_s - passed_s,
            draw=rng.random(),
        )
        if isinstance(wait_s, GiveUp):
            return kept_s, made, False
        passed_s += wait_s
        kept_s += wait_s if waits_hold else 0.0


def whole(setting: Setting, tasks: int, seed: int) -> float:
    """Return how long a workload takes, in seconds, with every task simulated."""
    slots = _Slots(setting, seed)
    slots.do(tasks)
    return slots.end_s


def shortened(setting: Setting, tasks: int, seed: int, *, sample: int = SAMPLE) -> float:
    """Return the same from the first tasks alone, where there are many.

    The instants at which slots are free add up to the times that tasks kept them and the times for which they stood
    idle. Without a gap none stands idle before the end, so that a task adds its mean time over the slots, exactly. With
    one it adds the pace of the sample's second half, when the slots are out of step. What the last tasks of a run take
    longer stays the same.

    Args:
        setting: What is simulated.
        tasks: Of the workload.
        seed: Of the draws.
        sample: Tasks that are simulated, unless the slots need more.
    """
    # Whole rounds: tasks of one length end in waves of all slots.
    half = math.ceil(max(sample // 2, _ROUNDS // 2 * setting.slots) / setting.slots) * setting.slots
    if tasks <= 2 * half:
        return whole(setting, tasks, seed)
    slots = _Slots(setting, seed)
    slots.do(half)
    middle_s = slots.mean_s
    slots.do(half)
    busy_s = setting.held.mean_s / setting.slots
    pace_s = (slots.mean_s - middle_s) / half if setting.gap_s > 0 else busy_s
    return slots.end_s + (tasks - 2 * half) * pace_s


class _Slots:
    """The slots of a run that is under way.

    Args:
        setting: What is simulated.
        seed: Of the draws.
    """

    def __init__(self, setting: Setting, seed: int) -> None:
        self._setting = setting
        self._free_s = [0.0] * setting.slots
        self._due_s = 0.0
        self._random = random.Random(seed)  # noqa: S311 - no secret

    @property
    def end_s(self) -> float:
        """When the last of the tasks so far ends."""
        return max(self._free_s)

    @property
    def mean_s(self) -> float:
        """When slots are free, on average."""
        return math.fsum(self._free_s) / len(self._free_s)

    def do(self, tasks: int) -> None:
        """Let so many more tasks begin."""
        for times_s in self._draws(tasks):
            if self._setting.gap_s > 0:
                self._due_s = _spaced(self._free_s, times_s, self._setting.gap_s, self._due_s)
            else:
                _unspaced(self._free_s, times_s)

    def _draws(self, tasks: int) -> Iterator[list[float]]:
        values_s = self._setting.held.values_s
        for begin in range(0, tasks, _DRAWN_AT_ONCE):
            yield self._random.choices(values_s, k=min(_DRAWN_AT_ONCE, tasks - begin))


def _unspaced(free_s: list[float], times_s: Iterable[float]) -> None:
    """Give each task in turn the slot that is free first."""
    for time_s in times_s:
        heapreplace(free_s, free_s[0] + time_s)


def _spaced(free_s: list[float], times_s: Iterable[float], gap_s: float, due_s: float) -> float:
    """Do the same with starts that are a gap apart at least; return when the next is due."""
    for time_s in times_s:
        start_s = free_s[0]
        if start_s < due_s:  # noqa: PLR1730 - a call of max() would take a seventh of the loop
            start_s = due_s
        due_s = start_s + gap_s
        heapreplace(free_s, start_s + time_s)
    return due_s
