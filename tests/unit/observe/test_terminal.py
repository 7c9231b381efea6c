"""Tests of streams that break, block, or cannot write what they are given."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Final

from rich.text import Text

from bench.observe.terminal import SafeStream, Terminal, output_console

ROOT: Final = Path(__file__).parents[3]


def test_broken_pipe() -> None:
    """Writing to a pipe that nobody reads any more is no error, not even when the stream is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        terminal = Terminal(stream)
        for _ in range(3):
            terminal.line(Text("a line"))
    terminal.line(Text("a line"))
    output_console(stream).print("a line")


def test_reader_that_has_seen_enough() -> None:
    """A program whose output goes to `head` ends without a complaint, and with its own exit code."""
    program = """
import sys
from bench.observe.terminal import output_console
sys.stdin.read()
output_console(sys.stdout).print("a line")
sys.exit(7)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (7, b"")


def test_no_stream_at_all() -> None:
    """A process that was started with its standard error closed writes nothing, to nowhere."""
    terminal = Terminal(None)
    terminal.line(Text("a line"))
    assert not terminal.live


def test_full_non_blocking_pipe() -> None:
    """A stream that takes nothing now loses what it cannot take, and works again later."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w", encoding="utf-8") as stream, os.fdopen(reader, "rb") as received:
        safe = SafeStream(stream)
        safe.write("x" * 10_000_000)
        assert len(received.read1(10_000_000)) < 10_000_000
        safe.write("again")
        assert received.read1(10_000_000).endswith(b"again")


def test_characters_beyond_the_encoding() -> None:
    """What the terminal's encoding lacks becomes question marks of the same width, so that nothing shifts."""
    raw = io.BytesIO()
    safe = SafeStream(io.TextIOWrapper(raw, encoding="ascii"))
    safe.write("技术 é ok\n")
    assert raw.getvalue() == b"???? ? ok\n"


def test_size_is_that_of_the_stream() -> None:
    """The width is that of the terminal written to, whatever other terminals the process has."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 7, 33, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        assert output_console(stream).size == (33, 7)
    os.close(master)


def test_markup_is_text() -> None:
    """Brackets and colons from outside are shown as they are."""
    out = io.StringIO()
    Terminal(out).line(Text("[red]x[/nope] :smile:"))
    output_console(out).print("[red]x[/nope] :smile:")
    assert out.getvalue() == "[red]x[/nope] :smile:\n" * 2
