"""Intervals of time as pairs of instants."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def united(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the same time in as few intervals as cover it, in order; those that end before they begin are left out.

    Args:
        intervals: Beginning and end of each.
    """
    found: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if end < begin:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found
