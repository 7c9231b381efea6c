"""Numbers as text: three digits that matter, a unit, and `n/a` where nothing was measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bench.policy.statistics import SAMPLES_NEEDED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.policy.statistics import Distribution, Proportion

NOT_AVAILABLE: Final = "n/a"

#: Names of units of time, with how many make a second, largest first.
_UNITS: Final = (("s", 1.0), ("ms", 1e3), ("µs", 1e6))

#: Outside this range a power of ten reads better than its zeros.
_PLAIN_FROM: Final = 1e-6
_PLAIN_BELOW: Final = 1e12


#: What arithmetic leaves of 0, or takes from 1.
_ROUNDING: Final = 1e-9


def number(value: float | None) -> str:
    """Return a number with three digits that matter and thousands set apart; `n/a` for None."""
    if value is None:
        return NOT_AVAILABLE
    if value == 0:
        return "0"
    if not math.isfinite(value) or abs(value) >= _PLAIN_BELOW or abs(value) < _PLAIN_FROM:
        return f"{value:.3g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, places):,.{places}f}"


def fixed(value: float) -> str:
    """Return a number with three places, for columns of instants."""
    return f"{value:,.3f}"


def count(value: int) -> str:
    """Return a whole number with thousands set apart."""
    return f"{value:,}"


def of_things(value: int, thing: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{count(value)} {thing}" if value == 1 else f"{count(value)} {thing}s"


def percent(share: float | None) -> str:
    """Return a share as a percentage with one place; only the whole is `100 %`, only nothing `0 %`."""
    if share is None:
        return NOT_AVAILABLE
    if min(share, 1 - share) < _ROUNDING:
        return f"{round(share) * 100} %"
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def interval(share: Proportion) -> str:
    """Return a Wilson interval as `[86.2 %, 100 %]`, or `n/a`."""
    if share.low is None or share.high is None:
        return NOT_AVAILABLE
    return f"[{percent(share.low)}, {percent(share.high)}]"


def unit_for(values_s: Iterable[float | None]) -> tuple[str, float]:
    """Return the unit in which the largest of these times is at least 1, and how many of it make a second."""
    largest = max((abs(value) for value in values_s if value is not None), default=1.0)
    return next(((name, per_s) for name, per_s in _UNITS if largest * per_s >= 1), _UNITS[-1] if largest else _UNITS[0])


def seconds(value_s: float | None) -> str:
    """Return a time with the unit that suits it, as `1.23 s` or `405 ms`; `n/a` for None."""
    if value_s is None:
        return NOT_AVAILABLE
    name, per_s = unit_for([value_s])
    return f"{number(value_s * per_s)} {name}"


def in_unit(value_s: float | None, unit: str) -> str:
    """Return a time in a given unit (`s`, `ms`, `µs`) without naming it; `n/a` for None."""
    return NOT_AVAILABLE if value_s is None else number(value_s * dict(_UNITS)[unit])


def mebibytes(value_bytes: int | None) -> str:
    """Return an amount of memory in MiB."""
    return NOT_AVAILABLE if value_bytes is None else number(value_bytes / 2**20)


def why_no_percentile(name: str, values: Distribution) -> str:
    """Return why a percentile is missing: how many samples there are, and how many it needs."""
    return f"n = {count(values.n)}, needs {SAMPLES_NEEDED[name]}"
