"""How a choice would run: its slots, the pace that limits leave it, and for how long tasks keep a slot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from bench.planning.curve import BEYOND, Level, Untold, at, enough, told
from bench.planning.measured import Point, client_has_room, client_per_s, endpoint_points
from bench.planning.records import Bound, Choice
from bench.planning.simulate import Held, Setting, held
from bench.policy.pool import PoolSettings
from bench.policy.pool.rates import MINUTE_S
from bench.policy.statistics import SAMPLES_NEEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.planning.records import Limits, Wanted

#: Tasks below which the slowest that a run ends with are not known: as many as a 90th percentile takes.
_FEWEST_TASKS: Final = SAMPLES_NEEDED["p90"]

#: Answers that are longer or shorter than those measured by more than this take other times.
_OTHER_LENGTH: Final = 0.1

#: What profile prod counts a provider's minute as, so that calls which come closer together on the way keep to it.
_WINDOW_S: Final = MINUTE_S + PoolSettings(ceiling=1).jitter_s


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How a choice would run.

    Attributes:
        choice: The choice.
        own: The nearest point of its own mode and client.
        near: The point whose tasks stand for its tasks.
        levels: What the times at other N follow from.
        slots: Requests in flight over all machines, the provider's limit kept.
        growth: By how much tasks keep a slot longer than `held`; with the least and the most that is possible.
        gaps_s: The least time between two tasks that each limit leaves.
        held: For how long tasks of `near` keep a slot.
    """

    choice: Choice
    own: Point
    near: Point
    levels: tuple[Level, ...]
    slots: int
    growth: float
    growth_low: float
    growth_high: float
    gaps_s: dict[Bound, float]
    held: Held

    @property
    def room(self) -> Bound:
        """Whose number of requests in flight it is that may be under way: the provider's, or that of the slots."""
        return "in flight" if self.slots < self.choice.in_flight else "slots"

    @property
    def setting(self) -> Setting:
        """What is simulated."""
        return self.changed()

    def changed(
        self, *, slots: int | None = None, without: Bound | None = None, growth: float | None = None
    ) -> Setting:
        """Return what is simulated with other slots, without a limit of pace, or with other times of tasks."""
        gaps = [gap_s for bound, gap_s in self.gaps_s.items() if bound != without]
        return Setting(
            slots=self.slots if slots is None else slots,
            gap_s=max(gaps, default=0.0),
            held=self.held.scaled(self.growth if growth is None else growth),
        )


def levels_of(points: Sequence[Point]) -> tuple[Level, ...]:
    """Return for how long tasks keep a slot by N, in ascending order."""
    return tuple(Level(n=point.n, hold_s=point.hold_s) for point in sorted(points, key=lambda point: point.n))


def course(points: Sequence[Point], choice: Choice, wanted: Wanted) -> Course | Untold:
    """Work out how a choice would run, or say why the measurements do not tell.

    On one machine times are those of the mode and client. On several the endpoint sees the requests of all of them and
    does not care who asks: its times are those of whoever measured it at that number in all, and each client's own
    limit counts as often as there are machines.

    Args:
        points: What was measured.
        choice: The choice.
        wanted: What is to be done.
    """
    mine = [point for point in points if (point.conditions.mode, point.conditions.client) == _who(choice)]
    if not mine:
        return Untold(reason=f"{choice.mode} with client {choice.client} was not measured", settle_n=(choice.n,))
    own = min(mine, key=lambda point: abs(math.log(point.n / choice.n)))
    other = _other_length(own, wanted)
    if other is not None:
        return Untold(reason=other, settle_n=(own.n,))
    if wanted.limits.tokens_per_min is not None and tokens_of(own) is None:
        return Untold(reason=f"the tokens of a task were not counted at N = {own.n:,}", settle_n=(own.n,))
    most = max(point.n for point in mine)
    if choice.machines > 1 and choice.n > BEYOND * most:
        return Untold(
            reason=f"what one {choice.mode} client can do beyond {BEYOND:g} x N = {most:,} is not known",
            settle_n=(choice.n,),
        )
    return _course(mine if choice.machines == 1 else endpoint_points(points), own, choice, wanted)


