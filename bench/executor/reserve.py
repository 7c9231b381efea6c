"""Disk space that is kept back for what concludes a run, so that a run that fills the disk can still say so."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = ".reserve"

#: Room for run.json and summary.json, and in the summary for a row of each slot.
_BASE_BYTES: Final = 64 * 1024
_SLOT_BYTES: Final = 512


class Reserve:
    """A file that takes space until it is released.

    Args:
        directory: The run's directory.
        slots: N.

    Raises:
        ConfigError: The disk has no room for it.
    """

    def __init__(self, directory: Path, slots: int) -> None:
        self._path = directory / _NAME
        # Random, because zeros take no space on a disk that compresses.
        data = os.urandom(_BASE_BYTES + _SLOT_BYTES * slots)
        try:
            # Of a run that was killed it is there still.
            self._path.unlink(missing_ok=True)
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
        except OSError as error:
            self.release()
            raise ConfigError(
                f"cannot keep a run in {directory}: {error.strerror}", "make room, or choose another place"
            ) from error

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<Reserve {self._path}>"

    def release(self) -> None:
        """Give the space back; a second call does nothing."""
        # On a disk that takes no change any more there is nothing to be gained from it.
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
