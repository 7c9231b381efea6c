"""Which mode is the cheapest at the N that was found: what each costs the client, of those that keep up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.records import Mode
from bench.tuning.asking import Ask, afforded, left, requests_for, samples_for
from bench.tuning.points import merged
from bench.tuning.records import ModeRow
from bench.tuning.search import fewest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.tuning.records import Goal, Probe
    from bench.tuning.search import Found

#: Half-width of the 95 % interval of a mode's throughput, as a share: whether it keeps up, not how well.
_KEEPS_UP: Final = 0.15

#: Costs this close to the least are the same, as far as short probes tell.
_SAME_COST: Final = 1.1


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each mode, and the cheapest one; None if none does."""

    rows: tuple[ModeRow, ...]
    cheapest: Mode | None

    @property
    def is_whole(self) -> bool:
        """Whether every mode was compared."""
        return all(row.standing != "not_compared" for row in self.rows)


def possible_modes(modes: Sequence[Mode], n: int) -> list[Mode]:
    """Return the modes that can have n requests in flight."""
    return [mode for mode in modes if n >= fewest(mode) and (n == 1 or mode != "serial")]


def propose_mode(probes: Sequence[Probe], goal: Goal, found: Found) -> Ask | Choice:
    """Return the probe of the next mode, or the choice.

    The modes get equal shares of what is left of the budget, and no more than shows that they keep up.

    Args:
        probes: All so far.
        goal: What is wanted.
        found: The N that does.
    """
    n = found.point.n
    at_n = {probe.mode: probe for probe in probes if probe.concurrency == n}
    modes = possible_modes(goal.modes, n)
    missing = [mode for mode in modes if mode not in at_n]
    if missing:
        spread = found.curve.spread
        requests = requests_for(n, samples_for(spread, _KEEPS_UP, least=0), spread)
        ask = Ask(mode=missing[0], concurrency=n, requests=requests, purpose="mode")
        given = afforded(ask, left(probes, goal, n) // len(missing))
        if given is not None:
            return given
    rows = [_row(mode, at_n.get(mode), found) for mode in modes]
    cheapest = _cheapest([at_n[row.mode] for row in rows if row.standing == "dearer"])
    return Choice(
        rows=tuple(msgspec.structs.replace(row, standing="cheapest") if row.mode == cheapest else row for row in rows),
        cheapest=cheapest,
    )


def _row(mode: Mode, probe: Probe | None, found: Found) -> ModeRow:
    """Return what a mode's probe says: those that do are `dearer` until one of them is the cheapest."""
    if probe is None:
        return ModeRow(mode=mode, standing="not_compared", words="the budget ended before it")
    if probe.error is not None:
        return ModeRow(mode=mode, standing="did_not_run", words=probe.error)
    if not probe.is_within:
        missed = [held.objective for held in probe.held if not held.holds] or ["refused by the provider (429)"]
        return ModeRow(mode=mode, standing="objectives_missed", words=", ".join(missed))
    points = merged([probe])
    high = points[0].goodput_interval(found.curve.spread)[1] if points else 0.0
    rate = f"{probe.goodput_per_s:.4g} good requests a second"
    if high < found.goal_per_s:
        return ModeRow(mode=mode, standing="too_slow", words=f"{rate}, and it takes {found.goal_per_s:.4g}")
    cost = (
        "its CPU time is not known" if probe.cpu_us_per_task is None else f"{probe.cpu_us_per_task:,.0f} us CPU a task"
    )
    memory = "" if probe.peak_pss_mb is None else f", {probe.peak_pss_mb:,.0f} MB"
    return ModeRow(mode=mode, standing="dearer", words=f"{rate}, {cost}{memory}")


def _cheapest(probes: Sequence[Probe]) -> Mode | None:
    """Return the mode with the least CPU time a task; of several alike the least memory, and then the first named."""
    by_cpu = _least(probes, lambda probe: probe.cpu_us_per_task)
    by_memory = _least(by_cpu, lambda probe: probe.peak_pss_mb)
    return by_memory[0].mode if by_memory else None


def _least(probes: Sequence[Probe], cost: Callable[[Probe], float | None]) -> list[Probe]:
    """Return the probes that cost about the least; all of them where no cost is known."""
    known = [(probe, value) for probe in probes if (value := cost(probe)) is not None]
    bound = _SAME_COST * min((value for _, value in known), default=0.0)
    return [probe for probe, value in known if value <= bound] or list(probes)
