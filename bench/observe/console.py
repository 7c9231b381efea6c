"""The live display of a run, or its plain lines where standard error is no terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.text import Text

from bench.observe.layout import bar, flow, joined
from bench.observe.progress import Progress, Snapshot
from bench.observe.terminal import Terminal
from bench.observe.text import number, percent, printable, seconds, stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.observers import Observer
    from bench.records import Glimpse, Mode, TaskResult

#: Two refreshes a second: each costs a few milliseconds of CPU, which the run does not have for its own work.
_REFRESH_S: Final = 0.5

#: Plain lines end up in log files, where they should stay few.
_PLAIN_S: Final = 5.0

#: How long the end of a run waits for a terminal that does not take the last frame (stopped with Ctrl+S).
_CLOSE_S: Final = 2.0

_BAR_COLUMNS: Final = 30


class _Nothing:
    """An observer that shows nothing."""

    def ready(self) -> None:
        """Do nothing."""

    def drawn(self) -> None:
        """Do nothing."""

    def recorded(self, glimpse: Glimpse | TaskResult) -> None:
        """Do nothing."""


@contextlib.contextmanager
def progress_display(
    *, total: int, slots: int, mode: Mode, quiet: bool = False, terminal: Terminal | None = None
) -> Iterator[Observer]:
    """Show a run on standard error inside the block: redrawn in place on a terminal, a plain line every 5 s elsewhere.

    A standard error that is closed, or does not take what is written, neither stops nor slows the run.

    Args:
        total: Tasks of the workload.
        slots: N, the requests in flight at most.
        mode: The concurrency model.
        quiet: Show nothing.
        terminal: The run's terminal, the one that its warnings go to; standard error when None.

    Yields:
        The observer to hand to the run.
    """
    if quiet:
        yield _Nothing()
        return
    progress = Progress(total)
    view = _View(progress, terminal or Terminal(sys.stderr), mode, slots)
    closing = threading.Event()
    thread = threading.Thread(target=view.show, args=(closing,), name="display", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        closing.set()
        thread.join(_CLOSE_S)


class _View:
    """Draws the progress of one run until it is told to close."""

    def __init__(self, progress: Progress, terminal: Terminal, mode: Mode, slots: int) -> None:
        self._progress = progress
        self._terminal = terminal
        self._mode = mode
        self._slots = slots

    def show(self, closing: threading.Event) -> None:
        """Draw until `closing` is set, then once more."""
        if self._terminal.live:
            self._redraw(closing)
        else:
            self._write_lines(closing)

    def _redraw(self, closing: threading.Event) -> None:
        console = self._terminal.console
        live = Live(self._frame(), console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        with live:
            while not closing.wait(_REFRESH_S):
                live.update(self._frame(), refresh=True)
            live.update(self._frame(last=True))

    def _write_lines(self, closing: threading.Event) -> None:
        while not closing.wait(_PLAIN_S):
            self._terminal.line(Text(plain_line(self._progress.snapshot(), self._mode, self._slots)))
        self._terminal.line(Text(plain_line(self._progress.snapshot(last=True), self._mode, self._slots, last=True)))

    def _frame(self, *, last: bool = False) -> Text:
        options = self._terminal.console.options
        snapshot = self._progress.snapshot(last=last)
        return frame(
            snapshot, self._mode, self._slots, width=options.max_width, ascii_only=options.ascii_only, last=last
        )


def frame(
    snapshot: Snapshot, mode: Mode, slots: int, *, width: int, ascii_only: bool = False, last: bool = False
) -> Text:
    """Return what a terminal of `width` columns shows; `last` leaves out what only a run that goes on has."""
    # The last column stays free: some terminals break a line that fills them.
    width -= 1
    lines = [Text(printable(_title(snapshot, mode, slots), width), style="bold")]
    lines.append(_bar_line(snapshot, width, ascii_only=ascii_only))
    if snapshot.ready or snapshot.done:
        lines += flow("tasks", _task_items(snapshot), width)
        lines += flow("speed", _speed_items(snapshot, last=last), width)
        if snapshot.samples:
            lines += flow("latency", _latency_items(snapshot), width)
        lines += flow("time", _time_items(snapshot, last=last), width)
    if snapshot.errors:
        lines += flow("errors", [f"{count} {error_type}" for error_type, count in snapshot.errors], width)
    if snapshot.last_error is not None:
        lines += flow("last error", [printable(snapshot.last_error.message, width)], width)
    return joined(lines)


def plain_line(snapshot: Snapshot, mode: Mode, slots: int, *, last: bool = False) -> str:
    """Return the same as one line of text for a file or a pipe."""
    done = f"{snapshot.done}/{snapshot.total} done"
    if not (snapshot.ready or snapshot.done):
        return f"{_title(snapshot, mode, slots)}, {done}"
    items = [*_task_items(snapshot), *_speed_items(snapshot, last=last)]
    if snapshot.samples:
        items += [f"latency {item}" if place == 0 else item for place, item in enumerate(_latency_items(snapshot))]
    items += _time_items(snapshot, last=last)
    items += [f"{count} {error_type}" for error_type, count in snapshot.errors]
    return f"{mode}: {done}, " + ", ".join(str(item) for item in items)


def _title(snapshot: Snapshot, mode: Mode, slots: int) -> str:
    if snapshot.ready or snapshot.done:
        return f"{mode}, one request at a time" if slots == 1 else f"{mode}, {slots} requests at once"
    workers = "nodes" if mode == "distributed" else "1 worker" if slots == 1 else f"{slots} workers"
    return f"{mode}: starting {workers} ({stopwatch(snapshot.elapsed_s)})"


def _bar_line(snapshot: Snapshot, width: int, *, ascii_only: bool) -> Text:
    share = snapshot.done / snapshot.total if snapshot.total else 1.0
    line = Text(printable(f"{snapshot.done}/{snapshot.total} done, {percent(share)}  ", width))
    room = min(_BAR_COLUMNS, width - line.cell_len)
    return line.append_text(bar(share, max(0, room), ascii_only=ascii_only))


def _task_items(snapshot: Snapshot) -> list[str | Text]:
    items: list[str | Text] = [
        f"{snapshot.ok} ok",
        Text(f"{snapshot.failed} failed", style="red" if snapshot.failed else ""),
    ]
    if snapshot.cancelled:
        items.append(f"{snapshot.cancelled} cancelled")
    return [*items, f"{snapshot.retried} retried", f"{snapshot.in_flight} in flight"]


def _speed_items(snapshot: Snapshot, *, last: bool) -> list[str]:
    items = []
    for rate, recent, unit in (
        (snapshot.tasks_per_s, snapshot.recent_tasks_per_s, "tasks/s"),
        (snapshot.tokens_per_s, snapshot.recent_tokens_per_s, "tokens/s"),
    ):
        now = "" if recent is None or last else f" (last 5 s: {number(recent)})"
        items.append(f"{number(rate)} {unit}{now}")
    return items


def _latency_items(snapshot: Snapshot) -> list[str]:
    few = f"{seconds(None)} (n={snapshot.samples})"
    p50 = few if snapshot.latency_p50_s is None else seconds(snapshot.latency_p50_s)
    p95 = few if snapshot.latency_p95_s is None else seconds(snapshot.latency_p95_s)
    items = [f"p50 {p50}", f"p95 {p95}", f"max {seconds(snapshot.latency_max_s)}"]
    if snapshot.ttft_p50_s is not None:
        items.append(f"first token p50 {seconds(snapshot.ttft_p50_s)}")
    return items


def _time_items(snapshot: Snapshot, *, last: bool) -> list[str]:
    elapsed = f"{stopwatch(snapshot.elapsed_s)} elapsed"
    if last:
        return [elapsed]
    return [elapsed, "left unknown" if snapshot.left_s is None else f"about {stopwatch(snapshot.left_s)} left"]
