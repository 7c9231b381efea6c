"""How far a figure may be the instrument's own doing, by metric: what a difference has to exceed to be one.

The instrument is what stands between the server and the figure, and beside the slots: the client that notices late, the
canaries, and the time in which slots keep records.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.experiment.records import Cell

#: Tasks a second: canaries and records take time in which tasks could have been done.
_RATES: Final = frozenset({"throughput", "goodput"})

#: Times from the server's doing to the client's noticing, with the figure that they are.
_TIMES: Final = {"latency_p50": "latency_p50_s", "ttft_p50": "ttft_p50_s", "cold": "cold_s"}


class InstrumentError(msgspec.Struct, frozen=True, kw_only=True):
    """An arm's share of error in one metric.

    Attributes:
        share: The error over what the figure would be without it; None where it was not measured, infinite where all
            of the figure may be error.
        words: What makes it, with its size.
    """

    share: float | None
    words: str = ""


def added_s(cells: Sequence[Cell]) -> float | None:
    """Return what the client adds to a first token: the median over cells, the larger of two ways to measure it.

    Null servers and stamps tell it of the requests themselves, canaries of a bystander; None where neither did.
    """
    told = ([cell.facts.calibration_error_s for cell in cells], [cell.facts.canary_error_s for cell in cells])
    medians = [_median(values) for values in told]
    return max((max(0.0, value) for value in medians if value is not None), default=None)


def instrument_error(metric: str, cells: Sequence[Cell], ceiling_per_s: float | None) -> InstrumentError:
    """Return the instrument's error in a metric of an arm.

    Args:
        metric: One of those that arms are compared in.
        cells: The arm's.
        ceiling_per_s: What the arm does against a server that answers at once; None where it was not asked.
    """
    if metric in _TIMES:
        return _of_time(_median([getattr(cell.figures, _TIMES[metric]) for cell in cells]), added_s(cells))
    if metric in _RATES:
        return _of_rate(cells, ceiling_per_s)
    if metric == "cpu_us_per_task":
        return _of_cpu(cells)
    # What the client adds is told by the server's clock, which is the client's: nothing stands between the two.
    return InstrumentError(share=0.0)


def _of_time(value_s: float | None, late_s: float | None) -> InstrumentError:
    """Return the error of a time that was noticed late."""
    if value_s is None or late_s is None:
        return InstrumentError(share=None)
    words = f"the client adds {late_s * 1e3:.3g} ms of {value_s * 1e3:.4g} ms"
    return InstrumentError(share=_over_the_rest(late_s / value_s), words=words)


def _of_rate(cells: Sequence[Cell], ceiling_per_s: float | None) -> InstrumentError:
    """Return the error of a rate: time of slots that no task was in, and what canaries take of what the arm can do.

    The ceiling itself is no error: how much a client can do is what clients are ranked by.
    """
    closed = [cell for cell in cells if cell.facts.load_model == "closed"]
    busy = _median([cell.facts.little_ratio for cell in closed])
    canaries_per_s = _median([cell.conditions.canaries_per_s for cell in cells]) or 0.0
    if (closed and busy is None) or (canaries_per_s and not ceiling_per_s):
        return InstrumentError(share=None)
    idle = 0.0 if busy is None else max(0.0, 1 - busy)
    taken = canaries_per_s / ceiling_per_s if ceiling_per_s else 0.0
    words = f"records took {idle:.1%} of the slots' time, canaries at most {taken:.1%} of the arm's ceiling"
    return InstrumentError(share=_over_the_rest(idle + taken), words=words)


def _of_cpu(cells: Sequence[Cell]) -> InstrumentError:
    """Return the error of the CPU time a task: a canary costs at most as much as a task, and is counted with them."""
    shares = [
        cell.conditions.canaries_per_s / cell.figures.throughput
        for cell in cells
        if cell.conditions.canaries_per_s is not None and cell.figures.throughput
    ]
    share = _median(shares) or 0.0
    return InstrumentError(share=share, words=f"{share:.3g} canaries a task are in it")


def _over_the_rest(share: float) -> float:
    """Return a share of the whole as one of what is left without it."""
    return share / (1 - share) if share < 1 else math.inf


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
