"""Run directories: the one writer of a run's records, and lazy readers of them."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from bench.errors import ConfigError, JournalError
from bench.manifest import RunManifest
from bench.records import SCHEMA_VERSION, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

MANIFEST: Final = "run.json"
WORKLOAD: Final = "workload.jsonl"
TASKS: Final = "tasks.jsonl"
SUMMARY: Final = "summary.json"
LOG: Final = "run.log"

#: Prompts and answers are their owner's business.
_DIRECTORY_MODE: Final = 0o700
_FILE_MODE: Final = 0o600

T = TypeVar("T")


def create_run_directory(results_dir: Path, mode: str, now: datetime) -> Path:
    """Make `results_dir/<run id>/` and return it; the id is `YYYYMMDDTHHMMSSZ-<mode>-<4 hex>`.

    Args:
        results_dir: Made if absent.
        mode: Concurrency model, part of the id.
        now: The present in UTC.

    Raises:
        ConfigError: The directory cannot be written.
    """
    try:
        results_dir.mkdir(parents=True, exist_ok=True)
        while True:
            directory = results_dir / f"{now:%Y%m%dT%H%M%SZ}-{mode}-{secrets.token_hex(2)}"
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=_DIRECTORY_MODE)
                return directory
    except OSError as error:
        msg = f"cannot keep runs in {results_dir}: {error.strerror}"
        raise ConfigError(msg, "choose another place with --results-dir") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old or the new content, whole, whatever happens meanwhile.

    Raises:
        JournalError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        msg = f"cannot write {path}: {error.strerror}"
        raise JournalError(msg) from error


class LineFile:
    """A file to which whole lines are appended, each with one write; not thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._whole_bytes = 0
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _FILE_MODE)
        except OSError as error:
            raise self._failed(error) from error

    def __repr__(self) -> str:
        """Show where it is and how much it holds."""
        return f"<LineFile {self.path} lines={self.lines} bytes={self._whole_bytes}>"

    def append(self, line: bytes) -> None:
        r"""Append a line, given without its `\n`; it is in the operating system's hands on return.

        Raises:
            JournalError: The disk is full or gone; what was written before is whole.
        """
        data = line + b"\n"
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._whole_bytes)
            raise self._failed(error) from error
        self._whole_bytes += len(data)
        self.lines += 1

    def close(self) -> None:
        """Bring everything to the disk and close; a second call does nothing.

        Raises:
            JournalError: The disk refuses.
        """
        if self._descriptor < 0:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _failed(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot write {self.path}: {error.strerror}; the {self.lines} lines written before are whole"
        )


class Journal:
    """The one writer of a run: tasks as they are drawn, results as they end, the manifest as it changes.

    Not thread-safe; the executor calls it under its lock. Raises JournalError where a record cannot be kept.
    """

    def __init__(self, directory: Path, manifest: RunManifest) -> None:
        self.directory = directory
        self.manifest = manifest
        self._encoder = msgspec.json.Encoder()
        self._save_manifest()
        self._workload = LineFile(directory / WORKLOAD)
        self._tasks = LineFile(directory / TASKS)

    def __repr__(self) -> str:
        """Show where it is and how far it got."""
        return f"<Journal {self.directory.name} drawn={self._workload.lines} recorded={self._tasks.lines}>"

    @property
    def drawn(self) -> int:
        """Tasks drawn so far."""
        return self._workload.lines

    @property
    def recorded(self) -> int:
        """Results kept so far."""
        return self._tasks.lines

    def drew(self, task: Task) -> None:
        """Keep a task before it is sent."""
        self._workload.append(self._encoder.encode(task))

    def append(self, line: bytes) -> None:
        """Keep a TaskResult, encoded as JSON."""
        self._tasks.append(line)

    def close(self, manifest: RunManifest) -> None:
        """Bring the records to the disk, then the manifest in its last form."""
        try:
            self._workload.close()
        finally:
            self._tasks.close()
        self.manifest = manifest
        self._save_manifest()

    def _save_manifest(self) -> None:
        write_atomically(self.directory / MANIFEST, msgspec.json.format(self._encoder.encode(self.manifest), indent=2))


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


def read_manifest(run: Path) -> RunManifest:
    """Read `run.json`.

    Raises:
        JournalError: There is none, or it is not one of ours; the message names path and reason.
    """
    path = run / MANIFEST
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            msg = f"{path} has schema version {version}, this program reads up to {SCHEMA_VERSION}"
            raise JournalError(msg)
        return msgspec.json.decode(content, type=RunManifest)
    except OSError as error:
        msg = f"{run} is not a run: cannot read {MANIFEST}: {error.strerror}"
        raise JournalError(msg) from error
    except msgspec.MsgspecError as error:
        msg = f"{path} is damaged: {error}"
        raise JournalError(msg) from error


def iter_lines(path: Path) -> Iterator[bytes]:
    r"""Yield the complete lines of a file without their `\n`; a torn last line is left out.

    Raises:
        JournalError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise JournalError(msg) from error


class _Id(msgspec.Struct, frozen=True, gc=False):
    task_id: str


def iter_last_lines(run: Path) -> Iterator[bytes]:
    """Yield the lines of `tasks.jsonl` that decide: of several with one task_id, the last.

    Raises:
        JournalError: The file cannot be read, or a line of it is damaged.
    """
    for _, line in _deciding(run):
        yield line


def _deciding(run: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that decide, each with its number in the file, from 1."""
    path = run / TASKS
    if len(read_manifest(run).segments) <= 1:
        # Only a resume writes a second line for a task.
        yield from enumerate(iter_lines(path), 1)
        return
    decoder = msgspec.json.Decoder(_Id)
    last = {decode_line(decoder, line, path, number).task_id: number for number, line in enumerate(iter_lines(path), 1)}
    deciding = set(last.values())
    for number, line in enumerate(iter_lines(path), 1):
        if number in deciding:
            yield number, line


def iter_last_results(run: Path, record_type: type[T]) -> Iterator[T]:
    """Yield the deciding records of a run as `record_type`, a Struct with those fields of TaskResult that are wanted.

    Raises:
        JournalError: The file cannot be read, or a line of it is damaged.
    """
    decoder = msgspec.json.Decoder(record_type)
    for number, line in _deciding(run):
        yield decode_line(decoder, line, run / TASKS, number)


def decode_line(decoder: msgspec.json.Decoder[T], line: bytes, path: Path, number: int) -> T:
    """Decode a line of a journal file.

    Raises:
        JournalError: It is damaged; the message names path and line.
    """
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        msg = f"{path}, line {number} is damaged: {error}"
        raise JournalError(msg) from error
