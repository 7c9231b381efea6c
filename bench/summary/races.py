"""Which calls of a task were made beside another one, and which of them were given up for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.records import Status


class Call(Protocol):
    """What is asked of an Attempt."""

    @property
    def provider(self) -> str:
        """The provider's name."""

    @property
    def status(self) -> Status:
        """How it ended."""

    @property
    def sent_s(self) -> float:
        """When it was sent."""

    @property
    def end_s(self) -> float:
        """When it ended."""


def hedges(calls: Sequence[Call]) -> tuple[bool, ...]:
    """Say of each call of a task whether it was sent while another provider had not answered yet.

    Such a call is no retry: nothing had failed. A race asks another provider beside the first, never the same.
    """
    if len(calls) < 2:  # noqa: PLR2004 - a call alone is beside none
        return (False,) * len(calls)
    found = [False] * len(calls)
    ordered = sorted(range(len(calls)), key=lambda place: calls[place].sent_s)
    for number, place in enumerate(ordered):
        call = calls[place]
        earlier = (calls[other] for other in ordered[:number])
        found[place] = any(other.provider != call.provider and other.end_s > call.sent_s for other in earlier)
    return tuple(found)


def is_beaten(call: Call, task: Status) -> bool:
    """Say whether a call was given up because another one of its task had the answer."""
    return call.status == "cancelled" and task == "ok"
