"""The next N to probe, or the smallest one that does: a decision on the probes made so far, and on nothing else.

N is doubled until throughput no longer rises with it or an objective breaks. Two lines through the probes then meet in
the knee, and the search closes in on it from both sides until the N that does and the next lower one that does not
are close together. Where the curve is soft, or breaks without levelling off, what is between them is halved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from bench.tuning.asking import Ask, afforded, left, requests_for, samples_for
from bench.tuning.curve import Curve
from bench.tuning.points import Point
from bench.tuning.records import Outcome
from bench.tuning.seen import SHARE_OF_MOST, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.records import Mode
    from bench.tuning.records import Goal, Probe

#: An N that does and one that does not, no further apart than this, are an answer.
_CLOSE: Final = 1.15

#: N for a wanted goodput is tried a little above where the line reaches it, so that one probe does.
_ABOVE_LINE: Final = 1.03

#: Half-widths of 95 % intervals of throughput, as shares: what the level is told to, and closing in.
_LEVEL: Final = 0.05
_CLOSING: Final = 0.06

#: Where the level of throughput is probed, in knees: above the corner, and no further than that takes.
_ON_LEVEL: Final = 1.3

#: A probe's own chance may send a search in circles; this many end it.
_MOST_PROBES: Final = 40


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest N that does.

    Attributes:
        point: What was seen at it.
        above: The largest N below it that does not; 0 where there is none.
        goal_per_s: The goodput that it reaches.
        curve: The lines through all probes.
    """

    point: Point
    above: int
    goal_per_s: float
    curve: Curve


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """There is none, or the budget ended before it was shown; `point` is the best that was seen."""

    outcome: Outcome
    words: str
    point: Point | None = None
    curve: Curve | None = None


def propose(probes: Sequence[Probe], goal: Goal) -> Ask | Found | Lost:
    """Return the next probe, or the answer.

    Args:
        probes: All so far, of any mode.
        goal: What is wanted.
    """
    seen = Seen(probes, goal)
    if not seen.probes:
        step: Ask | Found | Lost = seen.ask(fewest(goal.modes[0]), "growing", half_width=1, least=0)
    elif not seen.answered or not seen.within:
        return _nothing(seen)
    elif seen.failed is not None and seen.failed.purpose != "growing":
        return _lost(seen, "not_shown", f"{seen.failed.concurrency} in flight could not run: {seen.failed.error}")
    else:
        step = _grow(seen) or _edge(seen) or _level(seen) or _corner(seen) or _rise(seen) or _close(seen)
    if not isinstance(step, Ask):
        return step
    if len(seen.probes) >= _MOST_PROBES:
        return _lost(seen, "not_shown", f"no two of {_MOST_PROBES} probes are an answer{_so_far(seen)}")
    given = afforded(step, left(probes, goal, seen.reference))
    if given is None:
        sent = sum(probe.requests for probe in seen.probes)
        words = f"the budget ended after {sent} requests, before {step.concurrency} in flight could be probed"
        return _lost(seen, "not_shown", words + _so_far(seen))
    return given


def fewest(mode: Mode) -> int:
    """Return the fewest requests that a mode can have in flight."""
    return 2 if mode == "hybrid" else 1


def _nothing(seen: Seen) -> Lost:
    """Say that not even the fewest in flight do."""
    last = seen.probes[-1]
    if last.error is not None:
        return _lost(seen, "not_shown", f"with {last.concurrency} in flight it could not run: {last.error}")
    if not seen.answered:
        return _lost(seen, "unreachable", f"of {last.requests} requests none succeeded: {last.failure}")
    if last.is_refused:
        missed = f"{last.refused} of {last.attempted} requests were refused (429)"
    else:
        missed = "; ".join(f"{held.met} of {held.of} kept to {held.objective}" for held in last.held if not held.holds)
    return _lost(seen, "unreachable", f"the objectives are missed with {last.concurrency} in flight already: {missed}")


def _grow(seen: Seen) -> Ask | None:
    """Return the next doubling; None once throughput has levelled off, got worse, or does."""
    top = seen.points[-1]
    ended = seen.curve.capacity_per_s is not None or seen.is_worse(top) or seen.is_enough or seen.failed is not None
    if ended or seen.is_at_most or top.goodput_per_s <= 0:
        return None
    return seen.doubled(top)


