"""What a review is told of LangSmith: whether it was asked, and what is there and here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What LangSmith has of a run.

    Attributes:
        asked: Where, in words; None where nobody was asked.
        reason: Why it could not be read, if it could not.
        here: How many spans the records make.
        there: How many of them LangSmith has.
        missing: Spans that are here alone: kind, task and id.
        foreign: Spans that are there alone: kind, name and id.
        moved: Spans whose start or end is another there: kind, task and id.
        url: The page of the project, below which a trace has its own.
    """

    asked: str | None = None
    reason: str | None = None
    here: int = 0
    there: int = 0
    missing: tuple[tuple[str, str, str], ...] = ()
    foreign: tuple[tuple[str, str, str], ...] = ()
    moved: tuple[tuple[str, str, str], ...] = ()
    url: str | None = None

    def link(self, trace_id: str) -> str | None:
        """Return the page of a trace, None where it is not known."""
        if self.url is None or not self.url.startswith(("https://", "http://")):
            return None
        return f"{self.url}/r/{trace_id}?trace_id={trace_id}"
