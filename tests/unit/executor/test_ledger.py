"""Where tasks leave the workload and results reach the journal: each once, kept before shown, whatever goes wrong."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.errors import JournalError, WorkloadError
from bench.executor.arrivals import Schedule
from bench.executor.ledger import Ledger
from bench.journal import TASKS, WORKLOAD, Journal, iter_lines
from bench.policy.arrivals import constant
from bench.policy.overload import OVERLOADED, Overload
from bench.stop import StopSignal
from tests.clocks import NS_PER_S, PRESENT_NS, VirtualClock
from tests.disks import files_limited_to
from tests.samples import cancelled_result, failed_result, make_manifest, make_result, make_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bench.records import Glimpse, Task, TaskResult


@dataclass
class Watcher:
    """An observer that notes what it is told, and how many lines the journal's files hold at that moment."""

    run: Path
    told: list[tuple[str, int]] = field(default_factory=list)
    glimpses: list[Glimpse | TaskResult] = field(default_factory=list)

    def ready(self) -> None:
        """Do nothing: a ledger does not say it."""

    def drawn(self) -> None:
        """Note a draw."""
        self.told.append(("drawn", sum(1 for _ in iter_lines(self.run / WORKLOAD))))

    def recorded(self, glimpse: Glimpse | TaskResult) -> None:
        """Note a record."""
        self.glimpses.append(glimpse)
        self.told.append(("recorded", sum(1 for _ in iter_lines(self.run / TASKS))))


@dataclass
class Desk:
    """A ledger over a real journal, with a watcher."""

    run: Path
    tasks: Iterable[Task]
    stop: StopSignal = field(default_factory=StopSignal)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        """Open the journal."""
        self.run.mkdir()
        self.watcher = Watcher(self.run)
        self.journal = Journal(self.run, make_manifest())
        self.ledger = Ledger(iter(self.tasks), self.journal, [self.watcher], self.clock, self.stop)

    def emit(self, index: int, content: str = "an answer") -> None:
        """Hand in a success."""
        self.ledger.emit(make_result(index, content=content))


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[[Iterable[Task]], Desk]]:
    """Open ledgers whose journals are closed with the test."""
    desks: list[Desk] = []

    def open_one(tasks: Iterable[Task]) -> Desk:
        desks.append(Desk(tmp_path / f"run-{len(desks)}", tasks))
        return desks[-1]

    yield open_one
    for desk in desks:
        desk.journal.close(make_manifest())


