"""TaskManager: what is one task and what another, how it ends, and how its numbers are told."""

from __future__ import annotations

import asyncio
import stat
import threading
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ConfigError, JournalError
from bench.toolkit import TaskManager, TaskStatus
from bench.toolkit.task import ended_as, fingerprint
from tests.clocks import NS_PER_S, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.toolkit import TaskInfo


@pytest.fixture
def clock() -> VirtualClock:
    """Time that stands still until it is moved."""
    return VirtualClock()


@pytest.fixture
def tasks(tmp_path: Path, clock: VirtualClock) -> Iterator[TaskManager]:
    """Tasks in a file of their own."""
    manager = TaskManager(tmp_path / "tasks.sqlite", clock=clock)
    yield manager
    manager.close()


def ended(tasks: TaskManager, *, key: str = "survey", count: int = 2, good: int = 2, bad: int = 0) -> TaskInfo:
    """Do a task with so many good and bad items."""
    task, is_new = tasks.get_or_create_task(key, {}, count, if_finished="rerun", if_failed="rerun")
    assert is_new
    tasks.start_task(task.task_id)
    for number in range(good + bad):
        tasks.update_progress(task.task_id, {"number": number}, success=number < good, item=str(number))
    return tasks.complete_task(task.task_id)


def test_a_live_twin_is_the_same_task(tasks: TaskManager) -> None:
    """While a task is live its key and parameters name it; other parameters or another key are another task."""
    first, is_new = tasks.get_or_create_task("survey", {"ids": [1, 2], "q": "why"}, 2)
    assert (is_new, first.status) == (True, "pending")
    assert tasks.get_or_create_task("survey", {"q": "why", "ids": [1, 2]}, 2) == (first, False)
    for key, params in (("survey", {"ids": [2, 1], "q": "why"}), ("other", {"ids": [1, 2], "q": "why"})):
        other, is_new = tasks.get_or_create_task(key, params, 2)
        assert is_new
        assert other.task_id != first.task_id
    with pytest.raises(ConfigError, match="under way with 2 items, and asked for with 3"):
        tasks.get_or_create_task("survey", {"ids": [1, 2], "q": "why"}, 3)


@settings(max_examples=40)
@given(
    params=st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.text(max_size=4), max_size=3),
    ids=st.lists(st.integers(-9, 9) | st.text(max_size=2), min_size=2, max_size=5),
    data=st.data(),
)
def test_fingerprints(params: dict[str, object], ids: list[int | str], data: st.DataObject) -> None:
    """The order of keys makes no other task; the order of a list does, unless its field is declared unordered."""
    params.pop("ids", None)
    mixed = data.draw(st.permutations(ids))
    reverse = dict(reversed(list(params.items())))
    assert fingerprint("k", {**params, "ids": ids}) == fingerprint("k", {"ids": ids, **reverse})
    assert (fingerprint("k", {**params, "ids": ids}) == fingerprint("k", {**params, "ids": mixed})) == (ids == mixed)
    assert fingerprint("k", {**params, "ids": ids}, ["ids"]) == fingerprint("k", {**params, "ids": mixed}, {"ids"})
    assert fingerprint("k", {"ids": ids}, ["ids"]) != fingerprint("k", {"ids": [*ids, ids[0]]}, ["ids"])


def test_fingerprints_know_types() -> None:
    """1, "1", true and null are four tasks; what is no JSON, or a declared list that is none, is refused."""
    assert len({fingerprint("k", {"a": value}) for value in (1, "1", True, None, [1])}) == 5
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        fingerprint("k", {"a": object()})
    assert fingerprint("k", {"a": 2**70}) != fingerprint("k", {"a": 2**70 + 1})
    with pytest.raises(ConfigError, match="unordered names 'b', and that parameter is None, no list"):
        fingerprint("k", {"a": 1}, ["b"])


@given(total=st.integers(0, 9), data=st.data(), said_success=st.booleans())
def test_counts_decide_what_an_end_is_called(total: int, data: st.DataObject, said_success: bool) -> None:  # noqa: FBT001 - hypothesis
    """Only a task all of whose items have succeeded is completed, whatever the caller says."""
    succeeded = data.draw(st.integers(0, total))
    failed = data.draw(st.integers(0, total - succeeded))
    status = ended_as(total=total, succeeded=succeeded, failed=failed, said_success=said_success)
    assert (status == "completed") == (said_success and succeeded == total)
    assert (status == "partial") == (said_success and 0 < succeeded < total)
    assert status in get_args(TaskStatus)


