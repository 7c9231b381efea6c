"""The answer in words, and what speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.tuning.asking import Ask
from bench.tuning.modes import propose_mode
from bench.tuning.records import Answer
from bench.tuning.search import Lost, propose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.tuning.modes import Choice
    from bench.tuning.records import Goal, Probe
    from bench.tuning.search import Found

#: Modes whose requests share one interpreter: it has one core.
_ONE_CORE: Final = frozenset({"serial", "asyncio", "threading"})

#: A client that keeps so much of its core busy, or a machine of all its cores, is what is measured.
_BUSY: Final = 0.8


def next_step(probes: Sequence[Probe], goal: Goal) -> Ask | Answer:
    """Return the next probe, or the answer: first the N, then the mode.

    Args:
        probes: All so far.
        goal: What is wanted.
    """
    step = propose(probes, goal)
    if isinstance(step, Lost):
        return _lost_answer(step)
    if isinstance(step, Ask):
        return step
    choice = propose_mode(probes, goal, step)
    return choice if isinstance(choice, Ask) else _found_answer(step, choice, probes, goal)


def _lost_answer(lost: Lost) -> Answer:
    """Return the answer of a search that found nothing."""
    point, curve = lost.point, lost.curve
    low, high = (None, None) if point is None or curve is None else point.goodput_interval(curve.spread)
    return Answer(
        outcome=lost.outcome,
        words=lost.words,
        concurrency=None if point is None else point.n,
        goodput_per_s=None if point is None else point.goodput_per_s,
        low_per_s=low,
        high_per_s=high,
        knee=None if curve is None else curve.knee,
    )


def _found_answer(found: Found, choice: Choice, probes: Sequence[Probe], goal: Goal) -> Answer:
    """Return the answer of a search that found an N; it is shown if a mode that does was told from the others."""
    point = found.point
    low, high = point.goodput_interval(found.curve.spread)
    shown = choice.cheapest is not None and choice.is_whole
    words = f"{point.n} in flight give {point.goodput_per_s:.4g} good requests a second"
    if goal.goodput_per_s is not None:
        words += f", and {goal.goodput_per_s:g} are wanted"
    else:
        words += ", the most there is"
    if found.above:
        words += f"; {found.above} do not"
    if choice.cheapest is None:
        words += "; no mode was found that does"
    elif not choice.is_whole:
        words += "; the budget ended before every mode was compared"
    return Answer(
        outcome="found" if shown else "not_shown",
        words=words,
        concurrency=point.n,
        above=found.above,
        goodput_per_s=point.goodput_per_s,
        low_per_s=low,
        high_per_s=high,
        knee=found.curve.knee,
        modes=choice.rows,
        mode=choice.cheapest,
        warnings=tuple(_warnings(probes, found)),
    )


def _warnings(probes: Sequence[Probe], found: Found) -> Iterator[str]:
    searched = probes[0].mode
    deciding = [probe for probe in probes if probe.mode == searched and probe.concurrency >= found.point.n]
    limited = next((p for p in deciding if searched in _ONE_CORE and (p.client_cores or 0.0) > _BUSY), None)
    if limited is not None:
        yield (
            f"the client ({limited.mode}, {limited.concurrency} in flight) kept {limited.client_cores:.0%} of a core "
            "busy: this limit is its own; with --client lean, or with hybrid first in --modes, there may be more"
        )
    busiest = max((probe.machine_busy or 0.0 for probe in deciding), default=0.0)
    if limited is None and busiest > _BUSY:
        yield f"this machine was {busiest:.0%} busy meanwhile: the limit may be its own, and not the endpoint's"
    if any(not probe.steady and probe.concurrency == found.point.n for probe in probes):
        yield f"a probe with {found.point.n} in flight had no steady part: its rates are those of single requests"
