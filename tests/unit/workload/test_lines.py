"""Files of lines: what counts as a line, what cannot be read, and how often it can be read."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import WorkloadError
from bench.workload.lines import MAX_LINE_BYTES, LinesFile

NOTHING = io.BytesIO()


def lines_of(path: Path, data: bytes) -> list[tuple[int, str]]:
    """Return what a file with this content reads as."""
    path.write_bytes(data)
    return list(LinesFile(path, NOTHING))


def test_lines(tmp_path: Path) -> None:
    r"""Lines end with `\n` or `\r\n`, the last one also without; blank ones do not count, but keep their number."""
    data = "\ufeff一\r\n\r\n  \t\ntwo\u2028still two\x0b\n\u3000\nthree".encode()
    assert lines_of(tmp_path / "f", data) == [(1, "一"), (4, "two\u2028still two\x0b"), (6, "three")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))))
def test_round_trip(texts: list[str]) -> None:
    """Whatever text is written a line comes back as it was, through standard input too."""
    wanted = [(number, text) for number, text in enumerate(texts, 1) if text.strip()]
    stdin = io.BytesIO("".join(f"{text}\r\n" for text in texts).encode())
    lines = LinesFile(Path("-"), stdin)
    if not texts or not texts[0].startswith("\ufeff"):
        assert list(lines) == wanted
        assert list(lines) == wanted


def test_iterators_are_independent(tmp_path: Path) -> None:
    """Several passes may be under way at once, over standard input as well as over a file."""
    (tmp_path / "f").write_text("a\nb\nc\n", encoding="utf-8")
    for lines in (LinesFile(tmp_path / "f", NOTHING), LinesFile(Path("-"), io.BytesIO(b"a\nb\nc\n"))):
        first, second = iter(lines), iter(lines)
        assert [next(first), next(first), next(second), next(first), next(second)] == [
            (1, "a"),
            (2, "b"),
            (1, "a"),
            (3, "c"),
            (2, "b"),
        ]


def test_file_as_it_was_opened(tmp_path: Path) -> None:
    """What is appended to a file, or put in its place, while a run reads it does not change the workload."""
    path = tmp_path / "f"
    path.write_text("a\nb\n", encoding="utf-8")
    lines = LinesFile(path, NOTHING)
    with path.open("a", encoding="utf-8") as file:
        file.write("c\n")
    path.with_name("other").write_text("x\n", encoding="utf-8")
    path.with_name("other").rename(path)
    assert list(lines) == [(1, "a"), (2, "b")]


def test_fifo(tmp_path: Path) -> None:
    """A pipe by name, such as a shell's <(..), is read once and then as often as needed."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a\nb\n",))
    writer.start()
    lines = LinesFile(path, NOTHING)
    writer.join()
    assert list(lines) == list(lines) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("data", "line"), [(b"ok\nx\xff\n", 2), ("一\n".encode("utf-16"), 1), (b"a\n\n\xed\xa0\x80", 3)]
)
def test_not_utf8(tmp_path: Path, data: bytes, line: int) -> None:
    """A line that is not UTF-8 is named by file and number."""
    with pytest.raises(WorkloadError, match=f"f, line {line} is not UTF-8"):
        lines_of(tmp_path / "f", data)


def test_line_too_long(tmp_path: Path) -> None:
    """A line that no model could take is refused by number, without being read whole."""
    with pytest.raises(WorkloadError, match="line 2 is longer than"):
        lines_of(tmp_path / "f", b"a\n" + b"x" * (MAX_LINE_BYTES + 1))


@pytest.mark.parametrize("name", ["absent", ".", "f/below"])
def test_unreadable(tmp_path: Path, name: str) -> None:
    """A path that is no file that can be read is refused with the reason."""
    (tmp_path / "f").touch()
    with pytest.raises(WorkloadError, match=r"cannot read .+: [A-Z]"):
        LinesFile(tmp_path / name, NOTHING)
