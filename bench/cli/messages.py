"""What the command says: results on standard output, everything else on standard error; neither can break it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

from bench.observe.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.errors import BenchError

#: Colours of the words that open a line on a terminal.
_COLOURS: Final = {"error": "\x1b[1;31m", "warning": "\x1b[33m"}
_PLAIN: Final = "\x1b[0m"


def prepare_streams() -> None:
    """Make standard output and error take every text, also where the locale's encoding lacks a character."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Write a line of results to standard output."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """Write a line to standard error."""
    _write(sys.stderr, text)


def warn(text: str) -> None:
    """Write a warning to standard error."""
    _write(sys.stderr, f"{_opening('warning')} {text}")


def fail(text: str, hint: str = "") -> None:
    """Write an error to standard error, and below it what to do."""
    _write(sys.stderr, f"{_opening('error')} {text}")
    if hint:
        _write(sys.stderr, f"  {hint}")


def fail_with(error: BenchError, scrub: Callable[[str], str], more: str = "") -> None:
    """Write one of our own errors to standard error.

    Args:
        error: The error, which may quote what others wrote.
        scrub: Takes the keys out of a text.
        more: A line that follows.
    """
    message, *hints = [printable(line) for line in scrub(str(error)).split("\n")]
    fail(message, "\n  ".join([*hints, *([printable(more)] if more else [])]))


def _opening(word: str) -> str:
    coloured = sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return f"{_COLOURS[word]}{word}:{_PLAIN}" if coloured else f"{word}:"


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line; a reader that is gone (`| head`) is no reason to fail."""
    if stream is None:
        return
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except (OSError, ValueError):
        # What is still buffered would fail once more when Python exits.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), stream.fileno())
