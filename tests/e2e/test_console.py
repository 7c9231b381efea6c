"""Tests of the live display in real terminals, pipes and closed streams, as a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyte
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]

#: How long a condition may take on a loaded machine.
PATIENCE_S: Final = 30

#: Shows a run that does what standard input says, a word a line, and ends with a word on standard output.
PROGRAM: Final = """
import logging, sys
from pathlib import Path
from bench.logcontext import task_scope
from bench.observe.console import progress_display
from bench.observe.logs import run_logging
from bench.observe.terminal import Terminal
from bench.records import AttemptGlimpse, ErrorInfo, Glimpse

def glimpse(error):
    return Glimpse(task_id="0-i0-v0", status="failed" if error else "ok", latency_s=0.5, ttft_s=0.2,
                   scheduled_s=0.0, first_token_s=0.2, ended_s=0.5,
                   completion_tokens=20, attempts=(AttemptGlimpse("ok"),), error=error)

terminal = Terminal(sys.stderr)
slow_down = ErrorInfo(type="rate_limited", message="速率限制，请稍后再试\\x1b[2J[red]" * 20)
with (
    run_logging(Path(sys.argv[1]), run_id="r", terminal=terminal),
    progress_display(
        total=201, slots=8, mode="multiprocessing", quiet="quiet" in sys.argv, terminal=terminal
    ) as observer,
):
    for word in map(str.strip, sys.stdin):
        match word:
            case "ready":
                observer.ready()
            case "ok":
                for _ in range(50):
                    observer.drawn()
                    observer.recorded(glimpse(None))
            case "failed":
                observer.drawn()
                observer.recorded(glimpse(slow_down))
            case "warn":
                with task_scope("3-i0-v0"):
                    logging.getLogger("bench").warning("第三个任务 is slow")
