"""The options of `traces`."""

from __future__ import annotations

import dataclasses
from typing import Final

from bench.cli.options import Option, run_options

#: The settings of a run that say what is sent, and where runs are.
_SHARED: Final = frozenset({"trace_sample", "trace_to", "providers_file", "results_dir", "env_file"})


def traces_options() -> tuple[Option, ...]:
    """Return the options of `traces`."""
    follow = Option(
        field="follow",
        name="--follow",
        hint=bool,
        default=False,
        help="push: go on until the run has ended, and some seconds longer; run --trace starts this",
    )
    slowest = Option(
        field="slowest",
        name="--slowest",
        hint=int,
        default=10,
        help="review: how many of the slowest tasks are shown",
        metavar="K",
    )
    failed = Option(
        field="failed",
        name="--failed",
        hint=bool,
        default=False,
        help="review: look at the tasks alone that did not succeed",
    )
    compare = Option(
        field="compare",
        name="--compare",
        hint=str | None,
        default=None,
        help="review: another run of the same work, to look at beside it",
        metavar="RUN",
    )
    shared = (option for option in run_options() if option.field in _SHARED)
    return (follow, slowest, failed, compare, *(_told_anew(option, follow.group) for option in shared))


def _told_anew(option: Option, group: str) -> Option:
    """Return an option with what it does here."""
    if option.field == "providers_file":
        help_text = "push: the file that the run's providers were defined in; keys that it names are taken out"
        return dataclasses.replace(option, group=group, help=help_text)
    return dataclasses.replace(option, group=group)
