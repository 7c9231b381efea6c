"""An experiment as its report needs it: arms with their names, looks, cells and intervals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.experiment.analyse import analyse, metric_value
from bench.experiment.store import CELLS, load
from bench.policy.paired import paired_ratio
from bench.report.sheet import Mark
from bench.report.theme import DASHES, MARKERS, role_of_mode
from bench.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.experiment.records import Analysis, Arm, ArmRow, Cell, Experiment
    from bench.report.fonts import ChartFonts

#: Names longer than this would leave no room for what they name.
_NAME_AT_MOST: Final = 60

#: What marks, in words, what does not count.
INVALID: Final = "INVALID"


@dataclass(frozen=True, kw_only=True)
class Middle:
    """The middle of some blocks, with its 95 % interval; None for the ends below two blocks."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class ShownArm:
    """One arm.

    Attributes:
        arm: Mode, N and client.
        row: Its figures over its blocks.
        cells: Its measurements, in the order of their blocks.
        name: As written in tables.
        drawn: As written in charts.
        mark: How it looks: its mode's colour and sign.
    """

    arm: Arm
    row: ArmRow
    cells: tuple[Cell, ...]
    name: str
    drawn: str
    mark: Mark

    @property
    def valid(self) -> bool:
        """Whether any block of it counts."""
        return self.row.blocks > 0

    @property
    def counting(self) -> tuple[Cell, ...]:
        """The cells that its figures are of: those that count, or all where none does."""
        return tuple(cell for cell in self.cells if cell.valid) or self.cells

    @property
    def added_s(self) -> float | None:
        """What the client adds to the first token: by the server's stamps, else a canary's, else a null server's."""
        if self.row.figures.client_lag_p50_s is not None:
            return self.row.figures.client_lag_p50_s
        for name in ("canary_error_s", "calibration_error_s"):
            found: list[float | None] = [getattr(cell.facts, name) for cell in self.counting]
            known = [value for value in found if value is not None]
            if known:
                return statistics.median(known)
        return None

    @property
    def added_share(self) -> float | None:
        """The same as a share of the median time to first token."""
        added_s, ttft_s = self.added_s, self.row.figures.ttft_p50_s
        return added_s / ttft_s if added_s is not None and ttft_s else None

    def middle(self, metric: str) -> Middle | None:
        """Return the geometric mean of a figure over the blocks that count; None where no block has it."""
        found = (metric_value(cell.figures, metric) for cell in self.counting)
        values = [value for value in found if value is not None and value > 0]
        if not values:
            return None
        # Against a constant 1 the ratio is the figure itself.
        mean = paired_ratio(values, [1.0] * len(values))
        return None if mean.ratio is None else Middle(value=mean.ratio, low=mean.low, high=mean.high)


@dataclass(frozen=True, kw_only=True)
class ShownExperiment:
    """An experiment, read.

    Attributes:
        directory: Where it is kept.
        experiment: `experiment.json`.
        analysis: What its cells say; made anew where the file has none.
        arms: In the order of the plan.
    """

    directory: Path
    experiment: Experiment
    analysis: Analysis
    arms: tuple[ShownArm, ...]

    @property
    def clients(self) -> tuple[str, ...]:
        """The clients, in the order of the plan."""
        return tuple(dict.fromkeys(shown.arm.client for shown in self.arms))

    @property
    def lines(self) -> dict[tuple[str, str], list[ShownArm]]:
        """Arms by client and mode, each by N; without the arm that repeats another."""
        found: dict[tuple[str, str], list[ShownArm]] = {}
        for shown in sorted(self.arms, key=lambda each: each.arm.concurrency):
            if shown.arm.again is None:
                found.setdefault((shown.arm.client, shown.arm.mode), []).append(shown)
        order, modes = list(self.clients), list(MARKERS)
        return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), modes.index(item[0][1]))))

    @property
    def tops(self) -> tuple[ShownArm, ...]:
        """The arm of the highest N for each client and mode."""
        return tuple(arms[-1] for arms in self.lines.values())

    def run(self, cell: Cell) -> Path | None:
        """Return the directory of a cell's run; None where it has none, or it is no longer there."""
        if cell.run is None or "/" in cell.run or cell.run in {".", ".."}:
            return None
        path = self.directory / CELLS / cell.run
        return path if path.is_dir() else None


def read(directory: Path, fonts: ChartFonts | None = None) -> ShownExperiment:
    """Read an experiment for its report.

    Args:
        directory: The experiment's.
        fonts: What charts are drawn with; None where none are.

    Raises:
        ConfigError: It cannot be read, is damaged, or is of a later version.
    """
    experiment = load(directory)
    analysis = experiment.analysis or analyse(experiment)
    rows = {row.arm: row for row in analysis.arms}
    arms = [_shown(arm, rows[arm.name], experiment.cells, fonts) for arm in experiment.plan.arms if arm.name in rows]
    return ShownExperiment(directory=directory, experiment=experiment, analysis=analysis, arms=tuple(arms))


def _shown(arm: Arm, row: ArmRow, cells: Sequence[Cell], fonts: ChartFonts | None) -> ShownArm:
    name = visible(arm.name, at_most=_NAME_AT_MOST)
    return ShownArm(
        arm=arm,
        row=row,
        cells=tuple(
            sorted(
                (cell for cell in cells if cell.kind == "measurement" and cell.arm == arm.name),
                key=lambda cell: cell.block,
            )
        ),
        name=name,
        drawn=name if fonts is None else fonts.drawable(name),
        mark=mark_of(arm.mode),
    )


def mark_of(mode: str) -> Mark:
    """Return how a mode looks in every chart of an experiment."""
    return Mark(
        label=mode, role=role_of_mode(mode), marker=MARKERS[mode], dash=DASHES[list(MARKERS).index(mode) % len(DASHES)]
    )
