"""The log of a run: `run.log`, a record a line, and warnings on the terminal; neither can stop or slow the run."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from rich.text import Text

from bench.clock import NS_PER_S
from bench.errors import ConfigError
from bench.logcontext import NO_TASK, Scrubber, keep_library_warnings_only, logging_to, record_text, task_of
from bench.observe.terminal import Terminal
from bench.observe.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_T = TypeVar("_T")

#: Lines that may wait for a slow disk or a stopped terminal; what comes on top is left out.
_MOST_WAITING: Final = 10_000

#: How long the end of a run waits until the last lines are written.
_CLOSE_S: Final = 2.0

#: Lines that the terminal takes at once, and the time after which it takes one more: 10,000 failed tasks shall not
#: become 10,000 lines.
_BURST_LINES: Final = 10
_NEXT_LINE_NS: Final = NS_PER_S

#: A line on a terminal is read, not archived.
_LONGEST_CONSOLE_COLUMNS: Final = 500

#: How Python begins a traceback.
_TRACEBACK: Final = "Traceback (most recent call last):"


@contextlib.contextmanager
def run_logging(
    path: Path,
    *,
    run_id: str,
    level: int = logging.INFO,
    console_level: int = logging.WARNING,
    secrets: Sequence[str] = (),
    terminal: Terminal | None = None,
) -> Iterator[None]:
    """Inside the block, keep what this program logs in a file, and show what is grave on the terminal.

    A line of the file: UTC time, level, process id, process and thread, run, task, logger, message. The libraries'
    warnings go to the file only. A line that cannot be written (the disk is full, the terminal is gone) is left out.

    Args:
        path: The log file, appended to.
        run_id: Stands on every line.
        level: Least severity for the file.
        console_level: Least severity for the terminal.
        secrets: Values that `****` replaces in messages and tracebacks.
        terminal: The run's terminal, the one that its display uses; standard error when None.

    Raises:
        ConfigError: The file cannot be opened.
    """
    scrub = Scrubber(secrets)
    file = _LogFile(path)
    screen = terminal or Terminal(sys.stderr)
    with contextlib.ExitStack() as undo:
        to_file = undo.enter_context(_writing(file.write, file.close))
        to_screen = undo.enter_context(_writing(screen.line))
        file_handler = _FileHandler(to_file, run_id, scrub, level)
        console_handler = _ConsoleHandler(to_screen, path, scrub, console_level)
        undo.callback(console_handler.conclude)
        logging.captureWarnings(capture=True)
        undo.callback(logging.captureWarnings, capture=False)
        undo.enter_context(logging_to([file_handler, console_handler], [file_handler], level=min(level, console_level)))
        yield


def file_line(record: logging.LogRecord, run_id: str, scrub: Scrubber) -> str:
    """Return the line of a record in `run.log`; to be called in the thread that logged it."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    # Names such as "Thread-1 (run)" hold blanks, which part the fields of a line.
    who = f"{record.processName}/{record.threadName}".replace(" ", "_")
    head = (
        f"{when}Z {record.levelname:<7} pid={record.process} {who} run={run_id} task={task_of(record)} {record.name}:"
    )
    return printable(f"{head} {record_text(record, scrub)}")


def console_line(record: logging.LogRecord, scrub: Scrubber) -> str:
    """Return what the terminal shows of a record: level, task if any, first line, and what was raised."""
    first, *rest = record_text(record, scrub).splitlines() or [""]
    if rest:
        first = f"{first} ({_raised(rest) or 'more in the log file'})"
    task_id = task_of(record)
    task = "" if task_id == NO_TASK else f"task {task_id}: "
    return printable(f"{record.levelname.lower()}: {task}{first}", _LONGEST_CONSOLE_COLUMNS)


def _raised(lines: Sequence[str]) -> str | None:
    """Return the line of a traceback that names the exception: the first after the frames, which are indented."""
    if _TRACEBACK not in lines:
        return None
    start = len(lines) - lines[::-1].index(_TRACEBACK)
    return next((line for line in lines[start:] if line and not line.startswith(" ")), None)


class _FileHandler(logging.Handler):
    """Hands lines to the thread that writes the file."""

    def __init__(self, put: Callable[[str], None], run_id: str, scrub: Scrubber, level: int) -> None:
        super().__init__(level)
        self.addFilter(keep_library_warnings_only)
        self._put = put
        self._run_id = run_id
        self._scrub = scrub

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._put(file_line(record, self._run_id, self._scrub))


class _ConsoleHandler(logging.Handler):
    """Hands lines with their style to the thread that writes to the terminal, as many as a person can read."""

    def __init__(self, put: Callable[[Text], None], path: Path, scrub: Scrubber, level: int) -> None:
        super().__init__(level)
        self._put = put
        self._path = path
        self._scrub = scrub
        self._allowed = float(_BURST_LINES)
        self._counted_ns = time.perf_counter_ns()
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line, or count it."""
        now_ns = time.perf_counter_ns()
        self._allowed = min(_BURST_LINES, self._allowed + (now_ns - self._counted_ns) / _NEXT_LINE_NS)
        self._counted_ns = now_ns
        if self._allowed < 1:
            self._left_out += 1
            return
        self._allowed -= 1
        self.conclude()
        style = "red" if record.levelno >= logging.ERROR else "yellow"
        self._put(Text(console_line(record, self._scrub), style=style))

    def conclude(self) -> None:
        """Say how many lines were left out since the last one shown."""
        if self._left_out:
            self._put(Text(printable(f"{self._left_out} more warnings are in {self._path}"), style="yellow"))
            self._left_out = 0


class _LogFile:
    """A file that takes whole lines and survives a full disk: a line cut off is ended before the next begins."""

    def __init__(self, path: Path) -> None:
        try:
            # Messages of servers and tracebacks are their owner's business, as the records are.
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
        except OSError as exc:
            msg = f"the log file {path} cannot be written: {exc.strerror}"
            raise ConfigError(msg, "choose another with --log-file") from exc
        self._cut_off = False

    def write(self, line: str) -> None:
        """Append a line, or lose it."""
        data = f"{line}\n".encode()
        if self._cut_off:
            data = b"\n" + data
        with contextlib.suppress(OSError):
            self._cut_off = self._file.write(data) != len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Closed:
    """What ends a writing thread."""


@contextlib.contextmanager
def _writing(write: Callable[[_T], object], close: Callable[[], None] | None = None) -> Iterator[Callable[[_T], None]]:
    """Run a thread that writes and, at the end, closes; yields what takes an item for it and returns at once."""
    waiting: queue.SimpleQueue[_T | _Closed] = queue.SimpleQueue()

    def put(item: _T) -> None:
        if waiting.qsize() < _MOST_WAITING:
            waiting.put(item)

    def work() -> None:
        while not isinstance(item := waiting.get(), _Closed):
            write(item)
        if close is not None:
            close()

    thread = threading.Thread(target=work, name="log", daemon=True)
    thread.start()
    try:
        yield put
    finally:
        waiting.put(_Closed())
        thread.join(_CLOSE_S)
