"""Whether a stored experiment may be a baseline: made on the same machine, with the same software, of the same work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.experiment.records import Cell, Experiment

#: What of an environment a figure depends on: its part, the entries of that part, and what the part is called.
_PARTS: Final = (
    ("cpu", ("model", "logical", "usable_cores"), "processor"),
    ("python", ("version", "implementation", "gil"), "Python"),
    ("packages", None, "packages"),
)


def baseline_bars(now: Experiment, before: Experiment, arms: Sequence[str]) -> tuple[str, ...]:
    """Return why figures of one experiment may not be held against those of another, a sentence each.

    Args:
        now: The one that is judged.
        before: The baseline.
        arms: Names of the arms that are compared.
    """
    return (*_machine_bars(now.environment, before.environment), *_work_bars(now, before, arms))


def _machine_bars(now: Mapping[str, object], before: Mapping[str, object]) -> Iterator[str]:
    for part, entries, called in _PARTS:
        mine, theirs = now.get(part), before.get(part)
        if not isinstance(mine, dict) or not isinstance(theirs, dict):
            yield f"it is not known whether the baseline had the same {called}"
            continue
        for entry in entries or sorted({*mine, *theirs}):
            if mine.get(entry) != theirs.get(entry):
                yield f"not the same {called}: {entry} is {mine.get(entry)}, in the baseline {theirs.get(entry)}"


def _work_bars(now: Experiment, before: Experiment, arms: Sequence[str]) -> Iterator[str]:
    for name in arms:
        mine, theirs = _cells(now, name), _cells(before, name)
        if mine and theirs and len(_works(mine, theirs)) > 1:
            yield f"{name} was not given the same prompts as in the baseline"


def _cells(experiment: Experiment, arm: str) -> list[Cell]:
    return [cell for cell in experiment.cells if cell.kind == "measurement" and cell.arm == arm and cell.valid]


def _works(mine: Sequence[Cell], theirs: Sequence[Cell]) -> set[str | None]:
    """Return what identifies the work of all these cells; how often the same prompts were repeated is no part of it.

    The number of tasks follows the server's pace on that day, so that the whole list differs from time to time.
    """
    cells = [*mine, *theirs]
    sets = [cell.work.prompt_set if cell.work else None for cell in cells]
    return {cell.workload for cell in cells} if None in sets else set(sets)
