"""Files of whole lines: one writer that appends, readers that leave a torn last line out."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from bench.errors import JournalError
from bench.journal.directory import FILE_MODE, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

T = TypeVar("T")

#: How much is read at a time while the end of the last whole line is looked for.
_BLOCK_BYTES: Final = 65_536


#: No record is longer: an answer has at most 32 MiB, of which each byte may take six to write.
_LONGEST_LINE_BYTES: Final = 1 << 28

#: No manifest is longer: its largest part is a command line, which systems bound to some megabytes.
_LONGEST_MANIFEST_BYTES: Final = 1 << 26


class LineFile:
    """A file to which whole lines are appended; not thread-safe but for `sync`.

    Args:
        path: The file.
        again: Go on with a file that may be there; without it there must be none.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self.path = path
        self.lines = 0
        self._whole_bytes = 0
        self._synced_bytes = 0
        # Never through a link that somebody planted.
        flags = os.O_RDWR | os.O_NOFOLLOW if again else os.O_WRONLY | os.O_EXCL
        try:
            self._descriptor = os.open(path, flags | os.O_CREAT | os.O_APPEND, FILE_MODE)
            self._whole_bytes = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise self._failed(error) from error

    def __repr__(self) -> str:
        """Show where it is and how much it holds."""
        return f"<LineFile {self.path} lines={self.lines} bytes={self._whole_bytes}>"

    def lock(self) -> bool:
        """Keep others from writing until this process ends or closes the file; return whether nobody else does.

        Where the file system knows no locks there is none to be had, and nobody is refused.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def mend(self) -> Path | None:
        """Move a torn last line into a file of its own, and return that file, or None where the last line is whole.

        Raises:
            JournalError: It cannot be read or written; nothing is lost.
        """
        try:
            size = os.fstat(self._descriptor).st_size
            whole = self._end_of_last_line(size)
            aside = None if whole == size else self._copied_aside(whole)
            if aside is not None:
                os.ftruncate(self._descriptor, whole)
                os.fsync(self._descriptor)
        except OSError as error:
            raise self._failed(error) from error
        self._whole_bytes = whole
        return aside

    def append(self, *lines: bytes) -> None:
        r"""Append lines, given without their `\n`, with one write; they are in the operating system's hands on return.

        Raises:
            JournalError: The disk is full or gone. What was written before is whole, and so are the first of these
                lines, as far as they fitted: `lines` counts them.
        """
        data = b"\n".join((*lines, b""))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            written = data.rfind(b"\n", 0, written) + 1
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._whole_bytes + written)
            self._whole_bytes += written
            self.lines += data.count(b"\n", 0, written)
            raise self._failed(error) from error
        self._whole_bytes += written
        self.lines += len(lines)

    def sync(self) -> None:
        """Bring what was appended to the disk; from any thread, while another one appends.

        Raises:
            JournalError: The disk refuses, or the file was removed.
        """
        if self._descriptor < 0:
            return
        whole_bytes = self._whole_bytes
        try:
            if whole_bytes != self._synced_bytes:
                os.fsync(self._descriptor)
            links = os.fstat(self._descriptor).st_nlink
        except OSError as error:
            raise self._failed(error) from error
        if links == 0:
            raise JournalError(f"{self.path} was removed while the run was writing it; its records are lost")
        self._synced_bytes = whole_bytes

    def close(self) -> None:
        """Bring everything to the disk and close; a second call does nothing.

        Raises:
            JournalError: The disk refuses, or the file was removed.
        """
        if self._descriptor < 0:
            return
        try:
            self._synced_bytes = -1
            self.sync()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _end_of_last_line(self, size: int) -> int:
        end = size
        while end > 0:
            start = max(0, end - _BLOCK_BYTES)
            place = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
        return 0

    def _copied_aside(self, whole: int) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.torn-{number}")).exists():
            number += 1
        with (
            os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as copy,
            self.path.open("rb") as file,
        ):
            file.seek(whole)
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(copy.fileno())
        sync_directory(aside.parent)
        return aside

    def _failed(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot write {self.path}: {error.strerror}; the {self.lines} lines written before are whole"
        )


def iter_lines(path: Path) -> Iterator[bytes]:
    r"""Yield the complete lines of a file without their `\n`; a torn last line is left out.

    Raises:
        JournalError: The file cannot be read, or a line is longer than any that was written here.
    """
    try:
        with open_regular(path) as file:
            while line := file.readline(_LONGEST_LINE_BYTES):
                if line.endswith(b"\n"):
                    yield line[:-1]
                elif len(line) == _LONGEST_LINE_BYTES:
                    msg = f"{path} is damaged: a line is longer than {_LONGEST_LINE_BYTES} bytes"
                    raise JournalError(msg)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise JournalError(msg) from error


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it; what is none (a pipe, a device) would not end, and is refused.

    Raises:
        OSError: It cannot be opened, or is no file.
    """
    # A pipe without a writer would be waited for.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def read_whole(path: Path) -> bytes:
    """Read a manifest or its like.

    Raises:
        OSError: It cannot be read, is no file, or is longer than any of them.
    """
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > _LONGEST_MANIFEST_BYTES:
            raise OSError(errno.EFBIG, f"it has {size_bytes} bytes, more than a run can fill", str(path))
        return file.read()


def decode_line(decoder: msgspec.json.Decoder[T], line: bytes, path: Path, number: int) -> T:
    """Decode a line of a journal file.

    Raises:
        JournalError: It is damaged; the message names path and line.
    """
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        msg = f"{path}, line {number} is damaged: {error}"
        raise JournalError(msg) from error
