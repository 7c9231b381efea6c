"""When the requests of an open loop are meant to be sent: offsets in seconds from its start, never going back.

They are instants and not gaps, so that a request sent late leaves the next one where it was.
"""

from __future__ import annotations

import math
from itertools import count, pairwise
from typing import TYPE_CHECKING

from bench.errors import WorkloadError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence


def constant(rate_per_s: float) -> Iterator[float]:
    """Return arrivals at equal distances without end, the first at 0.

    Args:
        rate_per_s: Arrivals a second, above 0.

    Raises:
        ValueError: A rate that is not a finite number above 0.
    """
    _check_rate(rate_per_s)
    # A quotient, not a sum of gaps: after a million arrivals a sum would be off by its rounding.
    return (number / rate_per_s for number in count())


def poisson(rate_per_s: float, rng: random.Random) -> Iterator[float]:
    """Return the arrivals of a Poisson process without end, the first after a gap like any other.

    Args:
        rate_per_s: Mean arrivals a second, above 0.
        rng: The source of chance, seeded by the caller and used by nobody else.

    Raises:
        ValueError: A rate that is not a finite number above 0.
    """
    _check_rate(rate_per_s)
    return _poisson(rate_per_s, rng)


def replay(times_s: Sequence[float]) -> Iterator[float]:
    """Return the arrivals of a trace, moved so that the first is at 0.

    Args:
        times_s: Instants in seconds on any clock, in order.

    Raises:
        ValueError: An instant that is not finite or lies before the one in front of it.
    """
    for number, (earlier, later) in enumerate(pairwise(times_s), start=2):
        if later < earlier:
            msg = f"arrivals come in order, got {later} as number {number} after {earlier}"
            raise ValueError(msg)
    if not all(math.isfinite(time_s) for time_s in times_s):
        raise ValueError("arrivals are finite numbers of seconds, got one that is not")
    return (time_s - times_s[0] for time_s in times_s)


def parse_trace(lines: Iterable[str], name: str = "the trace") -> tuple[float, ...]:
    """Read a trace: one instant in seconds a line, in order; blank lines and those that start with `#` do not count.

    Args:
        lines: The lines of the file.
        name: The file, for messages.

    Returns:
        The instants as they stand in the trace, at least one.

    Raises:
        WorkloadError: A line that is no number of seconds or goes back in time, or no line at all.
    """
    times_s: list[float] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        time_s = _seconds(text, f"{name}, line {number}")
        if times_s and time_s < times_s[-1]:
            raise WorkloadError(
                f"{name}, line {number}: {text} lies before the arrival in front of it, {times_s[-1]:g}",
                "sort the trace by time",
            )
        times_s.append(time_s)
    if not times_s:
        raise WorkloadError(f"{name} holds no arrival", "write one instant in seconds a line")
    return tuple(times_s)


def _poisson(rate_per_s: float, rng: random.Random) -> Iterator[float]:
    """Add exponential gaps up."""
    time_s = 0.0
    while True:
        time_s += rng.expovariate(rate_per_s)
        yield time_s


def _seconds(text: str, where: str) -> float:
    """Read one instant."""
    try:
        time_s = float(text)
    except ValueError:
        time_s = math.nan
    if not math.isfinite(time_s):
        raise WorkloadError(
            f"{where}: an arrival is a number of seconds, got {text[:80]!r}", "write one instant in seconds a line"
        )
    return time_s


def _check_rate(rate_per_s: float) -> None:
    """Refuse a rate at which nothing would ever arrive, or everything at once."""
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        msg = f"a rate is a finite number of arrivals a second above 0, got {rate_per_s}"
        raise ValueError(msg)