def test_failures_cannot_be_called_a_success(tasks: TaskManager) -> None:
    """A task whose items all failed is failed and one with some failures partial, though the caller says success."""
    assert ended(tasks).status == "completed"
    assert ended(tasks, good=0, bad=2).status == "failed"
    half = ended(tasks, count=4, good=2, bad=1)
    assert (half.status, half.error_message) == ("partial", "1 of 4 items failed, 1 were not done")
    assert (half.success_count, half.failed_count, half.completed_count, half.progress_percentage) == (2, 1, 3, 75.0)
    assert ended(tasks, count=0, good=0).progress_percentage == 100.0


@pytest.mark.parametrize(("policy", "again"), [("return", False), ("rerun", True)])
def test_asking_again_for_completed_work(policy: str, again: bool, tasks: TaskManager) -> None:  # noqa: FBT001 - a parameter
    """Completed work is returned or, if asked for, done by a new task."""
    before = ended(tasks)
    task, is_new = tasks.get_or_create_task("survey", {}, 2, if_finished=policy)  # type: ignore[arg-type] # both are
    assert (is_new, task.task_id != before.task_id, task.status == "pending") == (again, again, again)


def test_resuming(tasks: TaskManager) -> None:
    """Work that ended otherwise is resumed: the same task with what has succeeded by name; the rest is to be done."""
    before = ended(tasks, count=4, good=2, bad=1)
    returned, is_new = tasks.get_or_create_task("survey", {}, 4, if_failed="return")
    assert (returned.task_id, is_new, returned.status) == (before.task_id, False, "partial")
    task, is_new = tasks.get_or_create_task("survey", {}, 4)
    assert (task.task_id, is_new, task.status) == (before.task_id, True, "pending")
    assert (task.success_count, task.failed_count, task.error_message, task.ended_at) == (2, 0, None, None)
    assert tasks.done_items(task.task_id) == {"0", "1"}
    tasks.start_task(task.task_id)
    tasks.update_progress(task.task_id, "late", item="2")
    tasks.update_progress(task.task_id, "no name")
    assert tasks.complete_task(task.task_id).status == "completed"
    other_size, is_new = tasks.get_or_create_task("survey", {}, 5)
    assert (is_new, other_size.task_id) == (False, task.task_id)


def test_elapsed_time(tasks: TaskManager, clock: VirtualClock) -> None:
    """Time is None before the start, runs on the monotonic clock, stands still at the end, and adds up over resumes."""
    task, _ = tasks.get_or_create_task("survey", {}, 1)
    assert task.elapsed_seconds is None
    tasks.start_task(task.task_id)
    for expected in (2.0, 4.0):
        clock.advance_to(clock.now_ns() + 2 * NS_PER_S)
        now = tasks.get_task(task.task_id)
        assert now is not None
        assert now.elapsed_seconds == expected
    assert tasks.complete_task(task.task_id, success=False, error_message="tired").elapsed_seconds == 4.0
    clock.advance_to(clock.now_ns() + 60 * NS_PER_S)
    tasks.get_or_create_task("survey", {}, 1)
    tasks.start_task(task.task_id)
    clock.advance_to(clock.now_ns() + NS_PER_S)
    assert tasks.complete_task(task.task_id).elapsed_seconds == 5.0


def test_json_names(tasks: TaskManager) -> None:
    """A task in JSON has the documented names, and no more results than a page; the rest is paged."""
    task, _ = tasks.get_or_create_task("survey", {}, 250)
    tasks.start_task(task.task_id)
    for number in range(250):
        tasks.update_progress(task.task_id, number, success=number % 2 == 0)
    found = tasks.get_task(task.task_id)
    assert found is not None
    shown = msgspec.json.decode(msgspec.json.encode(found.to_dict()))
    assert shown.keys() == {
        *("task_id", "task_key", "fingerprint", "status", "total_count", "completed_count", "success_count"),
        *("failed_count", "results", "progress_percentage", "elapsed_seconds", "error_message"),
        *("created_at", "started_at", "ended_at"),
    }
    assert (shown["completed_count"], shown["progress_percentage"], len(shown["results"])) == (250, 100.0, 100)
    assert shown["results"][1] == {"item": None, "success": False, "result": 1}
    assert [each.result for each in tasks.results(task.task_id, offset=240, limit=50)] == list(range(240, 250))


def test_misuse_is_told(tasks: TaskManager) -> None:
    """A step out of its order, one result too many, and an unknown id are refused and change nothing."""
    task, _ = tasks.get_or_create_task("survey", {}, 1)
    with pytest.raises(ConfigError, match="is pending, not running"):
        tasks.update_progress(task.task_id)
    tasks.start_task(task.task_id)
    with pytest.raises(ConfigError, match="is running, not pending"):
        tasks.start_task(task.task_id)
    with pytest.raises(ConfigError, match="result cannot be written as JSON"):
        tasks.update_progress(task.task_id, object())
    tasks.update_progress(task.task_id, 1, success=False, item="a")
    assert tasks.update_progress(task.task_id, 2, item="a").success_count == 1
    with pytest.raises(ConfigError, match="has 1 items, and all of them"):
        tasks.update_progress(task.task_id, 3, item="b")
    assert tasks.complete_task(task.task_id).completed_count == 1
    with pytest.raises(ConfigError, match="is completed, not pending or running"):
        tasks.complete_task(task.task_id)
    with pytest.raises(ConfigError, match="there is no task 'x'"):
        tasks.start_task("x")
    assert tasks.get_task("x") is None
    with pytest.raises(ConfigError, match="total_count"):
        tasks.get_or_create_task("survey", {}, -1)
    with pytest.raises(ConfigError, match="task_key"):
        tasks.get_or_create_task("", {}, 1)


