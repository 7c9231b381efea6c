"""Taking a run up again: what is left is done, what is there stays, and what must not change is refused."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.config import SOURCES, ConcurrentConfig
from bench.errors import ConfigError
from bench.executor import ConcurrentBigModelExecutor, RunOutcome
from bench.executor.unchanged import SHAPING
from bench.journal import MANIFEST, SUMMARY, TASKS, WORKLOAD, Journal, iter_last_results, iter_lines, read_manifest
from bench.providers import Endpoint
from bench.records import Status, Task, TaskResult
from bench.summary import Summary
from tests.samples import cancelled_result, failed_result
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workload import Workload

SCRIPTED: Final = Endpoint(provider="scripted", base_url="none", model="scripted")
COUNT: Final = 12
CONFIG: Final = ConcurrentConfig(client="scripted", topics=tuple(map(str, range(COUNT))))


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 tasks that ended by itself; tests work on copies."""
    config = dataclasses.replace(CONFIG, results_dir=tmp_path_factory.mktemp("results"), mode="serial")
    return ConcurrentBigModelExecutor(config).run(CountedWorkload(COUNT), SCRIPTED).directory


def copied(run: Path, folder: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(run, folder / run.name))


def end_after(run: Path, records: int) -> None:
    """Leave of a run what a kill leaves: some records, the tasks that were drawn, and no end."""
    for name, lines in ((TASKS, records), (WORKLOAD, min(COUNT, records + 2))):
        whole = (run / name).read_bytes().splitlines(keepends=True)
        (run / name).write_bytes(b"".join(whole[:lines]))
    end_without_status(run)


