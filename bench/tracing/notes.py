"""What is known to have been taken: notes in the run's directory, so that a second push sends nothing twice."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from bench.journal import LineFile, decode_line, iter_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.tracing.make import Iteration

#: The notes, and the counts of the last push.
NOTES: Final = "traces.jsonl"


class _Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the notes.

    Attributes:
        to: Where it went.
        sent: Records that were taken, as first and last number of a line of the records each, from 0.
        root: An iteration.
        start_us: The start of its root, which its tasks' spans refer to: noted before the first of them is sent.
        said: What was last said of it: the end, and how many records of each status.
    """

    to: str
    sent: tuple[tuple[int, int], ...] = ()
    root: int | None = None
    start_us: int | None = None
    said: tuple[int, dict[str, int]] | None = None


class Notes:
    """What one destination has of a run; one process at a time may hold them.

    Args:
        run: The run's directory.
        to: The destination's name.

    Raises:
        JournalError: They cannot be read or written.
    """

    def __init__(self, run: Path, to: str) -> None:
        self._to = to
        self._encode = msgspec.json.Encoder().encode
        self._file = LineFile(run / NOTES, again=True)
        self._sent = bytearray()
        self.starts_us: dict[int, int] = {}
        self.said: dict[int, tuple[int, dict[str, int]]] = {}

    def __repr__(self) -> str:
        """Show how much was taken."""
        return f"<Notes sent={self.sent_count}>"

    @property
    def sent_count(self) -> int:
        """How many records were taken."""
        return self._sent.count(1)

    def lock(self) -> bool:
        """Take them, and read what they say; return False where another process has them."""
        if not self._file.lock():
            return False
        self._file.mend()
        decoder = msgspec.json.Decoder(_Note)
        for number, line in enumerate(iter_lines(self._file.path), 1):
            note = decode_line(decoder, line, self._file.path, number)
            if note.to == self._to:
                self._read(note)
        return True

    def is_sent(self, line: int) -> bool:
        """Say whether a record was taken, by the number of its line."""
        return line < len(self._sent) and self._sent[line] == 1

    def has_sent(self, lines: Sequence[int]) -> None:
        """Note that records were taken."""
        note = _Note(to=self._to, sent=tuple(_ranges(sorted(lines))))
        self._file.append(self._encode(note))
        self._read(note)

    def has_begun(self, root: int, start_us: int) -> None:
        """Note the start of a root, before the first span that refers to it is sent."""
        note = _Note(to=self._to, root=root, start_us=start_us)
        self._file.append(self._encode(note))
        self._read(note)

    def has_said(self, iteration: Iteration) -> None:
        """Note that the root of an iteration was taken, and what it said."""
        note = _Note(to=self._to, root=iteration.number, said=(iteration.end_us, dict(iteration.counts)))
        self._file.append(self._encode(note))
        self._read(note)

    def close(self) -> None:
        """Bring them to the disk, and let others have them."""
        self._file.close()

    def _read(self, note: _Note) -> None:
        for first, last in note.sent:
            if last >= len(self._sent):
                self._sent.extend(bytes(last + 1 - len(self._sent)))
            self._sent[first : last + 1] = b"\1" * (last + 1 - first)
        if note.root is not None and note.start_us is not None:
            self.starts_us[note.root] = note.start_us
        if note.root is not None and note.said is not None:
            self.said[note.root] = note.said


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as first and last of each run of neighbours."""
    if not numbers:
        return []
    breaks = [(before, after) for before, after in pairwise(numbers) if after != before + 1]
    firsts = [numbers[0], *(after for _, after in breaks)]
    lasts = [*(before for before, _ in breaks), numbers[-1]]
    return list(zip(firsts, lasts, strict=True))
