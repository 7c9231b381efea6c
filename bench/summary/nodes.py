"""What each node of a cluster did in a run of mode `distributed`."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from bench.policy.statistics import distribution, in_flight
from bench.summary.figures import NodeRow
from bench.summary.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.manifest import NodeFacts, Segment
    from bench.summary.rows import AttemptRow, ResultRow


def _doubles() -> array[float]:
    return array("d")


@dataclass
class _NodeTally(Outcomes):
    """Counts of one node, and the instants of its calls."""

    latencies: array[float] = field(default_factory=_doubles)
    sent: array[float] = field(default_factory=_doubles)
    ended: array[float] = field(default_factory=_doubles)

    def add(self, row: ResultRow) -> None:
        """Count a task in that ended on the node."""
        self.count(row.status)
        if row.status == "ok":
            self.latencies.append(row.latency_s)
        for call in _own_calls(row.attempts):
            self.sent.append(call.sent_s)
            self.ended.append(call.end_s)


class NodeTallies:
    """The nodes of a run; of other modes there are none."""

    def __init__(self) -> None:
        self._tallies: dict[str, _NodeTally] = {}

    def __repr__(self) -> str:
        """Show who they are."""
        return f"<NodeTallies {', '.join(self._tallies)}>"

    def add(self, row: ResultRow) -> None:
        """Count a task in, if it ended on a node."""
        if row.worker.node is not msgspec.UNSET:
            self._tallies.setdefault(row.worker.node, _NodeTally()).add(row)

    def rows(self, segments: Sequence[Segment]) -> tuple[NodeRow, ...]:
        """Return a row a node, by name; also of those that took part and ended no task.

        Args:
            segments: Those of the run: a node that was there in several has one row.
        """
        facts: dict[str, list[NodeFacts]] = {}
        for segment in segments:
            for node in segment.nodes:
                facts.setdefault(node.name, []).append(node)
        successes = sum(tally.ok for tally in self._tallies.values())
        return tuple(
            _row(name, self._tallies.get(name, _NodeTally()), facts.get(name, []), successes)
            for name in sorted(self._tallies.keys() | facts.keys())
        )


def _row(name: str, tally: _NodeTally, facts: Sequence[NodeFacts], successes: int) -> NodeRow:
    latency_s = distribution(tally.latencies)
    cpu_s = [node.cpu_s for node in facts if node.cpu_s is not None]
    return NodeRow(
        node=name,
        host=facts[-1].host if facts else None,
        slots=facts[-1].slots if facts else None,
        tasks=tally.tasks,
        ok=tally.ok,
        failed=tally.failed,
        lost=sum(node.lost for node in facts),
        share=tally.ok / successes if successes else None,
        latency_p50_s=latency_s.p50,
        latency_p95_s=latency_s.p95,
        in_flight=in_flight(tally.sent, tally.ended),
        cpu_s=sum(cpu_s) if cpu_s and len(cpu_s) == len(facts) else None,
    )


def _own_calls(calls: Sequence[AttemptRow]) -> Sequence[AttemptRow]:
    """Return the calls that the node made which ended the task: those after the last that was lost with another."""
    lost = [place for place, call in enumerate(calls) if call.error_type == "worker_lost"]
    return calls[lost[-1] + 1 :] if lost else calls