def test_tasks_come_in_order(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """Tasks are handed out one by one in their order, then there is none, however often one asks."""
    tasks = [make_task(n) for n in range(3)]
    desk = open_desk(tasks)
    drawn = [desk.ledger.draw() for _ in range(5)]
    assert [one.task for one in drawn if one] == tasks
    assert drawn[3:] == [None, None]


def test_a_task_is_scheduled_when_it_is_asked_for(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """A task's scheduled instant is that of the asking, also where making the task takes time."""
    desk = open_desk([])

    def slow_source() -> Iterator[Task]:
        desk.clock.advance_to(PRESENT_NS + 5)
        yield make_task()

    ledger = Ledger(slow_source(), desk.journal, [], desk.clock, desk.stop)
    drawn = ledger.draw()
    assert drawn is not None
    assert (drawn.scheduled_ns, drawn.started_ns, drawn.prior) == (PRESENT_NS, None, ())


def test_nothing_is_drawn_ahead(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """A task is made only when a slot asks for it, so that a source of any length takes no memory."""
    made: list[int] = []

    def endless() -> Iterator[Task]:
        while True:
            made.append(len(made))
            yield make_task(made[-1])

    desk = open_desk(endless())
    assert made == []
    for _ in range(3):
        desk.ledger.draw()
    assert made == [0, 1, 2]


def test_kept_before_shown(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """A task is in the journal before anybody hears of it, and so is a result."""
    desk = open_desk([make_task(n) for n in range(2)])
    desk.ledger.draw()
    desk.emit(0)
    desk.ledger.draw()
    desk.emit(1)
    assert desk.watcher.told == [("drawn", 1), ("recorded", 1), ("drawn", 2), ("recorded", 2)]
    assert [glimpse.task_id for glimpse in desk.watcher.glimpses] == ["0-i0-v0", "1-i0-v0"]


def test_by_turns_a_turn_is_kept_and_told_at_its_end(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """By turns nothing is written nor told before the turn's end, then all of it at once: tasks, then results.

    The end of the block is the end of its last turn; after it all is written at once again.
    """
    ends: list[Callable[[], None]] = []
    desk = open_desk([make_task(n) for n in range(4)])
    with desk.ledger.by_turns(ends.append):
        for n in range(2):
            desk.ledger.draw()
            desk.emit(n)
        assert (len(ends), desk.watcher.told, desk.journal.drawn, desk.journal.recorded) == (1, [], 0, 0)
        ends.pop()()
        assert [each.task_id for each in desk.watcher.glimpses] == ["0-i0-v0", "1-i0-v0"]
        assert sorted(desk.watcher.told) == [("drawn", 2), ("drawn", 2), ("recorded", 2), ("recorded", 2)]
        desk.ledger.draw()
        desk.emit(2)
        assert len(ends) == 1
    assert (desk.journal.drawn, desk.journal.recorded) == (3, 3)
    ends.pop()()
    desk.ledger.draw()
    assert (desk.journal.drawn, len(desk.watcher.told), ends) == (4, 7, [])


def test_a_full_disk_keeps_and_tells_what_fitted_of_a_turn(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """Of the results of a turn that do not all fit the first ones are kept, whole, and they alone are told."""
    desk = open_desk([])
    with files_limited_to(4000), desk.ledger.by_turns(lambda _end: None):
        for n in range(5):
            desk.emit(n, "x" * 500)
    assert desk.stop.wait_draining(60)
    kept = [msgspec.json.decode(line)["index"] for line in iter_lines(desk.run / TASKS)]
    assert kept == list(range(len(kept)))
    assert 0 < len(kept) < 5
    assert [glimpse.task_id for glimpse in desk.watcher.glimpses] == [f"{n}-i0-v0" for n in kept]
    assert (desk.run / TASKS).read_bytes().endswith(b"\n")


def test_results_of_this_process_and_of_others(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """A result is kept and shown alike, whether it was made in this process or came encoded from another."""
    desk = open_desk([])
    results = [make_result(0), failed_result(1), cancelled_result(2)]
    for result in results:
        desk.ledger.emit(result)
        desk.ledger.emit(msgspec.json.encode(result))
    lines = [msgspec.json.encode(result) for result in results for _ in range(2)]
    assert list(iter_lines(desk.run / TASKS)) == lines
    assert [glimpse.task_id for glimpse in desk.watcher.glimpses] == [one.task_id for one in results for _ in range(2)]
    shown = [(one.status, one.latency_s, one.ttft_s, one.error) for one in desk.watcher.glimpses]
    assert shown[::2] == shown[1::2]


def test_a_drain_ends_the_intake(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """Once the run drains no task is taken from the source, and results are still kept."""
    source = iter([make_task(n) for n in range(3)])
    desk = open_desk(source)
    desk.ledger.draw()
    desk.stop.drain()
    assert desk.ledger.draw() is None
    assert [task.index for task in source] == [1, 2]
    desk.emit(0)
    assert (desk.journal.drawn, desk.journal.recorded) == (1, 1)


def test_many_threads(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """However many slots ask and hand in at once, each task goes to one of them and each record is whole, once."""
    desk = open_desk(make_task(n) for n in range(600))
    start = threading.Barrier(8)
    taken: list[int] = []

    def slot() -> None:
        start.wait()
        while (drawn := desk.ledger.draw()) is not None:
            taken.append(drawn.task.index)
            desk.emit(drawn.task.index, "x" * (drawn.task.index * 37 % 3000 + 1))

    threads = [threading.Thread(target=slot) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(taken) == Counter(range(600))
    kept = [msgspec.json.decode(line)["index"] for line in iter_lines(desk.run / TASKS)]
    assert Counter(kept) == Counter(range(600))
    assert [msgspec.json.decode(line)["index"] for line in iter_lines(desk.run / WORKLOAD)] == list(range(600))
    assert len(desk.watcher.told) == 1200


def test_a_full_disk_stops_the_run(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """Where a result cannot be kept it is not shown, the run is cancelled, and no further task is handed out."""
    source = iter([make_task(n) for n in range(5)])
    desk = open_desk(source)
    desk.ledger.draw()
    desk.emit(0)
    with files_limited_to(4000):
        desk.emit(1, "x" * 9000)
    assert desk.stop.wait_draining(60)
    assert isinstance(desk.ledger.error, JournalError)
    assert str(desk.ledger.error).endswith("tasks.jsonl: File too large; the 1 lines written before are whole")
    assert [glimpse.task_id for glimpse in desk.watcher.glimpses] == ["0-i0-v0"]
    assert len(list(source)) == 4


def test_an_error_ends_the_intake_before_the_stop_does(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """Between an error and the stop that it causes, which another thread raises, no task is handed out either."""
    going_on = threading.Event()

    class LateStop(StopSignal):
        """A stop that takes its time."""

        def cancel(self) -> None:
            """Cancel when the test goes on."""
            going_on.wait()
            super().cancel()

    desk = open_desk([])
    stop = LateStop()
    ledger = Ledger(iter([make_task()]), desk.journal, [], desk.clock, stop)
    with files_limited_to(4000):
        ledger.emit(msgspec.json.encode(make_result(content="x" * 9000)))
    drawn, draining = ledger.draw(), stop.draining
    going_on.set()
    assert (drawn, draining) == (None, False)
    assert stop.wait_draining(60)


def test_a_task_that_cannot_be_kept_is_not_sent(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """A task that the journal cannot take is not handed out: what is sent can always be looked up."""
    desk = open_desk([make_task(0, params={"stop": "x" * 9000})])
    with files_limited_to(4000):
        assert desk.ledger.draw() is None
    assert desk.stop.wait_draining(60)
    assert desk.watcher.told == []
    assert list(iter_lines(desk.run / WORKLOAD)) == []


def test_a_source_that_breaks_stops_the_run(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """A source that can no longer be read stops the run with its own words, and what was drawn is kept."""
    broken = WorkloadError("prompts.jsonl, line 2: gone")

    def source() -> Iterator[Task]:
        yield make_task(0)
        raise broken

    desk = open_desk(source())
    assert desk.ledger.draw() is not None
    assert desk.ledger.draw() is None
    assert desk.ledger.error is broken
    assert desk.stop.wait_draining(60)
    assert desk.journal.drawn == 1


def test_the_first_error_is_kept(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """Of several errors the first one is told, and results that still fit are kept."""
    desk = open_desk([])
    with files_limited_to(4000):
        desk.emit(0, "x" * 9000)
        first = desk.ledger.error
        desk.emit(1, "x" * 9000)
        desk.emit(2)
    assert first is not None
    assert desk.ledger.error is first
    assert [glimpse.task_id for glimpse in desk.watcher.glimpses] == ["2-i0-v0"]
    assert desk.stop.wait_draining(60)


def test_it_shows_how_far_it_got(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """The state of a ledger can be read off it."""
    desk = open_desk([make_task()])
    desk.ledger.draw()
    assert repr(desk.ledger) == "<Ledger <Journal run-0 drawn=1 recorded=0> error=None>"


def test_an_open_loop_hands_out_what_arrives_next(open_desk: Callable[[Iterable[Task]], Desk]) -> None:
    """In an open loop a task's scheduled instant is its place in the schedule, counted from the begin of the run.

    It does not matter when a slot asks, before that instant or after it.
    """
    desk = open_desk([])
    tasks = iter([make_task(n) for n in range(4)])
    ledger = Ledger(tasks, desk.journal, [], desk.clock, desk.stop, Schedule(iter([0.0, 0.5, 0.5, 2.0])))
    desk.clock.advance_to(PRESENT_NS + NS_PER_S)
    ledger.begin()
    early = [ledger.draw(), ledger.draw()]
    desk.clock.advance_to(PRESENT_NS + 9 * NS_PER_S)
    drawn = [*early, ledger.draw(), ledger.draw()]
    assert [(one.scheduled_ns - PRESENT_NS) / NS_PER_S for one in drawn if one] == [1.0, 1.5, 1.5, 3.0]
    assert ledger.draw() is None


@pytest.mark.parametrize("encoded", [False, True], ids=["records", "lines"])
def test_r49_a_run_that_gets_more_than_is_answered_takes_no_more(
    open_desk: Callable[[Iterable[Task]], Desk],
    *,
    encoded: bool,
) -> None:
    """Once both what is under way and the wait for a first token rise, the intake ends, with its reason.

    What is in flight goes on, and is kept.
    """
    desk = open_desk([])
    arrivals = Schedule(constant(100.0), Overload()).since(PRESENT_NS)
    ledger = Ledger(map(make_task, itertools.count()), desk.journal, [], desk.clock, desk.stop, arrivals)
    ledger.begin()
    for number in range(1000):
        if ledger.draw() is None:
            break
        # Half as many are answered as arrive, by a single slot.
        at_s, ended_s = number / 100, number / 50 + 0.02
        times = {"scheduled_s": at_s, "started_s": ended_s - 0.02, "first_token_s": ended_s - 0.01, "ended_s": ended_s}
        result = make_result(number, **times)
        ledger.emit(msgspec.json.encode(result) if encoded else result)
        if ledger.error is not None:
            assert desk.stop.wait_draining(60)
    assert 100 < number < 400
    assert str(ledger.error) == OVERLOADED
    assert not desk.stop.cancelled
    assert desk.journal.recorded == number
