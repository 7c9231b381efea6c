"""The file of a search, written after every probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.journal import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from bench.tuning.records import Tuning

TUNE: Final = "tune.json"


def save(directory: Path, tuning: Tuning) -> None:
    """Write the search as it stands; a reader finds the old or the new one, whole.

    Raises:
        JournalError: It cannot be written.
    """
    write_atomically(directory / TUNE, msgspec.json.format(msgspec.json.encode(tuning), indent=1))
