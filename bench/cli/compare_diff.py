"""`compare --diff`: two stored experiments, arm by arm."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from bench.cli.context import OK
from bench.cli.messages import say
from bench.errors import ConfigError
from bench.experiment.across import across
from bench.experiment.store import find, load
from bench.observe.layout import rows, write
from bench.observe.terminal import output_console
from bench.observe.text import printable
from bench.policy.paired import times
from bench.policy.verdict_words import metric_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.experiment.across import Across, Change

#: Units of metrics in seconds or microseconds, and how many of it make one of the record's.
_UNITS: Final = {
    "latency_p50": (" (ms)", 1e3),
    "ttft_p50": (" (ms)", 1e3),
    "cold": (" (s)", 1.0),
    "cpu_us_per_task": (" (us)", 1.0),
}

_OUTCOMES: Final = {
    "a_better": "A is better",
    "b_better": "B is better",
    "equivalent": "equivalent",
    "no_verdict": "no verdict",
}


def execute_diff(settings: Mapping[str, Any]) -> int:
    """Compare two stored experiments and return the exit code.

    Raises:
        ConfigError: Not two were named, one cannot be read, or they share no arm.
    """
    words: tuple[str, ...] = settings["diff"]
    if len(words) != 2:  # noqa: PLR2004 - a difference has two sides
        raise ConfigError(
            f"--diff compares two experiments, got {len(words)}", "name two directories or ids: --diff A B"
        )
    a, b = (load(find(word, settings["results_dir"])) for word in words)
    found = across(a, b)
    if not found.changes:
        raise ConfigError("the two experiments share no arm", "compare experiments with a mode, N and client in common")
    say(printable(f"A: {a.experiment_id}, started {a.started_at}"))
    say(printable(f"B: {b.experiment_id}, started {b.started_at}"))
    for said in _cautions(found):
        say(printable(said))
    console = output_console(sys.stdout)
    for metric in dict.fromkeys(change.metric for change in found.changes):
        known = [change for change in found.changes if change.metric == metric and change.ratio is not None]
        if known:
            unit, per_unit = _UNITS.get(metric, ("", 1.0))
            way = "block by block" if known[0].paired else "blocks not paired"
            title = Text(f"A over B, {way}: {metric_words(metric)}{unit}", style="bold")
            write(console, title, rows([_cells(change, per_unit) for change in known], console.width - 1))
    return OK


def _cautions(found: Across) -> list[str]:
    """Return what is to be known before the figures are read."""
    if found.bars:
        said = [f"no verdict across the two: they ran at different times, and {'; '.join(found.bars)}"]
    else:
        words = (
            "they ran at different times, on a machine of one description and with the same work: what else changed "
            "meanwhile is not known, so take a verdict here as weaker than one within an experiment"
        )
        said = [words]
    said += [f"not alike: {difference}" for difference in found.differences]
    judged = dict.fromkeys(change.arm for change in found.changes)
    without = [arm for arm in judged if all(each.ratio is None for each in found.changes if each.arm == arm)]
    if without:
        said.append(f"no block counts in one of the two: {', '.join(without)}")
    for label, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            said.append(f"only in {label}: {', '.join(names)}")
    return said


def _cells(change: Change, per_unit: float) -> dict[str, str]:
    interval = "-" if change.low is None or change.high is None else f"{times(change.low)} to {times(change.high)}"
    return {
        "arm": printable(change.arm),
        "A": _number(change.a, per_unit),
        "B": _number(change.b, per_unit),
        "A / B": times(change.ratio),
        "95 %\ninterval": interval,
        "blocks": f"{change.blocks_a}, {change.blocks_b}",
        "verdict": _OUTCOMES[change.outcome],
    }


def _number(value: float | None, per_unit: float) -> str:
    if value is None:
        return "-"
    shown = value * per_unit
    return f"{shown:,.0f}" if abs(shown) >= 1000 else f"{shown:.4g}"  # noqa: PLR2004 - four digits are shown