def test_listing(tasks: TaskManager) -> None:
    """Tasks are listed newest first, by key and by status; the active one of a key is its newest live one."""
    done, failed = ended(tasks), ended(tasks, key="group", good=0, bad=2)
    live, _ = tasks.get_or_create_task("survey", {"more": 1}, 1)
    assert [each.task_id for each in tasks.list_tasks()] == [live.task_id, failed.task_id, done.task_id]
    assert [each.task_id for each in tasks.list_tasks(task_key="survey", limit=1, offset=1)] == [done.task_id]
    assert [each.task_id for each in tasks.list_tasks(status="failed")] == [failed.task_id]
    active = tasks.get_active_task("survey")
    assert active is not None
    assert active.task_id == live.task_id
    assert tasks.get_active_task("group") is None


def test_a_block_always_ends_its_task(tasks: TaskManager) -> None:
    """An error leaves the task failed with its text, a cancellation cancelled; neither blocks a twin."""

    async def leave_by(error: BaseException | None) -> TaskInfo:
        async with tasks.run("survey", {}, 1, if_finished="rerun", if_failed="rerun") as run:
            assert run.is_new
            if error is not None:
                raise error
            run.add("answer", item="a")
            assert run.done_items == {"a"}
        return run.task

    for error, status in ((OSError("no network"), "failed"), (asyncio.CancelledError(), "cancelled")):
        with pytest.raises(type(error)):
            asyncio.run(leave_by(error))
        (task,) = tasks.list_tasks(limit=1)
        assert task.status == status
        assert task.error_message == ("OSError: no network" if status == "failed" else None)
        assert tasks.get_active_task("survey") is None
    last = asyncio.run(leave_by(None))
    (task,) = tasks.list_tasks(limit=1)
    assert (task.task_id, task.status, last.status) == (last.task_id, "completed", "completed")


def test_a_block_of_anothers_task(tasks: TaskManager) -> None:
    """A block that finds the work under way leaves it alone: it neither adds to it nor ends it."""

    async def main() -> None:
        async with tasks.run("survey", {}, 1) as first:
            async with tasks.run("survey", {}, 1) as second:
                assert not second.is_new
                with pytest.raises(ConfigError, match="not this block's"):
                    second.add("answer")
            assert second.task.task_id == first.task.task_id
            first.add("answer")

    asyncio.run(main())
    assert [each.status for each in tasks.list_tasks()] == ["completed"]


def test_two_managers_share_a_file(tmp_path: Path) -> None:
    """Tasks are the file's, not an object's: they are there for a second object, and after a restart; for its owner."""
    path = tmp_path / "new folder" / "tasks.sqlite"
    first, second = TaskManager(path), TaskManager(path)
    task, _ = first.get_or_create_task("survey", {}, 1)
    assert second.get_or_create_task("survey", {}, 1)[1] is False
    first.close()
    second.start_task(task.task_id)
    second.close()
    third = TaskManager(path)
    assert [each.status for each in third.list_tasks()] == ["running"]
    third.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_threads(tasks: TaskManager) -> None:
    """Of many threads that ask for one task at once, one is told to do it, and no result of any thread is lost."""
    new: list[bool] = []

    def work(number: int) -> None:
        task, is_new = tasks.get_or_create_task("survey", {}, 80)
        new.append(is_new)
        if is_new:
            tasks.start_task(task.task_id)
            started.set()
        started.wait()
        for item in range(10):
            tasks.update_progress(task.task_id, item, item=f"{number}/{item}")

    started = threading.Event()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert new.count(True) == 1
    (task,) = tasks.list_tasks()
    assert (task.success_count, task.progress_percentage) == (80, 100.0)


def test_foreign_files(tmp_path: Path) -> None:
    """A file that is no database, and one of something else, are named and left as they are."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be one: " * 100, encoding="utf-8")
    with pytest.raises(JournalError, match=r"notes\.txt cannot be read or written: file is not a database"):
        TaskManager(text)
    assert text.read_text(encoding="utf-8").startswith("not a database")
    with pytest.raises(ConfigError, match="is no regular file"):
        TaskManager(tmp_path)
