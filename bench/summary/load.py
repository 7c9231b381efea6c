"""What an open loop offered and what of it was sent."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class _Instants:
    """How many instants there were, in seconds, and from when to when."""

    n: int = 0
    first_s: float = float("inf")
    last_s: float = float("-inf")

    def add(self, instant_s: float) -> None:
        self.n += 1
        self.first_s = min(self.first_s, instant_s)
        self.last_s = max(self.last_s, instant_s)

    @property
    def per_s(self) -> float | None:
        """The rate: n instants have n - 1 gaps. None where there is no gap or it takes no time."""
        return (self.n - 1) / (self.last_s - self.first_s) if self.n > 1 and self.last_s > self.first_s else None


@dataclass
class LoadTally:
    """Arrivals and first sends of a run's tasks, one at a time."""

    _arrived: _Instants = field(default_factory=_Instants)
    _sent: _Instants = field(default_factory=_Instants)

    def add(self, *, scheduled_s: float, sent_s: float | None, unsent: bool) -> None:
        """Count a task in; one that was neither sent nor arrived was cancelled before it arrived.

        Args:
            scheduled_s: When it was to arrive.
            sent_s: When its first attempt was sent, None if none was.
            unsent: Whether it arrived and was not sent: it was dropped, or its answer was known.
        """
        if sent_s is not None:
            self._sent.add(sent_s)
        if sent_s is not None or unsent:
            self._arrived.add(scheduled_s)

    @property
    def offered_per_s(self) -> float | None:
        """Arrivals per second, from the first to the last."""
        return self._arrived.per_s

    @property
    def achieved_per_s(self) -> float | None:
        """First sends per second, from the first to the last."""
        return self._sent.per_s
