"""What the command says: on any stream, whatever its state and its encoding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]

#: Says a line on each stream, as a command does.
SPEAKER: Final = """
from bench.cli.messages import fail, note, prepare_streams, say, warn
prepare_streams()
say("结果 \\ud800"); note("note"); warn("warning"); fail("message", "hint"); say("more")
"""


def speak(**streams: int) -> subprocess.CompletedProcess[bytes]:
    """Run the speaker with these streams."""
    return subprocess.run([sys.executable, "-c", SPEAKER], cwd=ROOT, check=False, **streams)  # type: ignore[call-overload, no-any-return] # descriptors by name


def test_results_and_the_rest() -> None:
    """Results go to standard output and all else to standard error, an error with what to do below it."""
    said = speak(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert said.returncode == 0
    assert said.stdout.decode() == "结果 \\ud800\nmore\n"
    assert said.stderr.decode() == "note\nwarning: warning\nerror: message\n  hint\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_is_gone(stream: str) -> None:
    """A pipe that nobody reads any more changes neither the exit code nor the other stream."""
    reading, writing = os.pipe()
    os.close(reading)
    other = "stderr" if stream == "stdout" else "stdout"
    said = speak(**{stream: writing, other: subprocess.PIPE})
    os.close(writing)
    assert said.returncode == 0
    whole = said.stderr if stream == "stdout" else said.stdout
    assert whole.endswith(b"hint\n" if stream == "stdout" else b"more\n")


def test_an_encoding_that_lacks_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the terminal's encoding has no Chinese, escapes stand in its place."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    said = speak(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (said.returncode, said.stdout) == (0, b"\\u7ed3\\u679c \\ud800\nmore\n")
