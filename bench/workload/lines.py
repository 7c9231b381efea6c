"""Files of text lines, read as often as needed without being held in memory, also when they came through a pipe."""

from __future__ import annotations

import codecs
import io
import os
import shutil
import stat
import tempfile
import weakref
from typing import TYPE_CHECKING, Final

from bench.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

#: A line is held in memory whole. Longer than this it is no prompt that a model could take.
MAX_LINE_BYTES: Final = 16 * 1024 * 1024

#: The name that stands for standard input.
STDIN: Final = "-"


class LinesFile:
    """A file of UTF-8 lines as it stood when it was opened: what is appended or renamed later does not matter.

    Several iterations may be under way at once, each in a thread of its own.

    Args:
        path: The file, or `-` for standard input; what is not a regular file is copied to a temporary one first.
        stdin: Standard input.

    Raises:
        WorkloadError: It cannot be opened.
    """

    def __init__(self, path: Path, stdin: BinaryIO) -> None:
        self.name = "standard input" if str(path) == STDIN else str(path)
        try:
            file = _seekable(path, stdin)
            self._size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise self._unreadable(error) from error
        self._descriptor = file.fileno()
        # Open as long as someone may iterate, without making every user of a workload close it.
        weakref.finalize(self, file.close)

    def __repr__(self) -> str:
        """Show what it reads."""
        return f"<LinesFile {self.name} bytes={self._size}>"

    def __iter__(self) -> Iterator[tuple[int, str]]:
        r"""Yield number (from 1) and text of each line that is not blank, without its `\n` or `\r\n`.

        Raises:
            WorkloadError: A line is too long or not UTF-8, or the file cannot be read any more.
        """
        number = 0
        with io.BufferedReader(_Window(self._descriptor, self._size)) as reader:
            while line := self._read_line(reader):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise WorkloadError(
                        f"{self.name}, line {number} is longer than {MAX_LINE_BYTES} bytes", "one task a line is needed"
                    )
                text = self._decode(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, number)
                if text and not text.isspace():
                    yield number, text

    def _read_line(self, reader: io.BufferedReader[_Window]) -> bytes:
        try:
            return reader.readline(MAX_LINE_BYTES + 1)
        except OSError as error:
            raise self._unreadable(error) from error

    def _decode(self, line: bytes, number: int) -> str:
        try:
            return line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise WorkloadError(
                f"{self.name}, line {number} is not UTF-8: {error.reason} at byte {error.start + 1} of the line",
                "save the file as UTF-8",
            ) from error

    def _unreadable(self, error: OSError) -> WorkloadError:
        return WorkloadError(f"cannot read {self.name}: {error.strerror or error}")


class _Window(io.RawIOBase):
    """The first bytes of an open file, with a position of its own; closing it leaves the file open."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = os.pread(self._descriptor, min(len(view), self._size_bytes - self._position), self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def _seekable(path: Path, stdin: BinaryIO) -> BinaryIO:
    """Open a file for reading at any place; copy it to a nameless temporary file if it is none of that kind."""
    if str(path) == STDIN:
        return _copy(stdin)
    file = path.open("rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    with file:
        return _copy(file)


def _copy(source: BinaryIO) -> BinaryIO:
    # Closed by whoever it is returned to.
    copy = tempfile.TemporaryFile(prefix="bench-workload-")  # noqa: SIM115
    try:
        shutil.copyfileobj(source, copy)
        copy.flush()
    except OSError:
        copy.close()
        raise
    return copy
