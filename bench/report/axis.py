"""Axes that read well at any width: few ticks, no overlap, plain numbers, a unit on each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

#: Outside this range zeros become hard to count.
_PLAIN_FROM: Final = 1e-4
_PLAIN_BELOW: Final = 1e7

#: Beside a vertical axis numbers from here on are given in thousands.
_BRIEF_FROM: Final = 10_000

#: What a vertical axis takes to the left of its plot: name, labels of six characters, and the white between.
SCALE_PX: Final = 66.0

#: A tick needs about this much room beside the next, with its label.
_TICK_PX: Final = 50

#: More are not read.
_TICKS_AT_MOST: Final = 9

#: Values whose largest is this many times their smallest are shown on a logarithmic axis.
_LOG_FROM: Final = 50

#: The same for a vertical axis, where throughput that grows with N is a straight line on a logarithmic one.
_TALL_LOG_FROM: Final = 8

#: Up to this many decades, 2 and 5 are labelled as well.
_FINE_DECADES: Final = 2.2


def plain(value: float, _place: object = None) -> str:
    """Return a tick's label: no power of ten up to a million, thousands set apart."""
    if value and not _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        return f"{value:.0e}"
    return f"{value:,.10g}"


def horizontal(axes: Axes, low: float, high: float, label: str, width_px: float) -> None:
    """Set up a linear axis along the bottom from `low` to `high`."""
    axes.set_xlim(low, high)
    ticks = min(_TICKS_AT_MOST, max(2, int(width_px / _TICK_PX)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel(label)
    axes.tick_params(axis="x", length=0, pad=5)


def spread(axes: Axes, values: Sequence[float], label: str, width_px: float) -> None:
    """Set up an axis along the bottom for values of at least 0: from 0, or logarithmic where they differ by far."""
    positive = [value for value in values if value > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    if high / low < _LOG_FROM:
        horizontal(axes, 0, high * 1.04, label, width_px)
        return
    axes.set_xscale("log")
    axes.set_xlim(low / 1.15, high * 1.15)
    decades = math.log10(high / low)
    fits = max(2, int(width_px / _TICK_PX))
    subs: tuple[float, ...] = (1, 2, 5) if decades <= _FINE_DECADES and decades * 3 <= fits else (1,)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=fits))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel(f"{label}, logarithmic")
    axes.tick_params(axis="x", length=0, pad=5)


def doubling(axes: Axes, values: Sequence[int], label: str, width_px: float) -> None:
    """Set up a logarithmic axis along the bottom whose ticks are these whole numbers, as many as fit."""
    ordered = sorted(set(values))
    low, high = ordered[0], ordered[-1]
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / 1.25, high * 1.25)
    per_doubling_px = width_px / math.log2(1.5625 * high / low)
    kept: list[int] = []
    for value in ordered:
        # Numbers are at most 6 digits wide; two that stand closer would be drawn over each other.
        if not kept or math.log2(value / kept[-1]) * per_doubling_px >= 8 * len(f"{value:,}") + 8:
            kept.append(value)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel(label)
    axes.tick_params(axis="x", length=0, pad=5)


def vertical(axes: Axes, high: float, label: str, width_px: float, ticks: Sequence[float] = ()) -> None:
    """Set up a linear axis along the left from 0 to a little above `high`; it chooses ticks unless they are given."""
    axes.set_ylim(0, high * 1.08 or 1.0)
    axes.yaxis.set_major_locator(FixedLocator(ticks) if ticks else MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_brief))
    axes.set_ylabel(label, va="center")
    # At the left end of the room for the scale, whatever the width of the ticks' labels.
    axes.yaxis.set_label_coords(-(SCALE_PX - 9) / width_px, 0.5)
    axes.tick_params(axis="y", length=0, pad=5)
    axes.grid(visible=True, axis="y")


def tall(axes: Axes, values: Sequence[float], label: str, width_px: float) -> None:
    """Set up an axis along the left for values of at least 0: from 0, or logarithmic where they differ by far."""
    positive = [value for value in values if value > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    vertical(axes, high, label, width_px)
    if high / low < _TALL_LOG_FROM:
        return
    axes.set_yscale("log")
    axes.set_ylim(low / 1.3, high * 1.3)
    fine = math.log10(high / low) <= _FINE_DECADES
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if fine else (1,), numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_brief))
    axes.set_ylabel(f"{label}, logarithmic", va="center")


def _brief(value: float, _place: object = None) -> str:
    """Return a tick's label that is at most six characters long: `20k` for 20,000."""
    return f"{value / 1000:,.10g}k" if abs(value) >= _BRIEF_FROM else plain(value)
