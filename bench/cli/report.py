"""`report`: charts and tables of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.context import OK, Context
from bench.cli.drawing import draw_report
from bench.clock import utc_now
from bench.errors import ConfigError, JournalError
from bench.journal import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Draw the report and return the exit code.

    Raises:
        ConfigError: A word is no run, or none was named.
    """
    results_dir: Path = settings["results_dir"]
    if not context.words:
        raise ConfigError("no run to report on", f"name one or more: a directory, or an id below {results_dir}")
    runs = [_found(word, results_dir) for word in context.words]
    out_dir = settings["out"] or (runs[0] if len(runs) == 1 else results_dir / f"report-{utc_now():%Y%m%dT%H%M%SZ}")
    draw_report(runs, out_dir, quiet=False)
    return OK


def _found(word: str, results_dir: Path) -> Path:
    """Return the directory of a run."""
    named, kept = Path(word), results_dir / word
    for path in (named, kept):
        if path.is_dir():
            try:
                read_manifest(path)
            except JournalError as error:
                raise ConfigError(f"{path} cannot be reported on: {error}") from error
            return path
    raise ConfigError(f"{word!r} is no run: there is neither {named} nor {kept}", "name a run's directory or its id")
