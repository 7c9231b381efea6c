"""Drawing a report at the end of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.messages import say
from bench.errors import ConfigError, RunError
from bench.observe.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def draw_report(runs: Sequence[Path], out_dir: Path, *, quiet: bool) -> None:
    """Draw a report and name its page.

    Raises:
        ConfigError: A run is damaged.
        JournalError: The report cannot be written.
    """
    # Here, because charts take a second to import, which is not to be waited for before a run.
    from bench.report.build import build_report  # noqa: PLC0415

    page = build_report(runs, out_dir)
    if not quiet:
        say(f"report:  {printable(str(page))}")


def draw_own_report(runs: Sequence[Path], out_dir: Path, *, quiet: bool) -> None:
    """Draw the report of runs that this command has just made: what is wrong with them is no wrong usage.

    Raises:
        RunError: A run is damaged, or the report cannot be written.
    """
    try:
        draw_report(runs, out_dir, quiet=quiet)
    except ConfigError as error:
        raise RunError(f"the report could not be drawn: {error.message}") from error


def draw_experiment(directory: Path, out_dir: Path | None = None, *, quiet: bool) -> None:
    """Draw the report of an experiment, in its own directory unless told otherwise, and name its page.

    Raises:
        ConfigError: It is damaged, or the report's directory cannot be made.
        JournalError: The report cannot be written.
    """
    # Here, for the same reason.
    from bench.report.experiment.build import build_experiment_report  # noqa: PLC0415

    page = build_experiment_report(directory, out_dir)
    if not quiet:
        say(f"report:  {printable(str(page))}")


def draw_own_experiment(directory: Path, *, quiet: bool) -> None:
    """Draw the report of an experiment that this command has just made.

    Raises:
        RunError: It is damaged, or the report cannot be written.
    """
    try:
        draw_experiment(directory, quiet=quiet)
    except ConfigError as error:
        raise RunError(f"the report could not be drawn: {error.message}") from error