def _edge(seen: Seen) -> Ask | None:
    """Return a probe between the last N that still rose and the first that got worse; None where none is needed."""
    if seen.best is None or seen.is_enough:
        return None
    knee = seen.curve.knee
    risen = seen.risen
    worse = min((point.n for point in seen.points if point.n > risen and seen.is_worse(point)), default=None)
    if worse is None or _are_close(risen, worse) or (knee is not None and risen >= SHARE_OF_MOST * knee):
        return None
    n = _inside(risen, worse, knee)
    return seen.ask(n, "edge", half_width=_CLOSING, least=n // 2)


def _level(seen: Seen) -> Ask | None:
    """Return a probe above the knee where the level of throughput is not told well enough yet."""
    curve = seen.curve
    if seen.goal.goodput_per_s is not None or curve.knee is None or any(p.purpose == "plateau" for p in seen.probes):
        return None
    lacking = samples_for(curve.spread, _LEVEL, least=0) - curve.capacity_samples
    if lacking <= 0:
        return None
    n = min(max(math.ceil(_ON_LEVEL * curve.knee), 2), seen.goal.max_concurrency)
    ask = seen.ask(n, "plateau", half_width=1, least=0)
    return msgspec.structs.replace(ask, requests=requests_for(n, lacking, curve.spread))


def _corner(seen: Seen) -> Ask | None:
    """Return a probe of the knee where none was near it: past it objectives may hide how much there is."""
    knee = seen.curve.knee
    if knee is None or seen.is_enough or any(SHARE_OF_MOST * knee <= p.n <= _CLOSE * knee for p in seen.points):
        return None
    n = min(max(round(knee), 1), seen.goal.max_concurrency)
    if any(point.n == n for point in seen.points):
        return None
    return seen.ask(n, "closing", half_width=_CLOSING, least=n // 2)


def _rise(seen: Seen) -> Ask | None:
    """Return the next doubling where more in flight surely did better past the knee: the curve is soft there."""
    top, knee = seen.points[-1], seen.curve.knee
    if seen.goal.goodput_per_s is not None or knee is None or seen.is_at_most or seen.is_worse(top):
        return None
    before = [point for point in seen.within if SHARE_OF_MOST * knee <= point.n <= top.n / _CLOSE]
    if not before or SHARE_OF_MOST * seen.low(top) <= before[-1].goodput_per_s:
        return None
    return seen.doubled(top)


def _close(seen: Seen) -> Ask | Found | Lost:
    """Close in on the smallest N that does."""
    enough = seen.enough
    if enough is None:
        return _out_of_reach(seen)
    if seen.goal.goodput_per_s is None and seen.curve.knee is None and not _has_edge(seen):
        return _lost(seen, "not_shown", _rising_words(seen))
    above = max((point.n for point in seen.points if point.n < enough.n), default=0)
    if _are_close(above, enough.n):
        if enough is seen.points[-1] and seen.goal.goodput_per_s is None:
            # Nothing shows yet that more in flight would not do better.
            return _lost(seen, "not_shown", _rising_words(seen)) if seen.is_at_most else seen.doubled(enough)
        return Found(point=enough, above=above, goal_per_s=seen.wanted_per_s, curve=seen.curve)
    n = _inside(above, enough.n, _expected(seen))
    return seen.ask(n, "closing", half_width=_CLOSING, least=n // 2)


def _expected(seen: Seen) -> float | None:
    """Return where the lines say that the goal is reached."""
    wanted = seen.goal.goodput_per_s
    if wanted is None:
        return seen.curve.knee
    first = seen.within[0]
    return _ABOVE_LINE * wanted * seen.curve.cycle_s / first.good_share if first.good_share else None


def _has_edge(seen: Seen) -> bool:
    """Tell whether more in flight was seen to do worse."""
    return seen.failed is None and any(seen.is_worse(point) for point in seen.points)


def _are_close(low: int, high: int) -> bool:
    return high - low <= 1 or high <= _CLOSE * low


def _inside(low: int, high: int, expected: float | None) -> int:
    """Return an N between two others: where it is expected, or just below the higher one if that is near, or half."""
    if expected is not None and low < expected < _CLOSE * high:
        just_below = min(math.ceil(high / _CLOSE), high - 1)
        n = round(expected) if expected < high / _CLOSE else just_below
        if low < n < high:
            return n
    return min(max(round(math.sqrt(max(low, 1) * high)), low + 1), high - 1)


def _out_of_reach(seen: Seen) -> Lost:
    """Say that the wanted goodput is not reached with any N."""
    best = seen.best
    wanted = seen.goal.goodput_per_s
    if best is None or best.goodput_per_s <= 0 or wanted is None:
        return _lost(seen, "unreachable", f"with {seen.points[0].n} in flight no request met the objectives")
    words = f"the most there is are {best.goodput_per_s:.4g}, with {best.n} in flight"
    if seen.failed is not None:
        words += f"; {seen.failed.concurrency} in flight could not run: {seen.failed.error}"
    elif seen.is_at_most and seen.curve.knee is None:
        words += ", and no more may be (--max-concurrency)"
    return _lost(seen, "unreachable", f"{wanted:g} good requests a second are not to be had: {words}")


def _rising_words(seen: Seen) -> str:
    top = seen.points[-1]
    if seen.failed is not None:
        why = f"{seen.failed.concurrency} could not run: {seen.failed.error}"
    else:
        why = "more were not allowed (--max-concurrency)"
    return f"goodput still rises with {top.n} in flight, and {why}"


def _so_far(seen: Seen) -> str:
    best = seen.enough or seen.best
    return "" if best is None else f"; the best so far is {best.goodput_per_s:.4g} a second with {best.n} in flight"


def _lost(seen: Seen, outcome: Outcome, words: str) -> Lost:
    return Lost(outcome=outcome, words=words, point=seen.best, curve=seen.curve if seen.answered else None)
