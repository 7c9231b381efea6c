"""What a terminal shows of several finished runs beside each other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TextIO

from rich.text import Text

from bench.observe.layout import rows, write
from bench.observe.summary_table import TOO_FEW
from bench.observe.terminal import output_console
from bench.observe.text import number, percent, percentile, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.summary import Summary

#: How the figures against the serial run come about.
_GAINS: Final = (
    "wall time: first request to last answer, start-up apart. time saved = (serial - this) / serial,"
    " speed-up = serial / this, efficiency = speed-up / N"
)


def print_comparison(summaries: Sequence[Summary], *, stream: TextIO | None = None) -> None:
    """Write a row for each run to `stream`, standard output when None, and what each gains over the serial run.

    Time saved is (serial - this) / serial, speed-up is serial / this, efficiency is speed-up / N, all of wall time.
    They are given only against a serial run of as many tasks with the same provider and model, and where both finished.

    Args:
        summaries: The runs, in the order of the rows.
        stream: Where to write.
    """
    if not summaries:
        return
    console = output_console(stream or sys.stdout)
    width = console.width - 1
    base = next((summary for summary in summaries if summary.mode == "serial"), None)
    answers = [_answer_cells(summary) for summary in summaries]
    write(console, Text("What came back", style="bold"), rows(answers, width))
    gains = [_gain_cells(summary, base) for summary in summaries]
    write(console, Text("How long it took", style="bold"), rows(gains, width))
    few = [TOO_FEW] if any("(n=" in cell for row in answers for cell in row.values()) else []
    write(console, *(Text(note, style="dim") for note in [*few, *_notes(summaries, base)]))


def _answer_cells(summary: Summary) -> dict[str, str]:
    return {
        "mode": summary.mode,
        "N": str(summary.concurrency),
        "tasks\nok": f"{summary.tasks.ok}/{summary.tasks.total}",
        "success": percent(summary.success_rate.value),
        "tasks/s": number(summary.throughput_tasks_per_s),
        "latency\np50": percentile(summary.latency_s, "p50"),
        "latency\np95": percentile(summary.latency_s, "p95"),
        "TTFT\np50": percentile(summary.ttft_s, "p50"),
    }


def _gain_cells(summary: Summary, base: Summary | None) -> dict[str, str]:
    speed_up = None if base is None or base is summary else _speed_up(summary, base)
    return {
        "mode": summary.mode,
        "N": str(summary.concurrency),
        "start-up": seconds(summary.harness.startup_s),
        "wall time": seconds(summary.wall_s),
        "time saved": "-" if speed_up is None else percent(1 - 1 / speed_up),
        "speed-up": "-" if speed_up is None else f"{number(speed_up)}x",
        "efficiency": "-" if speed_up is None else percent(speed_up / summary.concurrency),
    }


def _speed_up(summary: Summary, base: Summary) -> float | None:
    """Return how many times faster a run was than the serial one, or None where the two did not do the same work."""
    if not (_comparable(summary, base) and base.wall_s and summary.wall_s):
        return None
    return base.wall_s / summary.wall_s


def _comparable(summary: Summary, base: Summary) -> bool:
    finished = not any(run.tasks.cancelled or run.tasks.not_started or run.tasks.dropped for run in (summary, base))
    return finished and _work(summary) == _work(base)


def _work(summary: Summary) -> tuple[int, str | None, str | None]:
    return summary.tasks.total, summary.provider, summary.model


def _notes(summaries: Sequence[Summary], base: Summary | None) -> list[str]:
    if base is None:
        return ["time saved, speed-up and efficiency need a serial run of the same tasks"]
    notes = [_GAINS]
    if not all(_comparable(summary, base) for summary in summaries):
        notes.append("-: other tasks, provider or model than the serial run, or one of the two did not finish")
    return notes