print("end")
"""


class Shown:
    """The program with its standard error on a pseudo-terminal, and what a person would see there."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, columns: int, lines: int) -> None:
        self.process = process
        self.raw = b""
        self._master = master
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The screen's lines down to the last that is not empty."""
        text = "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n")
        return text.split("\n")

    @property
    def cursor_line(self) -> int:
        """The line of the cursor, from 0."""
        return int(self._screen.cursor.y)

    def tell(self, *words: str) -> None:
        """Tell the program what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{word}\n" for word in words).encode())
        self.process.stdin.flush()

    def wait_for(self, pattern: str) -> None:
        """Read until a line of the screen matches, or fail with the screen."""
        end_s = time.perf_counter() + PATIENCE_S
        while not any(re.search(pattern, line) for line in self.lines):
            assert time.perf_counter() < end_s, f"no {pattern!r} in\n" + "\n".join(self.lines)
            if select.select([self._master], [], [], 0.2)[0]:
                self._read()

    def end(self) -> None:
        """Close standard input, which ends the program, and read the rest."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        with contextlib.suppress(OSError):
            while True:
                self._read()
        assert self.process.wait(PATIENCE_S) == 0
        assert self.process.stdout is not None
        assert self.process.stdout.read() == b"end\n"

    def _read(self) -> None:
        data = os.read(self._master, 65536)
        if not data:
            raise OSError
        self.raw += data
        self._stream.feed(data)


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what decides about colours and sizes, and with changes."""
    decisive = {"NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    kept = {name: value for name, value in os.environ.items() if name not in decisive}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **changes}


@contextlib.contextmanager
def shown(log: Path, *words: str, columns: int = 80, lines: int = 24, **changes: str) -> Iterator[Shown]:
    """Run the program on a pseudo-terminal of the given size."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, master)
        try:
            process = undo.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, str(log), *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=slave,
                    env=environment(**changes),
                )
            )
        finally:
            os.close(slave)
        undo.callback(process.kill)
        yield Shown(process, master, columns, lines)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return where the program may write its log."""
    return tmp_path / "run.log"


def run(log: Path, words: str, *options: str, stderr: int, prefix: tuple[str, ...] = ()) -> bytes | None:
    """Run the program without a terminal, tell it everything at once, and return its standard error."""
    ended = subprocess.run(
        [*prefix, sys.executable, "-c", PROGRAM, str(log), *options],
        input=words.encode(),
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment(),
        timeout=PATIENCE_S,
        check=True,
    )
    assert ended.stdout == b"end\n"
    return ended.stderr


def test_live_display(log: Path) -> None:
    """On a terminal the display says what it waits for, is redrawn in place, has warnings above it, and stays."""
    with shown(log) as terminal:
        terminal.wait_for(r"^multiprocessing: starting 8 workers \(0:0\d\)$")
        terminal.tell("ready", "ok")
        terminal.wait_for(r"^50/201 done, 24\.9 %  ━+─+$")
        terminal.tell("warn", "ok", "ok", "failed")
        terminal.wait_for(r"^151/201 done")
        assert terminal.lines[0] == "warning: task 3-i0-v0: 第三个任务 is slow"
        assert terminal.lines[1] == "multiprocessing, 8 requests at once"
        terminal.tell("ok")
        terminal.end()
        assert [line.partition("  ")[0] for line in terminal.lines[1:]] == [
            "multiprocessing, 8 requests at once",
            "201/201 done, 100 %",
            "tasks",
            "speed",
            "latency",
            "time",
            "errors",
            "last error",
        ]
        assert "p50 500 ms, p95 500 ms, max 500 ms, first token p50 200 ms" in terminal.lines[5]
        assert terminal.cursor_line == len(terminal.lines)
        assert b"\x1b[?25l" not in terminal.raw, "hides the cursor: a run that is killed would leave it hidden"
    assert "task=3-i0-v0" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (40, 6), (23, 24), (200, 3)])
def test_small_terminals(log: Path, columns: int, lines: int) -> None:
    """On a narrow or low terminal no line wraps: however often it is redrawn, the display is there once."""
    with shown(log, columns=columns, lines=lines) as terminal:
        terminal.tell("ready", "failed")
        terminal.wait_for(r"^1/201 done")
        for done in (51, 101, 151):
            terminal.tell("ok")
            terminal.wait_for(rf"^{done}/201 done")
            assert sum(line.startswith("multiprocessing") for line in terminal.lines) <= 1
            assert sum("/201 done" in line for line in terminal.lines) == 1
        terminal.end()


def test_server_text_cannot_act_on_the_terminal(log: Path) -> None:
    """A control code in a server's message is shown, not obeyed, and Chinese characters take two columns each."""
    with shown(log) as terminal:
        terminal.tell("ready", "failed")
        terminal.wait_for(r"^last error")
        terminal.end()
        assert b"\x1b[2J" not in terminal.raw
        (line,) = (line for line in terminal.lines if line.startswith("last error"))
        assert r"\x1b[2J[red]" in line
        assert line.endswith("…")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color(log: Path, no_color: str, coloured: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The display has colours, and with NO_COLOR none."""
    with shown(log, NO_COLOR=no_color) as terminal:
        terminal.tell("ready", "ok", "warn", "failed")
        terminal.wait_for(r"^51/201 done")
        terminal.end()
        assert (re.search(rb"\x1b\[[\d;]*3\d", terminal.raw) is not None) is coloured


def test_dumb_terminal(log: Path) -> None:
    """A terminal that cannot redraw gets plain lines."""
    with shown(log, columns=400, TERM="dumb") as terminal:
        terminal.tell("ready", "ok", "warn")
        terminal.wait_for("is slow")
        terminal.end()
        assert b"\x1b" not in terminal.raw
        assert terminal.lines[-1].startswith("multiprocessing: 50/201 done, 50 ok")


def test_quiet(log: Path) -> None:
    """A quiet run shows nothing on the terminal but warnings."""
    with shown(log, "quiet") as terminal:
        terminal.tell("ready", "ok")
        terminal.end()
        assert terminal.raw == b""


def test_pipe(log: Path) -> None:
    """Into a pipe go plain lines without control codes: each warning once, and progress with the final numbers last."""
    received = run(log, "ready\nok\nwarn\nfailed\n", stderr=subprocess.PIPE)
    assert received is not None
    lines = received.decode().splitlines()
    # Warnings have a thread of their own, which may write after the last numbers.
    *_, last = numbers = [line for line in lines if line.startswith("multiprocessing: ")]
    assert [line for line in lines if line not in numbers] == ["warning: task 3-i0-v0: 第三个任务 is slow"]
    assert last.startswith("multiprocessing: 51/201 done, 50 ok, 1 failed, 0 retried, 0 in flight, ")
    assert last.endswith(" elapsed, 1 rate_limited")


def test_reader_is_gone(log: Path) -> None:
    """Where nobody reads standard error any more, the run ends as ever and its log is whole."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run(log, "ready\nok\nwarn\nwarn\nfailed\n", stderr=writer)
    finally:
        os.close(writer)
    assert log.read_text(encoding="utf-8").count("is slow") == 2


def test_standard_error_is_closed(log: Path) -> None:
    """A run that was started with its standard error closed ends as ever."""
    run(log, "ready\nok\nwarn\nfailed\n", stderr=subprocess.DEVNULL, prefix=("sh", "-c", 'exec "$0" "$@" 2>&-'))
    assert log.read_text(encoding="utf-8").count("is slow") == 1


def test_standard_error_is_stuck(log: Path) -> None:
    """Where standard error takes nothing, as a terminal stopped with Ctrl+S, the run ends all the same."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    try:
        run(log, "ready\nok\nwarn\nfailed\n", stderr=writer)
    finally:
        os.close(writer)
        os.close(reader)
    assert log.read_text(encoding="utf-8").count("is slow") == 1
