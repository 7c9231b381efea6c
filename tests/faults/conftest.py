"""Each run with faults is made once, however many tests look at it; what happened is printed as a table at the end."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest

from tests.faults.runs import CLIENTS, MODES, Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.faults import Fault
    from tests.faults.runs import FaultRun

    #: Writes into the table how the task that met a fault ended.
    Note = Callable[[Fault, Way, str], None]

    #: Makes a run of a kind in some way, or returns the one that was made.
    Runs = Callable[[Callable[[Way, Path], FaultRun], Way], FaultRun]

#: What happened, by row and name of the fault, then by way.
Happened = defaultdict[tuple[str, str], dict[Way, str]]

LEGEND: Final = '"x2": after two attempts; both clients alike, unless one is named; blank: in no test of this call'

HAPPENED: Final = pytest.StashKey[Happened]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table."""
    happened: Happened = defaultdict(dict)
    config.stash[HAPPENED] = happened


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Make runs, each once."""
    made: dict[tuple[object, Way], FaultRun] = {}

    def run(make: Callable[[Way, Path], FaultRun], way: Way) -> FaultRun:
        if (make, way) not in made:
            made[make, way] = make(way, tmp_path_factory.mktemp(str(way)))
        return made[make, way]

    return run


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Write into the table what happened."""

    def noted(fault: Fault, way: Way, happened: str) -> None:
        request.config.stash[HAPPENED][fault.row, fault.name][way] = happened

    return noted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table: a row for each fault, a column for each mode, both clients where they differ."""
    happened = config.stash[HAPPENED]
    if not happened:
        return
    rows: list[tuple[str, ...]] = [("", "fault", *MODES)]
    for (row, name), by_way in sorted(happened.items()):
        rows.append((row, name, *(_cell(by_way, mode) for mode in MODES)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("faults: how the task that met it ended")
    terminalreporter.write_line(LEGEND)
    for cells in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        terminalreporter.write_line(line.rstrip())
    terminalreporter.write_line(
        f"{len(happened)} faults, {sum(map(len, happened.values()))} tasks, one record each: none lost"
    )


def _cell(by_way: dict[Way, str], mode: str) -> str:
    cells = {way.client: happened for way, happened in by_way.items() if way.mode == mode}
    if len(cells) == len(CLIENTS) and len(set(cells.values())) == 1:
        return next(iter(cells.values()))
    return ", ".join(f"{client} {happened}" for client, happened in sorted(cells.items()))
