"""Tests of streams that break, block, or cannot write what they are given."""

from __future__ import annotations

import io
import os

from rich.text import Text

from bench.observe.terminal import SafeStream, Terminal, output_console


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


def test_markup_is_text() -> None:
    """Brackets and colons from outside are shown as they are."""
    out = io.StringIO()
    Terminal(out).line(Text("[red]x[/nope] :smile:"))
    output_console(out).print("[red]x[/nope] :smile:")
    assert out.getvalue() == "[red]x[/nope] :smile:\n" * 2
