"""From run directories to `report.html` and its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError
from bench.journal import write_atomically
from bench.report.cautions import cautions
from bench.report.chart import NAMES
from bench.report.charts import charts
from bench.report.fonts import ChartFonts
from bench.report.load import load
from bench.report.page import Content, page
from bench.report.provenance import address, environment, settings, sources
from bench.report.render import Classes, render
from bench.report.segments import segments
from bench.report.series import arrange
from bench.report.table import Link
from bench.report.tables import tables
from bench.report.words import facts, glance, heading, lead, notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAGE: Final = "report.html"
CHARTS: Final = "charts"

#: Topics and models are their owner's business.
_DIRECTORY_MODE: Final = 0o700


def build_report(runs: Sequence[Path], out_dir: Path) -> Path:
    """Write `report.html` and `charts/*.png` about these runs and return the page's path.

    The same runs give the same bytes. Not for use from two threads at once: matplotlib's settings are the process's.

    Args:
        runs: Run directories, each once.
        out_dir: Made if absent; for one run, its own directory.

    Raises:
        ConfigError: No run is named, or one is not a run or damaged; the message names path and reason.
        JournalError: The report cannot be written.
    """
    if not runs:
        msg = "no run to report on"
        raise ConfigError(msg, "name one or more directories such as results/<run id>")
    fonts = ChartFonts()
    shown = arrange([load(run) for run in dict.fromkeys(run.resolve() for run in runs)], fonts)
    classes = Classes()
    above = tuple(fonts.drawable(note) for note in notes(shown))
    drawn = [render(chart, families=fonts.families, notes=above, classes=classes) for chart in charts(shown, fonts)]
    pictures = write_charts([(one.chart.name, one.png) for one in drawn if one.png], out_dir, NAMES)
    content = Content(
        heading=heading(shown),
        lead=lead(shown),
        glance=glance(shown),
        facts=facts(shown),
        cautions=cautions(shown, fonts),
        charts=drawn,
        tables=(*tables(shown), *segments(shown), environment(shown), settings(shown)),
        sources=sources(shown, out_dir),
        pictures=pictures,
    )
    path = out_dir / PAGE
    write_atomically(path, page(content, classes).encode())
    return path


def write_charts(pictures: Sequence[tuple[str, bytes]], out_dir: Path, names: frozenset[str]) -> tuple[Link, ...]:
    """Write the charts' files and take away those of an earlier report that this one has not.

    Args:
        pictures: Name and content of each.
        out_dir: The report's directory.
        names: All charts that a report of this kind may have.

    Raises:
        ConfigError: The directory cannot be made, or the one of the charts leads elsewhere.
        JournalError: A file cannot be written.
    """
    directory = out_dir / CHARTS
    if directory.is_symlink():
        msg = f"{directory} is a symbolic link: charts are neither written nor deleted where it leads"
        raise ConfigError(msg, "remove it, or choose another directory with --out")
    try:
        out_dir.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        for name in names - {name for name, _ in pictures}:
            (directory / f"{name}.png").unlink(missing_ok=True)
    except OSError as error:
        msg = f"cannot write the report to {out_dir}: {error.strerror}"
        raise ConfigError(msg, "choose a directory that can be written") from error
    links = []
    for name, png in pictures:
        path = directory / f"{name}.png"
        write_atomically(path, png)
        links.append(Link(text=path.name, address=address(path, out_dir)))
    return tuple(links)
