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
    return (
        *_machine_bars(now.environment, before.environment),
        *load_bars(now, before),
        *_work_bars(now, before, arms),
    )


def load_bars(now: Experiment, before: Experiment) -> Iterator[str]:
    """Yield that one load was another than the other, if it was: a loop of another kind, or another rate."""
    mine, theirs = now.plan.rate_per_s, before.plan.rate_per_s
    if mine != theirs:
        yield f"not the same load: {_loop(mine)}, against {_loop(theirs)}"


def _loop(rate_per_s: float | None) -> str:
    return "a closed loop" if rate_per_s is None else f"{rate_per_s:g} arrivals a second"


def same_work(a: Experiment, b: Experiment, arm: str) -> bool:
    """Tell whether an arm did the same work in both experiments; one without a cell that counts is not compared.

    The same is one list of tasks, or the same different prompts however often repeated, or two beginnings of one list:
    how many tasks a cell has follows from the server's pace on that day.

    Args:
        a: One experiment.
        b: The other.
        arm: Its name.
    """
    mine, theirs = (_cells(each, arm) for each in (a, b))
    if not mine or not theirs:
        return True
    sets = {cell.work.prompt_set if cell.work else None for cell in (*mine, *theirs)}
    asked = {cell.workload for cell in (*mine, *theirs)} if None in sets else sets
    if len(asked) == 1 and None not in asked:
        return True
    # Within one experiment every cell of an arm has one list: only then is it known to be a beginning of its source.
    alike = all(len({cell.workload for cell in cells}) == 1 for cells in (mine, theirs))
    return alike and a.plan.source is not None and a.plan.source == b.plan.source


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
        if not same_work(now, before, name):
            yield f"{name} was not given the same prompts as in the baseline"


def _cells(experiment: Experiment, arm: str) -> list[Cell]:
    return [cell for cell in experiment.cells if cell.kind == "measurement" and cell.arm == arm and cell.valid]
