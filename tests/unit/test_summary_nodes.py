"""What a summary says of each node of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.manifest import NodeFacts
from bench.policy.statistics import InFlight
from bench.records import WorkerId
from bench.summary import summarise
from tests.samples import (
    failed_attempt,
    failed_result,
    make_attempt,
    make_manifest,
    make_result,
    make_segment,
    write_run,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult
    from bench.summary import Summary

FIRST: Final = NodeFacts(name="n1", host="alpha", address="tcp://10.0.0.2:4000", pid=7, slots=50, cpu_s=1.5)
SECOND: Final = NodeFacts(name="n2", host="beta", address="tcp://10.0.0.3:4000", pid=7, cpu_s=0.5)


def on(node: str, slot: int = 0) -> WorkerId:
    """Return a worker on a node; as on hosts of their own, all have the same process id."""
    return WorkerId(pid=7, thread="MainThread", slot=slot, node=node)


def summarised(directory: Path, results: list[TaskResult], *segments: tuple[NodeFacts, ...]) -> Summary:
    """Return the summary of a run with these nodes in each segment."""
    made = tuple(make_segment(nodes=nodes) for nodes in segments)
    return summarise(write_run(directory / "run", results, make_manifest(len(results), segments=made)))


def test_a_task_counts_where_it_ended_and_a_loss_where_it_happened(tmp_path: Path) -> None:
    """A task that n2 lost and n1 did is a task of n1; the lost call is no call of n1; the loss is n2's."""
    lost = failed_attempt("worker_lost", http_status=None, sent_s=0.0, end_s=4.0)
    results = [
        make_result(0, worker=on("n1", 0), attempts=(lost, make_attempt(sent_s=5.0, end_s=6.0))),
        make_result(1, worker=on("n1", 1), attempts=(make_attempt(sent_s=5.5, end_s=7.0),)),
        failed_result(2, worker=on("n2", 2)),
    ]
    gone = msgspec.structs.replace(SECOND, left_s=4.0, lost=1)
    first, second = summarised(tmp_path, results, (FIRST, gone)).nodes
    assert (first.node, first.tasks, first.ok, first.failed, first.lost) == ("n1", 2, 2, 0, 0)
    assert first.in_flight == InFlight(peak=2, mean=2.5 / 2)
    assert (second.node, second.tasks, second.ok, second.failed, second.lost) == ("n2", 1, 0, 1, 1)
    assert (first.share, second.share) == (1.0, 0.0)


def test_a_node_without_a_task_has_a_row(tmp_path: Path) -> None:
    """A node that took part and ended nothing is there, with nothing measured where there is nothing."""
    _, idle = summarised(tmp_path, [make_result(0, worker=on("n1"))], (FIRST, SECOND)).nodes
    assert (idle.node, idle.host, idle.tasks, idle.share) == ("n2", "beta", 0, 0.0)
    assert idle.latency_p50_s is None
    assert idle.in_flight == InFlight(peak=0)


def test_a_node_of_two_segments_has_one_row(tmp_path: Path) -> None:
    """What a node lost and spent in several segments is added up; what one of them could not tell is not known."""
    results = [make_result(0, worker=on("n1")), make_result(1, segment=1, worker=on("n1"))]
    lossy = msgspec.structs.replace(FIRST, lost=3, left_s=2.0)
    (row,) = summarised(tmp_path, results, (lossy,), (FIRST,)).nodes
    assert (row.tasks, row.lost, row.cpu_s, row.slots) == (2, 3, 3.0, 50)
    untold = msgspec.structs.replace(FIRST, cpu_s=None)
    (tmp_path / "again").mkdir()
    (row,) = summarised(tmp_path / "again", results, (untold,), (FIRST,)).nodes
    assert row.cpu_s is None


def test_records_without_facts_have_rows(tmp_path: Path) -> None:
    """Of a run that was killed nobody wrote its nodes down: they have rows from the records alone."""
    (row,) = summarised(tmp_path, [make_result(0, worker=on("n1"))], ()).nodes
    assert (row.node, row.host, row.slots, row.tasks, row.lost, row.cpu_s) == ("n1", None, None, 1, 0, None)


def test_other_modes_have_no_nodes(tmp_path: Path) -> None:
    """A run of one machine has no rows of nodes."""
    assert summarised(tmp_path, [make_result(0)], ()).nodes == ()
