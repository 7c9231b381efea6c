"""A file of lines that another process appends to: each line found again by its number."""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES: Final = 1 << 20


class GrowingLines:
    r"""The whole lines of a file; a last one without `\n` is not there yet. Eight bytes of memory a line.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        #: Where each line begins, and the end of the last.
        self._starts = array("q", [0])

    def __len__(self) -> int:
        """How many lines are known."""
        return len(self._starts) - 1

    def __repr__(self) -> str:
        """Show how many lines there are."""
        return f"<GrowingLines {len(self)}>"

    def grow(self, most: int) -> bool:
        """Look for lines that have come; return whether there may be more than are known now.

        Args:
            most: Look no further once so many are known.
        """
        while len(self) < most:
            end = self._starts[-1]
            block = os.pread(self._descriptor, _BLOCK_BYTES, end)
            size = _BLOCK_BYTES
            while b"\n" not in block and len(block) == size:
                # A line that is longer than a block.
                size *= 2
                block = os.pread(self._descriptor, size, end)
            if b"\n" not in block:
                return False
            at = block.find(b"\n")
            while at >= 0:
                self._starts.append(end + at + 1)
                at = block.find(b"\n", at + 1)
        return True

    def count(self) -> int:
        """How many lines the file has by now, known or not."""
        total, at = len(self), self._starts[-1]
        while block := os.pread(self._descriptor, _BLOCK_BYTES, at):
            total += block.count(b"\n")
            at += len(block)
        return total

    def line(self, number: int) -> bytes:
        r"""Return a line by its number from 0, without its `\n`."""
        start, end = self._starts[number], self._starts[number + 1]
        return os.pread(self._descriptor, end - start - 1, start)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
