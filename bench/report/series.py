"""Runs as charts and tables name them: what differs between them is in their names, and in how their lines look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.report.sheet import Mark
from bench.report.theme import DASHES, MARKERS, SPARE_ROLES, role_of_mode
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.report.fonts import ChartFonts
    from bench.report.load import LoadedRun

#: What besides mode and N may tell runs apart, and is said only where it does so within a mode.
_FACETS: Final[tuple[Callable[[LoadedRun], object], ...]] = (
    lambda run: run.manifest.endpoint.get("provider"),
    lambda run: run.manifest.endpoint.get("model"),
    lambda run: run.summary.client,
    lambda run: run.summary.transport,
    lambda run: "not streamed" if run.manifest.config.get("stream") is False else "streamed",
)

#: Names longer than this would leave no room for what they name.
_NAME_AT_MOST: Final = 80


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """A run with its names.

    Attributes:
        run: The run.
        series: What its line in a chart over N is called; as it is drawn.
        name: What tells it from every other run on the page.
        drawn: The same for a chart, where characters without a glyph are written out.
        mark: How it looks.
    """

    run: LoadedRun
    series: str
    name: str
    drawn: str
    mark: Mark

    @property
    def concurrency(self) -> int:
        """N."""
        return self.run.manifest.concurrency


def arrange(runs: Sequence[LoadedRun], fonts: ChartFonts) -> tuple[ShownRun, ...]:
    """Order runs by mode, what else differs, and N, and name them.

    Args:
        runs: One or more.
        fonts: What charts are drawn with.
    """
    order = list(MARKERS)
    keyed = sorted(
        ((_key(run, runs), run) for run in runs),
        key=lambda item: (order.index(item[0][0]), item[0], item[1].manifest.concurrency, item[1].manifest.run_id),
    )
    seen = Counter((key, run.manifest.concurrency) for key, run in keyed)
    suffixes = _suffixes(runs)
    marks = _marks([key for key, _ in keyed], fonts)
    shown = []
    for key, run in keyed:
        parts = [*key, f"N={run.manifest.concurrency}"]
        if seen[key, run.manifest.concurrency] > 1:
            parts.append(suffixes[run.path])
        name = visible(", ".join(parts), at_most=_NAME_AT_MOST)
        mark = marks[key]
        shown.append(ShownRun(run=run, series=mark.label, name=name, drawn=fonts.drawable(name), mark=mark))
    return tuple(shown)


def _suffixes(runs: Sequence[LoadedRun]) -> dict[Path, str]:
    """Return the shortest of: the last part of each run's id, the id, the directory, that tells all runs apart."""
    ways: tuple[Callable[[LoadedRun], str], ...] = (
        lambda run: run.manifest.run_id.rpartition("-")[2],
        lambda run: run.manifest.run_id,
        lambda run: run.path.name,
    )
    for way in ways:
        found = {run.path: way(run) for run in runs}
        if len(set(found.values())) == len(runs):
            return found
    return {run.path: str(run.path) for run in runs}


def _key(run: LoadedRun, runs: Sequence[LoadedRun]) -> tuple[str, ...]:
    """Return the mode and whatever else differs between the runs of that mode."""
    peers = [other for other in runs if other.manifest.mode == run.manifest.mode]
    differing = [facet for facet in _FACETS if len({str(facet(peer)) for peer in peers}) > 1]
    return (run.manifest.mode, *(str(facet(run)) for facet in differing))


def _marks(keys: Sequence[tuple[str, ...]], fonts: ChartFonts) -> dict[tuple[str, ...], Mark]:
    """Give each series its look: colour and marker by mode, dashes and hollow markers where a mode has several."""
    marks: dict[tuple[str, ...], Mark] = {}
    modes = list(MARKERS)
    variants: Counter[str] = Counter()
    for key in dict.fromkeys(keys):
        mode = key[0]
        marks[key] = Mark(
            label=fonts.drawable(visible(", ".join(key), at_most=_NAME_AT_MOST)),
            role=role_of_mode(mode),
            # One series needs nothing to tell it apart: its line is whole.
            marker=MARKERS[mode],
            dash=DASHES[(modes.index(mode) + variants[mode]) % len(DASHES) if len(set(keys)) > 1 else 0],
            hollow=variants[mode] % 2 == 1,
        )
        variants[mode] += 1
    return marks


def legend(shown: Sequence[ShownRun]) -> tuple[Mark, ...]:
    """Return the looks in use, each once."""
    return tuple(dict.fromkeys(item.mark for item in shown))


def numbered(index: int, label: str) -> Mark:
    """Return the look of the index-th line where lines differ by N alone."""
    markers = list(MARKERS.values())
    return Mark(
        label=label,
        role=SPARE_ROLES[index % len(SPARE_ROLES)],
        marker=markers[index % len(markers)],
        dash=DASHES[(index + index // len(DASHES)) % len(DASHES)],
        hollow=index // len(markers) % 2 == 1,
    )
