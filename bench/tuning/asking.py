"""What a probe is to be: how many in flight, and with how many requests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from bench.records import Mode
from bench.tuning.records import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.tuning.records import Goal, Probe

#: A steady part begins when each slot has had an answer and ends when the first has nothing left to do: of N requests
#: each falls to warming up and running out, and more the more the times of two slots differ. A uniform spread reaches
#: 3.5 of its standard deviations from its shortest to its longest.
_EDGES: Final = 2.0
_EDGE_SPREADS: Final = 3.5

#: Fewer requests in the steady part tell nothing.
FEWEST: Final = 6

#: The most that one probe's steady part takes, unless it has that many slots.
_MOST: Final = 150

#: A 95 % interval has so many standard errors on each side.
_ERRORS: Final = 2.0

#: What a search may send, unless told otherwise: so many requests, and so many for each in flight that it finds.
_BUDGET_BASE: Final = 500
_BUDGET_EACH: Final = 25


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A probe to be made: `requests` with `concurrency` in flight."""

    mode: Mode
    concurrency: int
    requests: int
    purpose: Purpose


def requests_for(n: int, samples: int, spread: float) -> int:
    """Return how many requests a probe takes for so many in its steady part.

    Args:
        n: Requests in flight.
        samples: In the steady part.
        spread: Standard deviation of what a request takes, over its mean.
    """
    return math.ceil(n * (_EDGES + _EDGE_SPREADS * spread)) + samples


def samples_for(spread: float, half_width: float, *, least: int) -> int:
    """Return how many requests tell throughput to within a share of it, at 95 %.

    Args:
        spread: Standard deviation of what a request takes, over its mean.
        half_width: Of the interval, as a share.
        least: Never fewer.
    """
    least = max(least, FEWEST)
    return min(max(math.ceil((_ERRORS * spread / half_width) ** 2), least), max(_MOST, least))


def left(probes: Iterable[Probe], goal: Goal, reference: float) -> int:
    """Return how many requests may still be sent.

    Args:
        probes: All so far.
        goal: What is wanted.
        reference: The N that is known to be worth while so far.
    """
    budget = goal.budget if goal.budget is not None else _BUDGET_BASE + math.floor(_BUDGET_EACH * reference)
    return budget - sum(probe.requests for probe in probes)


def afforded(ask: Ask, budget: int) -> Ask | None:
    """Return a probe cut down to a budget; None where what is left tells nothing."""
    if ask.requests <= budget:
        return ask
    least = requests_for(ask.concurrency, FEWEST, 0)
    return msgspec.structs.replace(ask, requests=budget) if budget >= least else None
