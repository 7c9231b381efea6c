"""What `tune` says: a line for each probe as it ends, then the answer and what it rests on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.text import Text

from bench.cli.messages import note, say, warn
from bench.observe.layout import rows, write
from bench.observe.terminal import output_console
from bench.observe.text import printable
from bench.tuning.curve import fit
from bench.tuning.points import merged

if TYPE_CHECKING:
    from bench.tuning.asking import Ask
    from bench.tuning.records import Answer, Outcome, Probe, Tuning

#: The outcome, as the answer begins.
_OUTCOMES: Final[dict[Outcome, str]] = {
    "found": "found",
    "unreachable": "out of reach",
    "not_shown": "not shown",
}


class TuneWatcher:
    """Writes a line for each probe.

    Args:
        quiet: Whether nothing is written.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._requests = 0

    def __repr__(self) -> str:
        """Show how many requests it has seen."""
        return f"<TuneWatcher {self._requests} requests>"

    def begun(self, ask: Ask) -> None:
        """Do nothing: a probe takes seconds."""

    def ended(self, probe: Probe) -> None:
        """Write a probe's line."""
        self._requests += probe.requests
        if self._quiet:
            return
        words = f"{probe.goodput_per_s:,.2f} good requests/s" if probe.error is None else printable(probe.error)
        note(f"{probe.purpose:<8} {probe.mode}@{probe.concurrency}: {words}; {self._requests:,} requests so far")


def say_tuning(tuning: Tuning, *, quiet: bool) -> None:
    """Say the answer, the command to run, and unless it is to be quiet what each probe showed and what it all cost."""
    answer = tuning.answer
    if answer is None:
        return
    if not quiet:
        _say_probes(tuning)
    say(printable(f"{_OUTCOMES[answer.outcome]}: {answer.words}"))
    if not quiet:
        _say_ground(tuning, answer)
    for warning in answer.warnings:
        warn(printable(warning))
    if answer.command:
        say(printable(f"run:    {answer.command}"))


def _say_ground(tuning: Tuning, answer: Answer) -> None:
    if answer.low_per_s is not None and answer.high_per_s is not None:
        say(f"95 % interval: {answer.low_per_s:,.4g} to {answer.high_per_s:,.4g} good requests a second")
    if answer.knee is not None:
        say(f"knee by Little's law: {answer.knee:.1f} in flight")
    for row in answer.modes:
        say(printable(f"  {row.mode}: {row.standing.replace('_', ' ')} ({row.words})"))
    say(f"cost:   {tuning.requests:,} requests, {tuning.tokens:,} tokens, {len(tuning.probes)} probes")


def _say_probes(tuning: Tuning) -> None:
    found = fit(merged(probe for probe in tuning.probes if probe.mode == tuning.goal.modes[0]))
    spread = 0.0 if found is None else found.spread
    console = output_console(sys.stdout)
    table = [_cells(probe, spread, stated=bool(tuning.objectives)) for probe in tuning.probes]
    told = [name for name in table[0] if any(row[name] != "-" for row in table)]
    shown = rows([{name: row[name] for name in told} for row in table], console.width - 1)
    write(console, Text("Probes", style="bold"), shown)


def _cells(probe: Probe, spread: float, *, stated: bool) -> dict[str, str]:
    # Of slots that were refused at once, rates tell nothing.
    points = [] if probe.is_refused and not probe.steady else merged([probe])
    low, high = points[0].goodput_interval(spread) if points else (0.0, 0.0)
    return {
        "probe": f"{probe.mode}@{probe.concurrency}",
        "sent": str(probe.requests),
        "good/s": f"{probe.goodput_per_s:,.1f}" if points else "-",
        "95 %\n+-": f"{(high - low) / 2:,.1f}" if points else "-",
        "latency\np95 ms": _ms(probe.latency_p95_s),
        "TTFT\np95 ms": _ms(probe.ttft_p95_s),
        "objectives": _objectives(probe, stated=stated),
        "CPU us\na task": "-" if probe.cpu_us_per_task is None else f"{probe.cpu_us_per_task:,.0f}",
    }


def _objectives(probe: Probe, *, stated: bool) -> str:
    """Say in a few words whether a probe kept what it had to."""
    if probe.error is not None:
        return "did not run"
    if probe.is_refused:
        return f"{probe.refused} refused"
    missed = next((held for held in probe.held if not held.holds), None)
    if missed is not None:
        return f"{missed.met} of {missed.of} kept"
    if probe.attained < probe.attempted:
        return f"{probe.attained} of {probe.attempted} good"
    return "met" if stated else "-"


def _ms(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s * 1e3:,.0f}"
