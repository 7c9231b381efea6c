"""The options of `tune`: those of a run that its probes share, and its own."""

from __future__ import annotations

from typing import Final

from bench.cli.options import REAL_WORK, Option, run_options
from bench.records import Mode

#: What is searched for, or what makes no sense for short probes in a closed loop.
_NOT_SHARED: Final = frozenset(
    {
        "mode",
        "concurrency",
        "scheduler",
        "processes",
        "output",
        "log_file",
        "log_level",
        "iterations",
        "versions",
        "report",
    }
    | {"rate", "arrival", "arrival_times", "max_wait", "chunk_times", "stop_on_overload", "max_failures", "canary"}
    | {"trace", "trace_sample", "trace_to"}
    | REAL_WORK
)

_GROUP: Final = "What to look for"

#: The modes that are compared where none is named; the first is the one that N is searched with.
MODES: Final[tuple[Mode, ...]] = ("asyncio", "threading", "multiprocessing", "hybrid")

#: More in flight than this is nobody's first wish.
MAX_CONCURRENCY: Final = 1024

_OWN: Final = (
    Option(
        field="modes",
        name="--modes",
        alias="-m",
        hint=tuple[Mode, ...],
        default=MODES,
        help="the concurrency models to choose from; N is searched with the first",
        group=_GROUP,
        metavar="MODE ..",
    ),
    Option(
        field="slo",
        name="--slo",
        hint=str | None,
        default=None,
        help="objectives of each request, such as latency<20s (goodput is what meets them all), and of percentiles, "
        "such as ttft_p95<1s, which an N has to keep",
        group=_GROUP,
        metavar="OBJECTIVES",
    ),
    Option(
        field="goodput",
        name="--goodput",
        hint=float | None,
        default=None,
        help="requests a second that have to meet the objectives (default: the most there is)",
        group=_GROUP,
        metavar="R",
    ),
    Option(
        field="max_concurrency",
        name="--max-concurrency",
        hint=int,
        default=MAX_CONCURRENCY,
        help="never more in flight than this",
        group=_GROUP,
        metavar="N",
    ),
    Option(
        field="budget",
        name="--budget",
        hint=int | None,
        default=None,
        help="requests that may be sent (default: 500, and 25 for each in flight that it finds)",
        group=_GROUP,
        metavar="REQUESTS",
    ),
)


def tune_options() -> tuple[Option, ...]:
    """Return the options of `tune`; its own come first."""
    return (*_OWN, *run_options(without=_NOT_SHARED))