def end_without_status(run: Path) -> None:
    """Let a manifest say that its run is under way."""
    manifest = msgspec.structs.replace(read_manifest(run), status="running")
    (run / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    (run / SUMMARY).unlink(missing_ok=True)


def resumed(run: Path, workload: Workload | None = None, *, retry_failed: bool = False, **given: object) -> RunOutcome:
    """Take a run up again with some settings of its own, and do it."""
    config = dataclasses.replace(CONFIG, results_dir=run.parent, **{"mode": "serial", **given})  # type: ignore[arg-type]
    executor = ConcurrentBigModelExecutor(config)
    return executor.resume(run, workload or CountedWorkload(COUNT), SCRIPTED, retry_failed=retry_failed).execute()


def records(run: Path) -> list[TaskResult]:
    """Every line of a run's records."""
    return [msgspec.json.decode(line, type=TaskResult) for line in iter_lines(run / TASKS)]


def drawn(run: Path) -> list[int]:
    """The tasks that a run wrote down before it sent them."""
    return [msgspec.json.decode(line, type=Task).index for line in iter_lines(run / WORKLOAD)]


def test_what_is_left_is_done(whole_run: Path, tmp_path: Path) -> None:
    """Tasks without a record are done in another segment, in another mode if asked; what is there stays as it is."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    before = (run / TASKS).read_bytes()
    outcome = resumed(run, mode="threading", concurrency=2)
    assert (outcome.status, outcome.summary.tasks.ok) == ("completed", COUNT)
    assert (run / TASKS).read_bytes().startswith(before)
    assert [(record.segment, record.mode) for record in records(run)] == [(0, "serial")] * 5 + [(1, "threading")] * 7
    assert sorted(record.index for record in records(run)) == drawn(run) == list(range(COUNT))
    first, second = read_manifest(run).segments
    assert (first.changed, second.tasks) == ({}, 7)
    assert second.changed == {"mode": "threading", "concurrency": 2}
    assert second.origin_ns != first.origin_ns
    assert second.ended_at is not None


@given(st.lists(st.tuples(st.integers(0, COUNT - 1), st.sampled_from(["ok", "failed", "cancelled"])), max_size=20))
@settings(max_examples=10)
def test_the_last_record_decides(lines: list[tuple[int, Status]]) -> None:
    """Whatever a run's records are, those tasks are done again whose last one is missing or cancelled, or failed if
    that is asked for; each is then ok, and nothing else was sent.
    """
    made = {"failed": failed_result, "cancelled": cancelled_result}
    for retry_failed in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            run = fresh_run(Path(folder))
            whole = {record.index: record for record in records(run)}
            kept = [whole[index] if status == "ok" else made[status](index) for index, status in lines]
            (run / TASKS).write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in kept))
            end_without_status(run)
            last = {record.index: record.status for record in kept}
            done = {"ok"} if retry_failed else {"ok", "failed"}
            expected = [index for index in range(COUNT) if last.get(index) not in done]
            outcome = resumed(run, retry_failed=retry_failed)
            assert outcome.status == "completed"
            assert [record.index for record in records(run)[len(kept) :]] == expected
            assert outcome.summary.tasks.ok == COUNT - outcome.summary.tasks.failed
            assert drawn(run) == list(range(COUNT))


def fresh_run(folder: Path) -> Path:
    """A run of 12 tasks."""
    config = dataclasses.replace(CONFIG, results_dir=folder, mode="serial")
    return ConcurrentBigModelExecutor(config).run(CountedWorkload(COUNT), SCRIPTED).directory


def test_f21_torn_lines_are_kept_aside(whole_run: Path, tmp_path: Path) -> None:
    """A record and a task that a kill cut off are moved into files of their own before anything is appended."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    for name in (TASKS, WORKLOAD):
        with (run / name).open("ab") as file:
            file.write('{"torn":"漢'.encode()[:-1])
    outcome = resumed(run)
    assert outcome.status == "completed"
    for name in (TASKS, WORKLOAD):
        assert (run / f"{name}.torn-1").read_bytes() == '{"torn":"漢'.encode()[:-1]
    assert drawn(run) == list(range(COUNT))
    assert len(records(run)) == COUNT


def test_f21_cut_at_every_byte(tmp_path: Path) -> None:
    """Wherever in its last record a journal ends, inside a character too, what is whole stays and the rest is kept."""
    lines = [f'{{"number":{number},"text":"回答🙂"}}'.encode() + b"\n" for number in range(3)]
    source = fresh_run(tmp_path)
    for end in range(1, len(lines[2])):
        (source / TASKS).write_bytes(b"".join(lines[:2]) + lines[2][:end])
        journal = Journal.reopened(source)
        journal.abandon()
        assert (source / TASKS).read_bytes() == b"".join(lines[:2])
        assert journal.torn == (source / f"{TASKS}.torn-{end}",)
        assert journal.torn[0].read_bytes() == lines[2][:end]


def test_a_long_torn_line(tmp_path: Path) -> None:
    """A torn line that is longer than what is read at once is kept whole, also where it is all there is."""
    source = fresh_run(tmp_path)
    for before, number in ((b"", 1), (b"whole\n", 2)):
        (source / TASKS).write_bytes(before + b"x" * 200_000)
        Journal.reopened(source).abandon()
        assert (source / TASKS).read_bytes() == before
        assert (source / f"{TASKS}.torn-{number}").stat().st_size == 200_000


def test_a_task_that_a_dead_machine_forgot(whole_run: Path, tmp_path: Path) -> None:
    """Where records outlived their tasks' lines, the workload's file is completed: it has all tasks in order."""
    run = copied(whole_run, tmp_path)
    end_after(run, 8)
    (run / WORKLOAD).write_bytes(b"".join((run / WORKLOAD).read_bytes().splitlines(keepends=True)[:3]))
    resumed(run)
    assert drawn(run) == list(range(COUNT))


def test_only_the_end_is_missing(whole_run: Path, tmp_path: Path) -> None:
    """A run that was killed after its last record gets its numbers, and nothing is sent again."""
    run = copied(whole_run, tmp_path)
    end_without_status(run)
    before = (run / TASKS).read_bytes()
    outcome = resumed(run)
    assert (outcome.status, read_manifest(run).status) == ("completed", "completed")
    assert (run / TASKS).read_bytes() == before
    assert msgspec.json.decode((run / SUMMARY).read_bytes(), type=Summary).tasks.ok == COUNT


def test_a_second_writer_is_refused(whole_run: Path, tmp_path: Path) -> None:
    """While one process writes a run, another is refused and told which; nothing of the first one's is touched."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    first = ConcurrentBigModelExecutor(dataclasses.replace(CONFIG, results_dir=tmp_path)).resume(
        run, CountedWorkload(COUNT), SCRIPTED
    )
    content = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ConfigError, match=f"{run.name} is being written by process [0-9]+ on "):
        resumed(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == content
    assert first.execute().status == "completed"
    end_after(run, 3)
    assert resumed(run).status == "completed"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "other"}, "--model shapes the answers, and .* was begun with scripted, got other"),
        ({"max_tokens": 7}, "--max-tokens shapes the answers, and .* was begun with 512, got 7"),
        ({"temperature": 0.5}, "--temperature shapes the answers, and .* was begun with none, got 0.5"),
        ({"iterations": 2}, "--iterations shapes the answers, and .* was begun with 1, got 2"),
        ({"stream": False}, "--stream shapes the answers, and .* was begun with True, got False"),
        ({"provider": ("local",)}, "--provider shapes the answers, and .* was begun with none, got local"),
        ({"base_url": "http://127.0.0.1/v1"}, "--base-url shapes the answers, and .* was begun with none, got http"),
        ({"rate": 5.0}, "was begun in a closed loop, got settings of an open one"),
    ],
)
def test_what_shapes_the_answers_is_refused(
    given: dict[str, Any], message: str, whole_run: Path, tmp_path: Path
) -> None:
    """A setting that would make the rest of the answers others is refused with its name, the old and the new value."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    content = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ConfigError, match=message):
        resumed(run, **given)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == content


class ChangedWorkload(CountedWorkload):
    """A workload in which one task is another."""

    def __init__(self, count: int, changed: int) -> None:
        self.changed = changed
        super().__init__(count)

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks."""
        for task in super().__iter__():
            is_it = task.index == self.changed
            yield msgspec.structs.replace(task, topic="新", params={"max_tokens": 65}) if is_it else task


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (ChangedWorkload(COUNT, 3), r"task 4 was '主题 3' .*64.*, and is '新' .*65.* now"),
        (ChangedWorkload(COUNT, 10), "a task behind the first 7, which had not been sent, is another now"),
        (CountedWorkload(COUNT + 1), "it had 12 tasks, and has 13 now"),
        (CountedWorkload(4), "it had a task 5, '主题 4' .*, and ends before it now"),
    ],
)
def test_a_changed_workload_is_refused(workload: Workload, message: str, whole_run: Path, tmp_path: Path) -> None:
    """A source that is not what the run was begun with is refused with the first task that shows it."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    with pytest.raises(ConfigError, match=f"^--topics is not what {run.name} was begun with: {message}\n"):
        resumed(run, workload)


def test_damaged_records_are_refused(whole_run: Path, tmp_path: Path) -> None:
    """Records that cannot be read, or are of another workload's tasks, are named by line; the run stays as it is."""
    run = copied(whole_run, tmp_path)
    for line, message in ((b"{}", "line 13 is damaged"), (None, "line 13 is of task 99-i0-v0, which this run's")):
        end_without_status(run)
        whole = (run / TASKS).read_bytes()
        other = msgspec.json.encode(msgspec.structs.replace(records(run)[0], index=99)) if line is None else line
        (run / TASKS).write_bytes(whole + other + b"\n")
        with pytest.raises(ConfigError, match=message):
            resumed(run)
        assert (run / TASKS).read_bytes() == whole + other + b"\n"
        (run / TASKS).write_bytes(whole)


def test_an_open_loop_begins_its_schedule_anew(tmp_path: Path) -> None:
    """Resumed in an open loop, the tasks that are left arrive by the schedule from its beginning."""
    times = tmp_path / "times.txt"
    times.write_text("".join(f"{place * 0.001}\n" for place in range(COUNT)))
    config = dataclasses.replace(CONFIG, results_dir=tmp_path, arrival_times=times)
    run = ConcurrentBigModelExecutor(config).run(CountedWorkload(COUNT), SCRIPTED).directory
    end_after(run, 5)
    times.write_text("0\n0.001\n")
    with pytest.raises(ConfigError, match="has 2 times for 7 tasks"):
        resumed(run, mode="asyncio", arrival_times=times)
    times.write_text("".join(f"{place * 0.001}\n" for place in range(7)))
    assert resumed(run, mode="asyncio", arrival_times=times).status == "completed"
    later = sorted(record.scheduled_s for record in records(run) if record.segment == 1)
    assert [round(instant_s - later[0], 6) for instant_s in later] == [place * 0.001 for place in range(7)]


def test_every_setting_has_its_rule() -> None:
    """Every setting that says what is run or whom it asks is in the list of those that shape the answers or that name
    the tasks; what is no setting is in none.
    """
    names = {field.name for field in dataclasses.fields(ConcurrentConfig)}
    assert names >= set(SHAPING) | set(SOURCES)
    groups = {field.name: field.metadata["group"] for field in dataclasses.fields(ConcurrentConfig)}
    shaping = {name for name, group in groups.items() if group in {"What to run", "Whom to ask"}}
    assert shaping - {"allow_insecure_http", "providers_file"} == set(SHAPING) | set(SOURCES)


@pytest.mark.parametrize(("stored", "now"), [(None, ()), ("scripted", ("scripted",))])
def test_a_run_that_kept_one_provider(
    whole_run: Path, tmp_path: Path, stored: str | None, now: tuple[str, ...]
) -> None:
    """A run that kept one provider's name, or none, goes on where several are kept today, and has changed nothing."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    manifest = msgspec.json.decode((run / MANIFEST).read_bytes())
    manifest["config"]["provider"] = stored
    (run / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    assert resumed(run, provider=now).status == "completed"
    assert "provider" not in read_manifest(run).segments[-1].changed
    with pytest.raises(ConfigError, match=f"was begun with {stored or 'none'}, got other"):
        resumed(run, provider=("other",))


def test_pauses_take_no_time(whole_run: Path, tmp_path: Path) -> None:
    """The time of a resumed run is that of its segments, each from first send to last end, one behind the other."""
    run = copied(whole_run, tmp_path)
    end_after(run, 5)
    outcome = resumed(run)
    spans = []
    for segment in (0, 1):
        attempts = [attempt for record in records(run) if record.segment == segment for attempt in record.attempts]
        spans.append(max(attempt.end_s for attempt in attempts) - min(attempt.sent_s for attempt in attempts))
    assert outcome.summary.wall_s == pytest.approx(sum(spans), abs=1e-8)
    assert outcome.summary.in_flight.peak == 1
    latencies = {record.task_id: record.latency_s for record in records(run)}
    assert {record.task_id: record.latency_s for record in iter_last_results(run, TaskResult)} == latencies
