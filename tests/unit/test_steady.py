"""The steady part of a run, on runs made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.records import TaskResult, WorkerId
from bench.summary.steady import steady
from tests.samples import failed_result, make_attempt, make_manifest, make_result, write_run

if TYPE_CHECKING:
    from pathlib import Path


def task(index: int, slot: int, started_s: float, ended_s: float, **changes: object) -> TaskResult:
    """Return a success of a slot."""
    attempt = make_attempt(
        sent_s=started_s,
        end_s=ended_s,
        headers_s=started_s + 0.1,
        first_chunk_s=started_s + 0.15,
        first_content_s=started_s + 0.2,
        last_content_s=ended_s - 0.1,
        connect_s=None,
    )
    times: dict[str, object] = {
        "scheduled_s": started_s,
        "started_s": started_s,
        "ended_s": ended_s,
        "queue_s": 0.0,
        "latency_s": ended_s - started_s,
        "service_s": ended_s - started_s,
        "ttft_s": 0.2,
        "attempts": (attempt,),
        "worker": WorkerId(pid=1, thread=f"slot-{slot}", slot=slot),
    }
    return make_result(index, **(times | changes))


def two_slots() -> list[TaskResult]:
    """Return a run of two slots: warm at 1.2 s, the first idle at 4 s; slot 1 waits 0.2 s between its tasks."""
    first = [task(n, 0, float(n), float(n + 1)) for n in range(4)]
    second = [task(10 + n, 1, n * 1.2, n * 1.2 + 1.2 - 0.2 * (n > 0)) for n in range(5)]
    return [*first, *second]


def test_r24_ends_of_a_run_are_left_out(tmp_path: Path) -> None:
    """The window opens when the last slot has its first success and closes when the first one goes idle."""
    part = steady(write_run(tmp_path / "run", two_slots(), make_manifest(9, concurrency=2)))
    assert part is not None
    assert part.begin_s == pytest.approx(1.2)
    assert part.end_s == pytest.approx(4.0)


def test_throughput_counts_tasks_by_the_share_that_lies_inside(tmp_path: Path) -> None:
    """A task that is half inside counts half: the rate does not jump with the window's ends."""
    part = steady(write_run(tmp_path / "run", two_slots(), make_manifest(9, concurrency=2)))
    assert part is not None
    # Slot 0: tasks 1 (0.8 of it), 2, 3; slot 1: from 1.2 to 2.2, from 2.4 to 3.4, and 0.4 of the one from 3.6.
    assert part.throughput_tasks_per_s == pytest.approx((0.8 + 1 + 1 + 1 + 1 + 0.4) / 2.8)


def test_r46_time_between_tasks_shows(tmp_path: Path) -> None:
    """Slots that wait between tasks are less than busy, and the wait is named."""
    part = steady(write_run(tmp_path / "run", two_slots(), make_manifest(9, concurrency=2)))
    assert part is not None
    assert part.busy_ratio == pytest.approx((2.8 + 2.4) / 2.8 / 2)
    assert part.phases.between_s == pytest.approx((0 + 0 + 0 + 0.2 + 0.2) / 5, abs=1e-9)


def test_phases_add_up_to_the_service_time(tmp_path: Path) -> None:
    """Where the time went: its parts are the whole."""
    part = steady(write_run(tmp_path / "run", two_slots(), make_manifest(9, concurrency=2)))
    assert part is not None
    phases = part.phases
    assert phases.connect_s is None, "no attempt says how long connecting took"
    parts = [phases.backoff_s, phases.head_s, phases.first_token_s, phases.generation_s, phases.end_s]
    assert sum(value or 0.0 for value in parts) == pytest.approx(part.service_s.mean)


def test_a_slot_without_a_second_task_leaves_no_window(tmp_path: Path) -> None:
    """A run that never was in full swing has no steady part."""
    short = [task(0, 0, 0.0, 1.0), task(1, 1, 0.0, 1.0)]
    assert steady(write_run(tmp_path / "run", short, make_manifest(2, concurrency=2))) is None
    alone = [task(0, 0, 0.0, 1.0), task(1, 0, 1.0, 2.0)]
    assert steady(write_run(tmp_path / "run-b", alone, make_manifest(2, concurrency=2))) is None


def test_a_slot_that_only_failed_is_not_warm(tmp_path: Path) -> None:
    """A failure warms nothing."""
    failed = [failed_result(n, worker=WorkerId(pid=1, thread="slot-1", slot=1)) for n in (20, 21)]
    run = write_run(tmp_path / "run", [*two_slots()[:4], *failed], make_manifest(6, concurrency=2))
    assert steady(run) is None
