"""Two arms compared block by block: the ratio of a to b with its interval, and what a family of comparisons costs.

The unit of replication is the block, one figure an arm, and not the request: requests of one run share its luck.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import msgspec

from bench.policy.student import student_t_quantile, two_sided_p

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A spread or an interval needs two blocks.
_FEWEST: Final = 2

#: A little below the logarithm of the largest number, and of one over the smallest.
_LARGEST_LOG: Final = 700.0

#: No experiment has more blocks than this: a larger answer of `blocks_needed` is none.
MOST_BLOCKS: Final = 10_000


class PairedRatio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times b's figure is a's: the geometric mean of a/b over blocks.

    Attributes:
        ratio: None without any block.
        low: Lower end of the interval at `confidence`; like `high`, `p_value` and `sd_log` None below two blocks.
        high: Upper end.
        n: Blocks.
        p_value: Two-sided, of the ratio being 1.
        sd_log: Standard deviation over blocks of the logarithm of the ratio.
        confidence: Of the interval, 0.95 for 95 %.
    """

    ratio: float | None
    low: float | None
    high: float | None
    n: int
    p_value: float | None
    sd_log: float | None
    confidence: float


def paired_ratio(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> PairedRatio:
    """Return the ratio of a to b from paired log-ratios, with its t interval (n - 1 degrees of freedom).

    Where all blocks have the same ratio the interval has no width, and the p value is 0, or 1 for a ratio of 1.

    Args:
        a: One arm's figure by block.
        b: The other arm's, of the same blocks in the same order.
        confidence: Of the interval, above 0 and below 1.

    Raises:
        ValueError: Sequences of unequal length, or a figure that is not a finite number above 0; it names the block.
    """
    if len(a) != len(b):
        msg = f"a paired ratio needs as many blocks of one arm as of the other, got {len(a)} and {len(b)}"
        raise ValueError(msg)
    for block, pair in enumerate(zip(a, b, strict=True), start=1):
        if not all(math.isfinite(value) and value > 0 for value in pair):
            msg = f"a ratio needs finite figures above 0, got {pair[0]} and {pair[1]} in block {block}"
            raise ValueError(msg)
    logs = [math.log(mine) - math.log(theirs) for mine, theirs in zip(a, b, strict=True)]
    n = len(logs)
    mean = math.fsum(logs) / n if n else None
    ratio = None if mean is None else _exp(mean)
    if mean is None or n < _FEWEST:
        return PairedRatio(ratio=ratio, low=None, high=None, n=n, p_value=None, sd_log=None, confidence=confidence)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in logs) / (n - 1))
    error = sd / math.sqrt(n)
    half = student_t_quantile((1 + confidence) / 2, n - 1) * error
    return PairedRatio(
        ratio=ratio,
        low=_exp(mean - half),
        high=_exp(mean + half),
        n=n,
        p_value=two_sided_p(mean / error, n - 1) if error > 0 else float(mean == 0),
        sd_log=sd,
        confidence=confidence,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values of a family of tests adjusted after Holm (1979), in the order given.

    Refusing the hypotheses whose adjusted value is below 5 % errs in no more than 5 % of families.

    Raises:
        ValueError: A p value outside 0 to 1.
    """
    _check_probabilities(p_values)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(_ascending(p_values)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def holm_confidences(p_values: Sequence[float], confidence: float = 0.95) -> list[float]:
    """Return for each test of a family the confidence at which its interval tells what Holm's adjustment tells.

    A verdict shows an interval, and a 95 % interval may exclude 1 where the adjusted p value refuses the difference:
    the reader would see a contradiction. So each interval is widened to the level that its step of Holm's procedure
    tests at: all steps after the first that finds nothing are held at that one's level. Then an interval excludes 1
    exactly where the adjusted p value is below 1 - confidence.

    Raises:
        ValueError: A p value outside 0 to 1.
    """
    _check_probabilities(p_values)
    levels = [confidence] * len(p_values)
    found, finding = 0, True
    for place in _ascending(p_values):
        alpha = (1 - confidence) / (len(p_values) - found)
        levels[place] = 1 - alpha
        finding = finding and p_values[place] < alpha
        # The last step tests at 1 - confidence, and there is none after it.
        found += finding and found < len(p_values) - 1
    return levels


def blocks_needed(sd_log: float, half_width_log: float, confidence: float = 0.95) -> int | None:
    """Return the fewest blocks (at least 2) whose interval has at most this half-width, or None above `MOST_BLOCKS`.

    Args:
        sd_log: Standard deviation over blocks of the log-ratio, as seen so far.
        half_width_log: Half the width of the interval wanted, in logarithms: ln 1.05 for 5 %.
        confidence: Of the interval.

    Raises:
        ValueError: A spread below 0, or a width that is not above 0.
    """
    if not (sd_log >= 0 and half_width_log > 0):
        msg = f"blocks are reckoned from a spread of at least 0 and a width above 0, got {sd_log} and {half_width_log}"
        raise ValueError(msg)

    share = (1 + confidence) / 2
    # A normal distribution takes fewer blocks than any t, and at most a handful fewer than the right one.
    fewest = (NormalDist().inv_cdf(share) * sd_log / half_width_log) ** 2
    if fewest > MOST_BLOCKS:
        return None
    blocks = max(_FEWEST, math.ceil(fewest))
    while student_t_quantile(share, blocks - 1) * sd_log > half_width_log * math.sqrt(blocks):
        blocks += 1
    return blocks if blocks <= MOST_BLOCKS else None


def times(value: float | None) -> str:
    """Write a ratio with two decimals, or with as many as tell it from 1; `n/a` for None."""
    if value is None:
        return "n/a"
    for decimals in (2, 3, 4):
        text = f"{value:.{decimals}f}"
        if float(text) not in {0.0, 1.0} or value == 1:
            return text
    return f"{value:.3g}"


def _exp(log_value: float) -> float:
    """Return the exponential, held within what a number can: two blocks that disagree have an interval beyond it."""
    return math.exp(max(-_LARGEST_LOG, min(log_value, _LARGEST_LOG)))


def _ascending(values: Sequence[float]) -> list[int]:
    """Return the places of the values, smallest first; equal ones in the order given."""
    return sorted(range(len(values)), key=lambda place: values[place])


def _check_probabilities(p_values: Sequence[float]) -> None:
    """Refuse p values outside 0 to 1."""
    for value in p_values:
        if not 0 <= value <= 1:
            msg = f"a p value lies between 0 and 1, got {value}"
            raise ValueError(msg)
