"""A run's directory: its name, its files' names, and files that are written as a whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

MANIFEST: Final = "run.json"
WORKLOAD: Final = "workload.jsonl"
TASKS: Final = "tasks.jsonl"
SUMMARY: Final = "summary.json"
ROUTES: Final = "routes.jsonl"
LOG: Final = "run.log"

#: Prompts and answers are their owner's business.
_DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600


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
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        msg = f"cannot write {path}: {error.strerror}"
        raise JournalError(msg) from error


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk.

    Raises:
        OSError: The disk refuses.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
