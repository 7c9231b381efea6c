"""What a run's records say of each provider."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.policy.statistics import distribution
from bench.summary.figures import ProviderRow
from bench.summary.outcomes import Outcomes

if TYPE_CHECKING:
    from bench.policy.statistics import Distribution


@dataclass
class ProviderTally(Outcomes):
    """Counts of one provider, and the latencies of its successes, if it is not the only one."""

    attempts: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))


class ProviderTallies:
    """The providers of a run; as long as there is one alone, its latencies are those of all successes.

    Args:
        latencies: The latencies of all successes; they grow outside, before `succeeded` is told of each.
    """

    def __init__(self, latencies: array[float]) -> None:
        self._latencies = latencies
        self._tallies: dict[str, ProviderTally] = {}

    def __repr__(self) -> str:
        """Show who they are."""
        return f"<ProviderTallies {', '.join(self._tallies)}>"

    def of(self, name: str) -> ProviderTally:
        """Return a provider's counts, to be changed."""
        found = self._tallies.get(name)
        if found is None:
            if len(self._tallies) == 1:
                (alone,) = self._tallies.values()
                alone.latencies = self._latencies[:]
            found = self._tallies[name] = ProviderTally()
        return found

    def succeeded(self, name: str, latency_s: float) -> None:
        """Keep the latency of a success, which is counted apart."""
        tally = self.of(name)
        if len(self._tallies) > 1:
            tally.latencies.append(latency_s)

    def rows(self, latency_s: Distribution) -> tuple[ProviderRow, ...]:
        """Return a row a provider.

        Args:
            latency_s: The latencies of all successes, described.
        """
        alone = len(self._tallies) == 1
        return tuple(
            ProviderRow(
                provider=name,
                tasks=tally.tasks,
                ok=tally.ok,
                failed=tally.failed,
                attempts=tally.attempts,
                latency_p50_s=(latency_s if alone else distribution(tally.latencies)).p50,
            )
            for name, tally in sorted(self._tallies.items())
        )