def _course(used: Sequence[Point], own: Point, choice: Choice, wanted: Wanted) -> Course | Untold:
    levels = levels_of(used)
    known = levels_of([point for point in used if point.size >= _FEWEST_TASKS])
    waits_hold = not wanted.limits.is_any
    slots = min(choice.in_flight, wanted.limits.in_flight or choice.in_flight)
    gaps_s = _gaps_s(own, choice, wanted.limits, held(own.blocks, own.conditions, waits_hold=waits_hold, seed=0).calls)
    pace_s = max(gaps_s.values(), default=0.0)
    # Where a limit of pace holds, fewer requests are in flight than there are slots: no more than did that pace.
    paced = enough(known, 1 / pace_s, slots) if pace_s > 0 else None
    found = told(levels, slots if paced is None else paced.n)
    if isinstance(found, Untold):
        return found
    near = next(point for point in used if point.n == found.near)
    if near.size < _FEWEST_TASKS:
        return Untold(
            reason=f"N = {near.n:,} was measured with {near.size} tasks, and the slowest of a run take {_FEWEST_TASKS} "
            "to be known",
            settle_n=(near.n,),
        )
    tasks = held(near.blocks, near.conditions, waits_hold=True, seed=wanted.seed)
    return Course(
        choice=choice,
        own=own,
        near=near,
        levels=levels,
        slots=slots,
        growth=found.hold_s / tasks.mean_s,
        growth_low=found.low_s / tasks.mean_s,
        growth_high=found.high_s / tasks.mean_s,
        gaps_s=gaps_s,
        held=tasks if waits_hold else held(near.blocks, near.conditions, waits_hold=False, seed=wanted.seed),
    )


def _who(choice: Choice) -> tuple[str, str]:
    return choice.mode, choice.client


def _other_length(own: Point, wanted: Wanted) -> str | None:
    """Say that answers are to have another length than those that were measured, if so."""
    asked, known = wanted.answer_tokens, own.figure("completion_tokens")
    if asked is None or (known and abs(asked / known - 1) <= _OTHER_LENGTH):
        return None
    had = "an unknown number of" if known is None else f"{known:.4g}"
    return f"answers of {asked:g} tokens take other times than those that were measured, of {had} tokens"


def _gaps_s(own: Point, choice: Choice, limits: Limits, calls: float) -> dict[Bound, float]:
    """Return the least time between two tasks that each limit of pace leaves, in seconds."""
    gaps: dict[Bound, float] = {}
    if limits.requests_per_min is not None:
        gaps["requests per minute"] = calls * _WINDOW_S / limits.requests_per_min
    tokens = tokens_of(own)
    if limits.tokens_per_min is not None and tokens is not None:
        gaps["tokens per minute"] = tokens * _WINDOW_S / limits.tokens_per_min
    able_per_s = client_per_s(own)
    if choice.machines > 1 and able_per_s is not None:
        # On one machine the times of its tasks have it in them.
        gaps["client"] = 1 / (able_per_s * choice.machines)
    return gaps


def tokens_of(point: Point) -> float | None:
    """Return the tokens of a task, prompt and answer together; None where they were not counted."""
    parts = (point.figure("prompt_tokens"), point.figure("completion_tokens"))
    return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]


def relaxed(found: Course) -> dict[Bound, Setting]:
    """Return for each limit what would be simulated without it; for the slots, with twice as many.

    That tasks take longer at this N than at the smallest is the client's doing where it had no room left, and the
    endpoint's where it had.
    """
    settings: dict[Bound, Setting] = {bound: found.changed(without=bound) for bound in found.gaps_s}
    slots = found.choice.in_flight if found.room == "in flight" else 2 * found.slots
    then_s, now_s = (at(found.levels, n).hold_s for n in (slots, found.slots))
    settings[found.room] = found.changed(slots=slots, growth=found.growth * then_s / now_s)
    slowed: Bound = "endpoint" if client_has_room(found.near) else "client"
    alone = min(1.0, found.levels[0].hold_s / now_s)
    settings[slowed] = found.changed(without=slowed, growth=found.growth * alone)
    return settings
