"""Servers that hold on or flood: no task outlives its deadline, no run hangs at its end, and memory stays bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from bench.clock import NS_PER_S
from tests.faults.faults import OK, RETRIES, Fault
from tests.faults.holding import BODY_FLOODS, FLOODS, HOLDS, LIMITS
from tests.faults.runs import QUICK, WAYS, FaultRun, Way, run_command, run_here

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.conftest import Note, Runs

#: The deadline of every task, in seconds; where a size is to be reached first, long enough for a machine that is busy.
HOLD_S: Final = 1.0
FLOOD_S: Final = 4.0
BODY_S: Final = 3.0

#: How far a task may outlive its deadline.
LATE_S: Final = 1.0

#: How far a run may outlive its last task: what a busy machine takes to end some processes. One that waited for these
#: servers would never end.
END_S: Final = 20.0

#: How much a flood may add to the memory of a process.
GROWTH_BYTES: Final = 64 * 1024 * 1024


def holds(way: Way, folder: Path) -> FaultRun:
    """Meet the servers that hold on."""
    return run_command(way, HOLDS, folder, 5, "--timeout", str(HOLD_S))


def floods(way: Way, folder: Path) -> FaultRun:
    """Meet the servers that flood."""
    return run_command(way, FLOODS, folder, 2, "--timeout", str(FLOOD_S))


def bodies(way: Way, folder: Path) -> FaultRun:
    """Meet them without asking for a stream."""
    return run_command(way, BODY_FLOODS, folder, len(BODY_FLOODS), "--timeout", str(BODY_S), "--no-stream")


def limits(way: Way, folder: Path) -> FaultRun:
    """Meet servers that hold on with short limits for the first token and for silence, and a deadline far away."""
    return run_here(way, LIMITS, folder, ttft_timeout=0.5, idle_timeout=0.5)


def each(faults: tuple[Fault, ...]) -> pytest.MarkDecorator:
    """Give a test these faults, each in every mode and over both clients."""
    return pytest.mark.parametrize(
        ("fault", "way"),
        [
            pytest.param(
                fault, way, id=f"{fault.row} {fault.name}-{way}", marks=() if way in QUICK else pytest.mark.full
            )
            for fault in faults
            for way in WAYS
        ],
    )


def check(run: FaultRun, fault: Fault, note: Note, limit_s: float) -> None:
    """Compare what became of a task with what its fault allows, and with its deadline."""
    result, end, late_s = run.results[fault.name], run.end_of(fault), LATE_S + run.stood_still_s
    note(fault, run.way, end if len(result.attempts) == 1 else f"{end} x{len(result.attempts)}")
    assert end in fault.ends, result.error
    assert fault.words in (result.error.message if result.error else "")
    assert fault.content is None or result.content == fault.content
    assert result.service_s <= limit_s + late_s
    assert result.status == ("ok" if end == OK else "failed")
    # Where a client may call it one thing or another, the first attempt may have been called the other.
    assert len(result.attempts) in ({1, 1 + RETRIES} if len(fault.ends) > 1 else {fault.attempts_for(end)})
    for visit in run.visits[fault.name]:
        assert visit.over_ns is not None, "the connection was not closed"
        assert visit.over_ns - visit.came_ns <= (limit_s + late_s) * NS_PER_S


@each(HOLDS)
def test_f28_f30_f43_no_task_outlives_its_deadline(runs: Runs, note: Note, fault: Fault, way: Way) -> None:
    """However a server holds on, the task ends at its deadline, and the server sees its connection closed by then."""
    check(runs(holds, way), fault, note, HOLD_S)


@each(LIMITS)
def test_f28_f30_limits_of_an_attempt(runs: Runs, note: Note, fault: Fault, way: Way) -> None:
    """The limits for the first token and for silence end an attempt, not the task: it is tried again."""
    check(runs(limits, way), fault, note, 2 * 0.5)


@pytest.mark.full
@each(FLOODS)
def test_f31_f33_f34_floods(runs: Runs, note: Note, fault: Fault, way: Way) -> None:
    """What has no end is given up, at a limit of its size or at the deadline."""
    check(runs(floods, way), fault, note, FLOOD_S)


@each(BODY_FLOODS)
def test_f30_f33_bodies_that_hold_on_or_flood(runs: Runs, note: Note, fault: Fault, way: Way) -> None:
    """The same holds for answers that are not streamed."""
    check(runs(bodies, way), fault, note, BODY_S)


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("make", [holds, floods, bodies])
def test_no_run_hangs_at_its_end(runs: Runs, make: Callable[[Way, Path], FaultRun], way: Way) -> None:
    """A run is over when its last task is, whatever the servers do to the connections that are left."""
    run = runs(make, way)
    origin_ns = run.manifest.segments[-1].origin_ns
    assert origin_ns is not None
    last_ns = origin_ns + max(result.ended_s for result in run.results.values()) * NS_PER_S
    assert run.over_ns - last_ns <= END_S * NS_PER_S


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("make", [floods, bodies])
def test_f33_f34_memory_is_bounded(runs: Runs, make: Callable[[Way, Path], FaultRun], way: Way) -> None:
    """No flood, bomb or head without end makes a process larger by more than 64 MiB than quiet servers do."""
    flooded, quiet = runs(make, way).peak_rss_bytes, runs(holds, way).peak_rss_bytes
    assert flooded
    assert quiet
    assert flooded - quiet < GROWTH_BYTES
