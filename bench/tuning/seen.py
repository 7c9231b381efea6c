"""What the probes of the mode that is searched with say, seen with a goal in mind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.tuning.asking import Ask, requests_for, samples_for
from bench.tuning.curve import Curve, fit
from bench.tuning.points import merged, weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.tuning.points import Point
    from bench.tuning.records import Goal, Probe, Purpose

#: Goodput at the knee: this share of the most there is, as the knee of `compare` has it.
SHARE_OF_MOST: Final = 0.95

#: A wanted goodput is reached within 2 %: two probes of one N differ by as much.
_REACHED: Final = 0.98

#: Half-width of the 95 % interval that tells whether throughput doubled or not.
_GROWING: Final = 0.2


class Seen:
    """The probes so far, as points, as a curve, and against the goal.

    Attributes:
        goal: What is wanted.
        probes: Those of the first mode.
        points: What they say of each N, in ascending order.
        within: The points that keep every objective on a percentile and reach no limit of the provider.
        answered: Whether any request succeeded.
        curve: The lines through the points; of no use where nothing was answered.
        best: The point with the most goodput that is sure.
        failed: A probe that could not run.
    """

    def __init__(self, probes: Sequence[Probe], goal: Goal) -> None:
        self.goal = goal
        self.probes = [probe for probe in probes if probe.mode == goal.modes[0]]
        self.points = merged(self.probes)
        self.within = [point for point in self.points if point.is_within]
        found = fit(self.points)
        self.answered = found is not None
        self.curve = found or Curve(cycle_s=0, spread=0)
        self.best = max(self.within, key=self.low, default=None)
        self.failed = next((probe for probe in self.probes if probe.error is not None), None)

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Seen {len(self.probes)} probes, best {self.best}>"

    @property
    def most_per_s(self) -> float:
        """The most goodput there is: the mean from the knee on, as far as it is not worse; without a knee the best."""
        if self.best is None:
            return 0.0
        least = math.inf if self.curve.knee is None else SHARE_OF_MOST * self.curve.knee
        alike = [point for point in self.within if point.n >= least and not self.is_worse(point)]
        return weighted([(point.goodput_per_s, point.samples) for point in alike or [self.best]])

    @property
    def wanted_per_s(self) -> float:
        """The goodput that does."""
        if self.goal.goodput_per_s is not None:
            return _REACHED * self.goal.goodput_per_s
        return SHARE_OF_MOST * self.most_per_s

    @property
    def enough(self) -> Point | None:
        """The smallest N that does."""
        wanted = self.wanted_per_s
        return next((point for point in self.within if point.goodput_per_s >= wanted > 0), None)

    @property
    def is_enough(self) -> bool:
        """Whether the goodput that is wanted was reached; never where the most is wanted."""
        return self.goal.goodput_per_s is not None and self.enough is not None

    @property
    def risen(self) -> int:
        """The largest N that did not do worse than one below it."""
        return max((point.n for point in self.within if not self.is_worse(point)), default=1)

    @property
    def reference(self) -> float:
        """The N that is known to be worth while: the knee, or as far as goodput has risen."""
        return self.risen if self.curve.knee is None else min(self.curve.knee, self.risen)

    @property
    def is_at_most(self) -> bool:
        """Whether as many in flight were probed as may be."""
        return self.points[-1].n >= self.goal.max_concurrency

    def low(self, point: Point) -> float:
        """Return the lower end of a point's interval of goodput."""
        return point.goodput_interval(self.curve.spread)[0]

    def is_worse(self, point: Point) -> bool:
        """Whether a point breaks a limit, or surely does worse than one with fewer in flight."""
        high = point.goodput_interval(self.curve.spread)[1]
        return not point.is_within or any(self.low(other) > high for other in self.within if other.n < point.n)

    def doubled(self, point: Point) -> Ask:
        """Return a short probe of twice as many in flight, as far as they may be."""
        n = min(2 * point.n, self.goal.max_concurrency)
        return self.ask(n, "growing", half_width=_GROWING, least=n)

    def ask(self, n: int, purpose: Purpose, *, half_width: float, least: int) -> Ask:
        """Return a probe as long as its interval asks for.

        Args:
            n: Requests in flight.
            purpose: What it is for.
            half_width: Of the 95 % interval of throughput, as a share of it.
            least: Requests in the steady part, at least.
        """
        spread = self.curve.spread
        samples = samples_for(spread, half_width, least=least)
        requests = requests_for(n, samples, spread)
        return Ask(mode=self.goal.modes[0], concurrency=n, requests=requests, purpose=purpose)
