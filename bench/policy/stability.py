"""What is odd about one arm's figures over its blocks, though each of them may be right."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from bench.policy.student import two_sided_p

if TYPE_CHECKING:
    from collections.abc import Sequence

#: pyperf's bounds: a spread of a tenth of the mean, an end half of the mean away from it, a unit under a millisecond.
_SPREAD: Final = 0.1
_FAR: Final = 0.5
_SHORTEST_S: Final = 0.001

#: hyperfine's bound for an outlier, far above the usual 3.5: benchmarks have long tails without being wrong.
_OUTLIER: Final = 14.8

#: Makes the median deviation of normal values their standard deviation (Iglewicz and Hoaglin 1993).
_MODIFIED: Final = 0.6745

#: A level is the mean of so many values; fewer would make a level of one bad block.
_LEVEL: Final = 3

#: A step where there is none, in one of a hundred series at most, ..
_STEP_P: Final = 0.01

#: A spread needs two values, an outlier others to stand out from.
_FEWEST: Final = 2
_FEWEST_FOR_OUTLIER: Final = 3


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A series that has two levels, one after the other.

    Attributes:
        place: Of the first value of the second level, from 0.
        ratio: The second level over the first.
        p_value: Of the two being one, adjusted for all places at which the step could have been.
    """

    place: int
    ratio: float
    p_value: float


def level_step(values: Sequence[float], *, least: float = _SPREAD) -> Step | None:
    """Return the place at which a series goes to another level and stays there; None where it does not.

    The series is split where the two parts' means of logarithms are furthest apart for their spread (a two-sample t,
    Bonferroni over the places). Each part has three values or more, so that one bad value is no level.

    Args:
        values: In order of time.
        least: The smallest change that counts, 0.1 for a tenth.
    """
    places = range(_LEVEL, len(values) - _LEVEL + 1)
    if not places or not all(math.isfinite(value) and value > 0 for value in values):
        return None
    logs = [math.log(value) for value in values]
    found = min((_split(logs, place) for place in places), key=lambda step: step.p_value)
    p_value = min(1.0, found.p_value * len(places))
    if p_value >= _STEP_P or abs(math.log(found.ratio)) < math.log1p(least):
        return None
    return msgspec.structs.replace(found, p_value=p_value)


def _split(logs: Sequence[float], place: int) -> Step:
    """Return the step at one place, its p value not yet adjusted."""
    parts = (logs[:place], logs[place:])
    means = [math.fsum(part) / len(part) for part in parts]
    left = math.fsum((value - mean) ** 2 for part, mean in zip(parts, means, strict=True) for value in part)
    freedom = len(logs) - 2
    error = math.sqrt(left / freedom * (1 / place + 1 / (len(logs) - place)))
    change = means[1] - means[0]
    p_value = two_sided_p(change / error, freedom) if error > 0 else float(change == 0)
    return Step(place=place, ratio=math.exp(change), p_value=p_value)


def stability_warnings(
    values_by_block: Sequence[float], *, shortest_s: float | None = None, failures: int = 0
) -> tuple[str, ...]:
    """Return what to look at before these figures are believed, a sentence each.

    Args:
        values_by_block: One figure a block, in the order in which the blocks ran.
        shortest_s: The shortest duration that was timed; None if no duration stands behind the figures.
        failures: Tasks that failed, over all blocks.
    """
    warnings = [*_spread(values_by_block)]
    if _first_is_outlier(values_by_block):
        warnings.append(
            f"the first block ({values_by_block[0]:.4g}) is an outlier among {len(values_by_block)}: "
            "something was still warming up"
        )
    step = level_step(values_by_block)
    if step is not None:
        warnings.append(
            f"from block {step.place + 1} on the figure is {step.ratio:.3g} times what it was: a step, and no spread"
        )
    if shortest_s is not None and shortest_s < _SHORTEST_S:
        warnings.append(f"the shortest time is {shortest_s * 1e3:.3g} ms: below 1 ms the clock's own cost shows")
    if failures:
        warnings.append(f"{failures} tasks failed")
    return tuple(warnings)


def _spread(values: Sequence[float]) -> list[str]:
    """Compare spread and ends with the mean."""
    mean = math.fsum(values) / len(values) if values else 0.0
    if len(values) < _FEWEST or mean == 0:
        return []
    warnings = []
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    if sd >= _SPREAD * abs(mean):
        warnings.append(f"blocks spread by {sd / abs(mean):.0%} of their mean (standard deviation), 10 % or more")
    for name, value in (("lowest", min(values)), ("highest", max(values))):
        if abs(value - mean) >= _FAR * abs(mean):
            warnings.append(
                f"the {name} block ({value:.4g}) lies {abs(value / mean - 1):.0%} off the mean of {mean:.4g}"
            )
    return warnings


def _first_is_outlier(values: Sequence[float]) -> bool:
    """Tell whether the first block stands far from the others."""
    if len(values) < _FEWEST_FOR_OUTLIER:
        return False
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    return _MODIFIED * abs(values[0] - middle) > _OUTLIER * deviation
