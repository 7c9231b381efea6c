"""What a plan is made from: for each mode, client and N the tasks of the steady part of the runs that measured it."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bench.policy.retry import RetryPolicy
from bench.records import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence


class Call(msgspec.Struct, frozen=True, gc=False):
    """One attempt: how long it took in seconds, whether it gave the answer, and if not, whether another one may."""

    duration_s: float
    ok: bool = True
    retryable: bool = False
    retry_after_s: float | None = None


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One run at one N, as far as its steady part goes; None is not measured.

    Attributes:
        run_id: The run.
        tasks: The attempts of each task that began in the steady part, in order.
        hold_s: For how long a task keeps its slot, waits between attempts and the way to the slot's next task included,
            mean in seconds.
        around_s: The part of it that is neither an attempt nor a wait.
        prompt_tokens: Of a task, mean.
        completion_tokens: Likewise.
        cpu_s: CPU time of the client for a task, over all its processes.
    """

    run_id: str
    tasks: tuple[tuple[Call, ...], ...]
    hold_s: float
    around_s: float
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    cpu_s: float | None = None


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """How runs were done that stand for one point: another value of one of these is another point.

    Attributes:
        mode: The concurrency model.
        client: Who sent the requests.
        n: Requests in flight at most.
        cores: Cores that this mode can keep busy on the machine that measured.
        retry: How failures are tried again.
        timeout_s: Longest time of a task.
    """

    mode: Mode
    client: str
    n: int
    cores: int = 1
    retry: RetryPolicy = RetryPolicy()
    timeout_s: float = 300.0


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one mode, client and N.

    Attributes:
        conditions: What they have in common.
        blocks: At least one.
        ceiling_per_s: Tasks a second of this client against a server that answers at once; None where it was not asked.
    """

    conditions: Conditions
    blocks: tuple[Block, ...]
    ceiling_per_s: float | None = None

    @property
    def n(self) -> int:
        """Requests in flight at most."""
        return self.conditions.n

    @property
    def hold_s(self) -> float:
        """For how long a task keeps its slot, mean in seconds: the median over blocks, one of which may be unlucky."""
        return statistics.median(block.hold_s for block in self.blocks)

    @property
    def rate_per_s(self) -> float:
        """Tasks a second that end, by Little's law: the slots over the time that each task keeps one."""
        return self.n / self.hold_s

    @property
    def size(self) -> int:
        """Tasks of all blocks."""
        return sum(len(block.tasks) for block in self.blocks)

    def figure(self, name: Literal["prompt_tokens", "completion_tokens", "cpu_s"]) -> float | None:
        """Return a figure of the blocks, their median; None where one of them lacks it."""
        values: list[float | None] = [getattr(block, name) for block in self.blocks]
        known = [value for value in values if value is not None]
        return statistics.median(known) if len(known) == len(values) else None

    def holds_s(self) -> tuple[float, ...]:
        """Return the blocks' times of a task; of a lone block those of ten parts of it, one after the other."""
        if len(self.blocks) > 1:
            return tuple(block.hold_s for block in self.blocks)
        (block,) = self.blocks
        calls_s = [math.fsum(call.duration_s for call in task) for task in block.tasks]
        edges = [len(calls_s) * place // _PARTS for place in range(_PARTS + 1)]
        parts = [calls_s[begin:end] for begin, end in pairwise(edges) if begin < end]
        beside_s = block.hold_s - statistics.fmean(calls_s)
        return tuple(beside_s + statistics.fmean(part) for part in parts)


#: Parts that a lone run is cut into, in time, to stand for runs.
_PARTS: Final = 10

#: A client that does so much of what it can, or uses so much of its cores, has no room. Whoever finds it busy that
#: often waits for it one and a half times as long as it works (M/M/1): what tasks take longer is its own doing.
_NO_ROOM: Final = 0.6


def client_per_s(point: Point) -> float | None:
    """Return how many tasks a second the client of a point can do on one machine; None where nothing tells.

    A server that answers at once tells it; without one the CPU time of a task does, which is the most there could be.
    """
    if point.ceiling_per_s:
        return point.ceiling_per_s
    cpu_s = point.figure("cpu_s")
    return point.conditions.cores / cpu_s if cpu_s else None


def client_has_room(point: Point) -> bool:
    """Tell whether the client could have done more than it did, so that the endpoint decided on the times."""
    by_cpu = point.figure("cpu_s")
    used = [
        point.rate_per_s / point.ceiling_per_s if point.ceiling_per_s else 0.0,
        point.rate_per_s * by_cpu / point.conditions.cores if by_cpu else 0.0,
    ]
    return max(used) < _NO_ROOM


def endpoint_points(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return for each N the point whose tasks were the quickest, of clients that had room: an endpoint's own times."""
    best: dict[int, Point] = {}
    for point in points:
        if client_has_room(point) and (point.n not in best or point.hold_s < best[point.n].hold_s):
            best[point.n] = point
    return tuple(best[n] for n in sorted(best))
