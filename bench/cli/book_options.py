"""The options of `book`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final, Literal

from bench.cli.options import Option, run_options

#: What workers are where the providers are to decide.
AUTO: Final = "auto"

#: Settings of a run that a book has no use for, or that go by another name here.
_WITHOUT: Final = frozenset(
    {
        *("topics", "topics_file", "prompts", "outline", "iterations"),
        *("concurrency", "rate", "arrival", "arrival_times", "max_wait", "stop_on_overload", "canary", "chunk_times"),
        *("output", "results_dir", "log_file"),
    }
)


#: The group that the options of a book alone are in.
_option: Final = functools.partial(Option, group="What to run")


def book_options() -> tuple[Option, ...]:
    """Return the options of `book`: those of its own, and those of its runs."""
    # A chapter is longer than the analysis of a topic.
    runs = run_options(without=_WITHOUT, profile="prod", max_tokens=1024, report=False)
    return (*_places(), *_ways(), *runs)


def _places() -> tuple[Option, ...]:
    return (
        _option(
            field="outline",
            name="--excel",
            hint=Path,
            default=Path("data/book_outline.xlsx"),
            help="the outline",
            alias="-e",
            metavar="FILE",
        ),
        _option(
            field="folder",
            name="--output",
            hint=Path,
            default=Path("output"),
            help="folder of the book; its runs are kept in runs/ there",
            alias="-o",
            metavar="DIR",
        ),
    )


def _ways() -> tuple[Option, ...]:
    return (
        _option(
            field="workers",
            name="--workers",
            hint=str,
            default=AUTO,
            help="chapters written at the same time, or auto for what the providers take at once",
            alias="-w",
            metavar="N",
        ),
        _option(
            field="again",
            name="--again",
            hint=tuple[str, ...],
            default=(),
            help="chapters to write once more although they have a text: 3, or 3v2 for one version",
            metavar="CHAPTER...",
        ),
        _option(
            field="coherence",
            name="--coherence",
            hint=Literal["outline", "summary"],
            default="outline",
            help="what holds the chapters together: the whole outline in each prompt, or besides it a second pass in "
            "which each chapter is written once more with summaries of its neighbours",
        ),
    )
