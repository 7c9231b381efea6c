"""One time for a run of several segments: each segment has a clock of its own, with its own zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

#: The instants among the fields of a TaskResult and of an Attempt; all other times are durations.
INSTANTS: Final = frozenset(
    {"scheduled_s", "started_s", "first_token_s", "last_token_s", "ended_s"}
    | {"sent_s", "headers_s", "first_chunk_s", "first_content_s", "last_content_s", "end_s"}
)


@dataclass
class Stretch:
    """From the first send of a segment to the last end of a call; false while there was none."""

    first_s: float = float("inf")
    last_s: float = float("-inf")

    def __bool__(self) -> bool:
        """Say whether there was a call."""
        return self.first_s <= self.last_s

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.last_s - self.first_s

    def add(self, sent_s: float, end_s: float) -> None:
        """Take a call in."""
        self.first_s = min(self.first_s, sent_s)
        self.last_s = max(self.last_s, end_s)


def moved(record: T, later_s: float) -> T:
    """Return a record, or a part of one, with all its instants later by `later_s` seconds; durations stay."""
    if not later_s or not isinstance(record, msgspec.Struct):
        return record
    changes: dict[str, object] = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if value is None:
            continue
        if name in INSTANTS:
            changes[name] = value + later_s
        elif name == "chunk_times_s":
            changes[name] = tuple(instant_s + later_s for instant_s in value)
        elif name == "attempts":
            changes[name] = tuple(moved(attempt, later_s) for attempt in value)
    return msgspec.structs.replace(record, **changes)
