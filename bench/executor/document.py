"""The document that `--output` asks for: one JSON file with everything of a run."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from bench.errors import JournalError
from bench.journal import MANIFEST, ROUTES, TASKS, decode_line, iter_last_lines, iter_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.summary import Summary


class _Place(msgspec.Struct, frozen=True, order=True):
    """Where a task stands in its workload."""

    iteration: int
    index: int
    version: int


def write_document(run: Path, summary: Summary, output: Path) -> None:
    """Write `{"run", "summary", "workers", "results"}`, results in the order of the workload.

    A run of profile `prod` has "routes" before its results: what has changed about them, as it is stored.

    Reads the journal a record at a time; memory is a few numbers a task.

    Raises:
        JournalError: The journal cannot be read, or the file cannot be written.
    """
    try:
        with _whole_file(output) as file:
            file.write(b'{"run":' + (run / MANIFEST).read_bytes())
            file.write(b',\n"summary":' + msgspec.json.encode(summary))
            file.write(b',\n"workers":' + msgspec.json.encode(summary.workers))
            if (run / ROUTES).exists():
                file.write(b',\n"routes":[' + b",\n".join(iter_lines(run / ROUTES)) + b"]")
            file.write(b',\n"results":[')
            for number, line in enumerate(_ordered_lines(run)):
                file.write((b"\n" if number == 0 else b",\n") + line)
            file.write(b"\n]}\n")
    except OSError as error:
        msg = f"cannot write {output}: {error.strerror}; the records are in {run}"
        raise JournalError(msg) from error


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that stands under its name once the block has ended well, and leaves nothing behind if it has not."""
    if path.exists() and not path.is_file():
        # A device or a pipe has nothing to keep, and must not be replaced by a file.
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _ordered_lines(run: Path) -> Iterator[bytes]:
    """Yield the deciding lines in the order of the workload, by their places in the file."""
    path = run / TASKS
    decoder = msgspec.json.Decoder(_Place)
    places: list[tuple[_Place, int, int]] = []
    offset = 0
    deciding = iter_last_lines(run)
    wanted = next(deciding, None)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if wanted is not None and line == wanted + b"\n":
                places.append((decode_line(decoder, wanted, path, number), offset, len(line) - 1))
                wanted = next(deciding, None)
            offset += len(line)
        for _, start, length in sorted(places):
            file.seek(start)
            yield file.read(length)
