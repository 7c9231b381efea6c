"""The options of `book`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from bench.cli.options import Option, negative, run_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

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


def book_options() -> tuple[Option, ...]:
    """Return the options of `book`: those of its own, and those of its runs."""
    # A chapter is longer than the analysis of a topic.
    return (*_own(), *run_options(without=_WITHOUT, profile="prod", max_tokens=1024, report=False))


def _own() -> tuple[Option, ...]:
    option = functools.partial(Option, group="What to run")
    return (
        option(
            field="outline",
            name="--excel",
            hint=Path,
            default=Path("data/book_outline.xlsx"),
            help="the outline",
            alias="-e",
            metavar="FILE",
        ),
        option(
            field="folder",
            name="--output",
            hint=Path,
            default=Path("output"),
            help="folder of the book; its runs are kept in runs/ there",
            alias="-o",
            metavar="DIR",
        ),
        option(
            field="workers",
            name="--workers",
            hint=str,
            default=AUTO,
            help="chapters written at the same time, or auto for what the providers take at once",
            alias="-w",
            metavar="N",
        ),
        option(
            field="coherence",
            name="--coherence",
            hint=Literal["outline", "summary"],
            default="outline",
            help="what holds the chapters together: the whole outline in each prompt, or besides it a second pass in "
            "which each chapter is written once more with summaries of its neighbours",
        ),
    )


def book_words(settings: Mapping[str, Any]) -> list[str]:
    """Return the arguments that give a book's settings; those at their default are left out."""
    words = ["book"]
    for option in book_options():
        value = settings[option.field]
        if value == option.default:
            continue
        if option.is_switch and isinstance(value, bool):
            words.append(option.name if value else negative(option.name))
        elif isinstance(value, tuple):
            words += [option.name, *map(str, value)]
        else:
            words.append(f"{option.name}={value}")
    return words
