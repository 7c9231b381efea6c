"""Drawing a report at the end of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.messages import say
from bench.errors import ConfigError, RunError
from bench.observe.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def draw_report(runs: Sequence[Path], out_dir: Path, *, quiet: bool) -> Path:
    """Draw a report and name its page.

    Raises:
        RunError: A run is damaged, or the report cannot be written.
    """
    # Here, because charts take a second to import, which is not to be waited for before a run.
    from bench.report.build import build_report  # noqa: PLC0415

    try:
        page = build_report(runs, out_dir)
    except ConfigError as error:
        raise RunError(f"the report could not be drawn: {error.message}") from error
    if not quiet:
        say(f"report:  {printable(str(page))}")
    return page
