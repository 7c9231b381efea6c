"""Summary statistics as pure functions: percentiles with the samples they need, intervals, numbers in flight."""

from __future__ import annotations

import math
import operator
from array import array
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Samples that each percentile needs: 99 % confidence with one exceedance allowed (MLPerf LoadGen, early stopping).
SAMPLES_NEEDED: Final[dict[str, int]] = {"p50": 11, "p90": 64, "p95": 130, "p99": 662}

#: Numbers that are sorted at a time, and how many of a column tell where to part it.
_SORTED_AT_ONCE: Final = 1 << 18
_SAMPLE_SIZE: Final = 1000

#: The two-sided 95 % point of the normal distribution.
Z_95: Final = 1.959963984540054


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """A set of values in seconds; what the samples do not carry is None, and so is everything of an empty set.

    Attributes:
        n: Number of values.
        sd: Sample standard deviation; needs two values.
        p50: Median; needs 11 values, p90 64, p95 130, p99 662.
    """

    n: int
    mean: float | None = None
    sd: float | None = None
    min: float | None = None
    max: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class Proportion(msgspec.Struct, frozen=True, kw_only=True):
    """A share of n trials with its Wilson 95 % interval; None where there was no trial."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests were under way at once: the most, and the mean from first start to last end."""

    peak: int
    mean: float | None = None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the ordered values lie, interpolated linearly (Hyndman and Fan, type 7).

    Raises:
        ValueError: No values, or a share outside 0 to 1.
    """
    if not ordered or not 0 <= share <= 1:
        msg = f"a percentile needs values and a share between 0 and 1, got {len(ordered)} values and {share}"
        raise ValueError(msg)
    place = share * (len(ordered) - 1)
    low = int(place)
    if low == place:
        return ordered[low]
    return ordered[low] + (ordered[low + 1] - ordered[low]) * (place - low)


def ascending(values: Iterable[float]) -> array[float]:
    """Return numbers in ascending order; of a million, no more than a part stand as objects of Python's at a time.

    Python's own sort makes an object of each, four times the size of the number itself.
    """
    column = values if isinstance(values, array) else array("d", values)
    parts = len(column) // _SORTED_AT_ONCE + 1
    sample = sorted(column[:: len(column) // _SAMPLE_SIZE + 1]) if parts > 1 else []
    edges = sorted({sample[part * len(sample) // parts] for part in range(1, parts)})
    ordered, low = array("d"), -math.inf
    for edge in edges:
        ordered.extend(sorted([value for value in column if low < value < edge]))
        ordered.extend(array("d", (edge,)) * column.count(edge))
        low = edge
    ordered.extend(sorted([value for value in column if value > low] if edges else column))
    return ordered


def distribution(values: Iterable[float]) -> Distribution:
    """Describe values; a percentile is given only with the samples it needs."""
    ordered = ascending(values)
    n = len(ordered)
    if n == 0:
        return Distribution(n=0)
    mean = math.fsum(ordered) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (n - 1)) if n > 1 else None
    percentiles = {
        name: percentile(ordered, int(name[1:]) / 100) if n >= needed else None
        for name, needed in SAMPLES_NEEDED.items()
    }
    return Distribution(n=n, mean=mean, sd=sd, min=ordered[0], max=ordered[-1], **percentiles)


def wilson(successes: int, trials: int) -> Proportion:
    """Return the share of successes with its 95 % score interval (Wilson 1927)."""
    if trials == 0:
        return Proportion(n=0)
    share = successes / trials
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return Proportion(n=trials, value=share, low=max(0.0, middle - half), high=min(1.0, middle + half))


def in_flight(starts: Iterable[float], ends: Iterable[float]) -> InFlight:
    """Return the peak and the mean number of intervals open at once; an end at the instant of a start comes first."""
    begin, finish = ascending(starts), ascending(ends)
    if not begin:
        return InFlight(peak=0)
    peak = open_now = closed = 0
    for start in begin:
        while closed < len(finish) and finish[closed] <= start:
            closed += 1
            open_now -= 1
        open_now += 1
        peak = max(peak, open_now)
    window = finish[-1] - begin[0]
    return InFlight(peak=peak, mean=(math.fsum(finish) - math.fsum(begin)) / window if window > 0 else None)


def gaps_ns(instants_ns: Sequence[int]) -> list[int]:
    """Return the gaps between consecutive instants, ascending, in nanoseconds."""
    # Subtracted and sorted without a step of Python for each: an answer may have thousands.
    return sorted(map(operator.sub, instants_ns[1:], instants_ns))
