"""How far a push got: counts, and the reason why not everything is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.journal import read_whole, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

#: Beside the notes of what was taken.
OUTCOME: Final = "traces.json"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How far the last push got; of the counts each record of the run is in one.

    Attributes:
        endpoint: Where traces went.
        project: The project.
        traces_sent: Records whose span is there, with those of their calls; earlier pushes included.
        traces_failed: Records that were sent and not taken.
        traces_dropped: Records that were not sent: time was over, or nothing would have been taken.
        traces_left_out: Records that are no part of the sample.
        roots_sent: Iterations whose root is there.
        roots_missing: Iterations whose root is not, or does not say the last.
        reason: Why not everything is there.
        url: The page of the project.
        cpu_s: CPU time, user and system, of the process that sent; like its memory None where it was killed.
        peak_rss_bytes: The most memory that it held at once (resident set size).
        ended_at: UTC label of the end; None while it goes on, and where it was killed.
    """

    endpoint: str
    project: str
    traces_sent: int = 0
    traces_failed: int = 0
    traces_dropped: int = 0
    traces_left_out: int = 0
    roots_sent: int = 0
    roots_missing: int = 0
    reason: str | None = None
    url: str | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    ended_at: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything is there that should be."""
        return self.ended_at is not None and not (self.traces_failed or self.traces_dropped or self.roots_missing)


def write_outcome(run: Path, outcome: Outcome) -> None:
    """Keep an outcome in the run's directory.

    Raises:
        JournalError: It cannot be written.
    """
    write_atomically(run / OUTCOME, msgspec.json.format(msgspec.json.encode(outcome), indent=2))


def read_outcome(run: Path) -> Outcome | None:
    """Return the outcome of a run's last push, None where there is none to be read."""
    try:
        return msgspec.json.decode(read_whole(run / OUTCOME), type=Outcome)
    except (OSError, ValueError, RecursionError):
        return None
