"""Axes that read well at any width: few ticks, no overlap, plain numbers, a unit on each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

#: A tick needs about this much room beside the next, with its label.
_TICK_PX: Final = 50

#: Values whose largest is this many times their smallest are shown on a logarithmic axis.
_LOG_FROM: Final = 50

#: Up to this many decades, 2 and 5 are labelled as well.
_FINE_DECADES: Final = 2.2


def plain(value: float, _place: object = None) -> str:
    """Return a tick's label: no power of ten up to a million, thousands set apart."""
    if value and (abs(value) >= 1e7 or abs(value) < 1e-4):  # noqa: PLR2004 - where zeros become hard to count
        return f"{value:.0e}"
    return f"{value:,.10g}"


def horizontal(axes: Axes, low: float, high: float, label: str, width_px: float) -> None:
    """Set up a linear axis along the bottom from `low` to `high`."""
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, int(width_px / _TICK_PX)), steps=[1, 2, 2.5, 5, 10]))
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


def vertical(axes: Axes, high: float, label: str, *, whole: bool = False, ticks: int = 4) -> None:
    """Set up a linear axis along the left from 0 to a little above `high`."""
    axes.set_ylim(0, high * 1.08 or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=whole, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_ylabel(label)
    axes.tick_params(axis="y", length=0, pad=5)
    axes.grid(visible=True, axis="y")
