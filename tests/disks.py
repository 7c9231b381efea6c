"""Disks that run out, for tests: a limit on files that anyone may set, and a small file system that root can make."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def files_limited_to(limit_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond `limit_bytes` in the block: a write past it is cut, the next fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Mount an empty file system of that size at a new directory, for the block."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
