"""Where a task's time went: its record cut into stretches that follow one another without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

Phase = Literal["queue", "client", "backoff", "failed call", "first token", "generation"]

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


class Stretch(NamedTuple):
    """A stretch of a task's time, in seconds on the run's clock."""

    phase: Phase
    begin_s: float
    end_s: float


class Call(Protocol):
    """What is read of an attempt."""

    @property
    def status(self) -> str:
        """How it ended."""

    @property
    def sent_s(self) -> float:
        """When it was sent."""

    @property
    def end_s(self) -> float:
        """When it returned."""

    @property
    def first_content_s(self) -> float | None:
        """When its first token came."""

    @property
    def wait_before_s(self) -> float:
        """The backoff before it."""


def stretches(scheduled_s: float, started_s: float, ended_s: float, calls: Sequence[Call]) -> tuple[Stretch, ...]:
    """Return the stretches of a task, in order, from its schedule to its end.

    `queue` is the wait for a slot. Between calls, `backoff` is the wait that was meant and `client` everything else.
    Of calls side by side the earlier counts as long as it lasts. A call that was not streamed is all `generation`.

    Args:
        scheduled_s: When a slot asked for it, or it was to arrive.
        started_s: When its worker began.
        ended_s: When the worker was done.
        calls: The attempts, in any order.
    """
    cut: list[Stretch] = []
    at_s = _add(cut, "queue", scheduled_s, started_s)
    for call in sorted(calls, key=lambda call: (call.sent_s, call.end_s)):
        rested_s = min(max(call.sent_s - call.wait_before_s, at_s), ended_s)
        at_s = _add(cut, "client", at_s, min(rested_s, max(call.sent_s, at_s)))
        at_s = _add(cut, "backoff", at_s, min(call.sent_s, ended_s))
        if call.status != "ok":
            at_s = _add(cut, "failed call", at_s, min(call.end_s, ended_s))
            continue
        if call.first_content_s is not None:
            at_s = _add(cut, "first token", at_s, min(call.first_content_s, ended_s))
        at_s = _add(cut, "generation", at_s, min(call.end_s, ended_s))
    _add(cut, "client", at_s, ended_s)
    return tuple(cut)


def _add(cut: list[Stretch], phase: Phase, begin_s: float, end_s: float) -> float:
    """Add a stretch, unless it has no length; return where the next begins."""
    if end_s <= begin_s:
        return begin_s
    cut.append(Stretch(phase, begin_s, end_s))
    return end_s
