"""The options of `compare`: those of a run that all cells share, and its own."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

from bench.cli.options import REAL_WORK, Option, run_options
from bench.records import Mode

#: What each cell has of its own, or what makes no sense for many runs.
_NOT_SHARED: Final = frozenset(
    {"mode", "concurrency", "client", "processes", "scheduler", "output", "log_file", "log_level", "iterations"}
    | {"arrival_times", "chunk_times", "stop_on_overload", "max_failures"}
    | {"trace", "trace_sample", "trace_to"}
    | REAL_WORK
)

_GROUP: Final = "What to compare"

#: The modes that are compared where none is named.
ALL_MODES: Final[tuple[Mode, ...]] = ("serial", "threading", "multiprocessing", "asyncio", "hybrid")


#: The options that only `compare` has.
_OWN: Final = (
    Option(
        field="target",
        name="--target",
        hint=Literal["provider", "service"],
        default="provider",
        help="service: instead of modes and clients compare the direct and the pooled path of `serve`, which is "
        "started in front of the simulator",
        group=_GROUP,
    ),
    Option(
        field="modes",
        name="--modes",
        hint=tuple[Mode, ...],
        default=ALL_MODES,
        help="the concurrency models",
        group=_GROUP,
        metavar="MODE ..",
    ),
    Option(
        field="levels",
        name="--concurrency",
        alias="-c",
        hint=tuple[int, ...],
        default=(1, 8, 64),
        help="the numbers of requests in flight; serial has 1 alone",
        group=_GROUP,
        metavar="N ..",
    ),
    Option(
        field="sweep",
        name="--sweep",
        hint=bool,
        default=False,
        help="instead of --concurrency: 1, 2, 4 .. 128, for the knee",
        group=_GROUP,
    ),
    Option(
        field="clients",
        name="--client",
        hint=tuple[Literal["openai", "lean"], ...],
        default=("openai", "lean"),
        help="the clients",
        group=_GROUP,
        metavar="CLIENT ..",
    ),
    Option(
        field="repeats",
        name="--repeats",
        hint=int,
        default=6,
        help="blocks, each with every arm once in random order; fewer than 6 give no verdict",
        group=_GROUP,
        metavar="K",
    ),
    Option(
        field="budget",
        name="--budget",
        hint=str | None,
        default=None,
        help="how long it may take, such as 10m; the dearest arms are left out, by name",
        group=_GROUP,
        metavar="TIME",
    ),
    Option(
        field="tasks_per_slot",
        name="--tasks-per-slot",
        hint=int,
        default=6,
        help="a cell does at least this many tasks for each slot",
        group=_GROUP,
        metavar="K",
    ),
    Option(
        field="min_duration",
        name="--min-duration",
        hint=float,
        default=2.0,
        help="the steady part of a cell takes at least this long, or the cell does not count",
        group=_GROUP,
        metavar="SECONDS",
    ),
    Option(
        field="slo",
        name="--slo",
        hint=str | None,
        default=None,
        help="objectives of each task, such as ttft<1s,latency<20s (goodput is what meets them all), or of a "
        "percentile of a cell, such as ttft_p95<1s",
        group=_GROUP,
        metavar="OBJECTIVES",
    ),
    Option(
        field="gate",
        name="--gate",
        hint=tuple[str, ...],
        default=(),
        help="what must hold, such as 'asyncio.throughput >= 0.95 * baseline'; exit code 3 if it does not",
        group=_GROUP,
        metavar="GATE ..",
    ),
    Option(
        field="baseline",
        name="--baseline",
        hint=str | None,
        default=None,
        help="the experiment that gates compare with",
        group=_GROUP,
        metavar="EXPERIMENT",
    ),
    Option(
        field="resume",
        name="--resume",
        hint=str | None,
        default=None,
        help="go on with an experiment that was interrupted, by its plan",
        group=_GROUP,
        metavar="EXPERIMENT",
    ),
    Option(
        field="diff",
        name="--diff",
        hint=tuple[str, ...],
        default=(),
        help="run nothing: compare two stored experiments, arm by arm",
        group=_GROUP,
        metavar="A B",
    ),
)


def compare_options(*, budget: str | None = None) -> tuple[Option, ...]:
    """Return the options of `compare`; its own come first.

    Args:
        budget: The default of --budget.
    """
    own = (dataclasses.replace(option, default=budget) if option.field == "budget" else option for option in _OWN)
    return (*own, *run_options(without=_NOT_SHARED, canary=True))
