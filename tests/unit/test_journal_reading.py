"""Reading run directories: whole records only, the last of each task, and damage named by path and line."""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import JournalError
from bench.journal import MANIFEST, TASKS, iter_last_lines, iter_last_results, iter_lines, read_manifest
from bench.records import TaskResult
from tests.samples import (
    cancelled_result,
    failed_result,
    make_attempt,
    make_manifest,
    make_result,
    make_segment,
    write_run,
)

#: What Python's own `str.splitlines` takes for the end of a line, besides the one that is.
OTHER_LINE_ENDS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e\r"

RESUMED = make_manifest(segments=(make_segment(), make_segment()))


class Wanted(msgspec.Struct, frozen=True):
    """The fields that a reader of these tests asks for."""

    task_id: str
    segment: int
    latency_s: float


def test_lines_end_with_a_line_feed_alone(tmp_path: Path) -> None:
    """No character of an answer splits its line in two, whatever other programs take for the end of a line."""
    results = [make_result(n, content=f"before{mark}after") for n, mark in enumerate(OTHER_LINE_ENDS)]
    run = write_run(tmp_path / "run", results)
    assert list(iter_last_results(run, TaskResult)) == results
    (tmp_path / "raw").write_bytes(f"a{OTHER_LINE_ENDS}b\nc\r\n".encode())
    assert list(iter_lines(tmp_path / "raw")) == [f"a{OTHER_LINE_ENDS}b".encode(), b"c\r"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """Wherever the last record was cut, inside a character too, readers yield all records before it and no other."""
    results = [make_result(n, content="回答🙂" * 3) for n in range(3)]
    run = write_run(tmp_path / "run", results)
    whole = (run / TASKS).read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for manifest in (make_manifest(), RESUMED):
        (run / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        for end in range(start_of_last, len(whole)):
            (run / TASKS).write_bytes(whole[:end])
            assert [record.task_id for record in iter_last_results(run, Wanted)] == ["0-i0-v0", "1-i0-v0"], end
        (run / TASKS).write_bytes(whole)
        assert len(list(iter_last_lines(run))) == 3


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_no_whole_line_is_no_record(tmp_path: Path, content: bytes) -> None:
    """A run that was killed before its first record has none, which is no error."""
    run = write_run(tmp_path / "run", [])
    (run / TASKS).write_bytes(content)
    assert list(iter_last_results(run, Wanted)) == []


@pytest.mark.parametrize("manifest", [make_manifest(), RESUMED], ids=["one segment", "two segments"])
@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\x00" * 40, b"[]", b'{"task_id":"1-i0-v0","segment":0,"latency_s":"long"}', b"{\xff}"]
)
def test_damage_is_named_by_path_and_line(tmp_path: Path, manifest: object, damage: bytes) -> None:
    """A damaged line is named by its path and its number in the file, also where lines before it do not count."""
    results = [make_result(n) for n in (0, 0, 1, 2)]
    run = write_run(tmp_path / "run", results)
    (run / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    lines = (run / TASKS).read_bytes().split(b"\n")
    lines[2] = damage
    (run / TASKS).write_bytes(b"\n".join(lines))
    with pytest.raises(JournalError, match=f"^{re.escape(str(run / TASKS))}, line 3 is damaged: ."):
        list(iter_last_results(run, Wanted))


def test_records_before_the_damage_are_read(tmp_path: Path) -> None:
    """A reader gets every record that stands before a damaged line."""
    run = write_run(tmp_path / "run", [make_result(0), make_result(1)])
    with (run / TASKS).open("ab") as file:
        file.write(b"{}\n")
    seen = []
    with contextlib.suppress(JournalError):
        seen += [record.task_id for record in itertools.islice(iter_last_results(run, Wanted), 2)]
    assert seen == ["0-i0-v0", "1-i0-v0"]


def test_the_last_line_decides(tmp_path: Path) -> None:
    """Of a task that was recorded again after a resume only the last record counts, in its own place."""
    lines = [
        make_result(0),
        failed_result(1),
        make_result(2),
        make_result(1, segment=1, latency_s=1.5),
        failed_result(0, segment=1),
        make_result(0, segment=2, latency_s=2.5),
    ]
    run = write_run(tmp_path / "run", lines, RESUMED)
    assert [msgspec.json.decode(line, type=TaskResult) for line in iter_last_lines(run)] == [
        lines[2],
        lines[3],
        lines[5],
    ]
    wanted = [(record.task_id, record.segment, record.latency_s) for record in iter_last_results(run, Wanted)]
    assert wanted == [("2-i0-v0", 0, 1.0), ("1-i0-v0", 1, 1.5), ("0-i0-v0", 2, 2.5)]


def test_segments_are_put_end_to_end(tmp_path: Path) -> None:
    """A later segment's first send is just after the last end of a call; its instants move together, no duration."""
    lines = [
        make_result(0, attempts=(make_attempt(sent_s=0.5, end_s=2.0),), ended_s=2.5),
        make_result(1, segment=1, attempts=(make_attempt(sent_s=10.0, end_s=13.0),), chunk_times_s=(11.0, 12.0)),
        cancelled_result(2, segment=1, ended_s=99.0),
        make_result(2, segment=3, attempts=(make_attempt(sent_s=1.0, end_s=1.25, headers_s=1.125),), queue_s=0.25),
    ]
    run = write_run(tmp_path / "run", lines, RESUMED)
    first, second, last = iter_last_results(run, TaskResult)
    assert first == lines[0]
    # The clock's own step lies between them, or rounding would let the two overlap.
    step_s = 1e-9
    assert second.attempts[0].sent_s > first.attempts[0].end_s
    assert last.attempts[0].sent_s > second.attempts[0].end_s
    moved = [second.attempts[0].sent_s, second.attempts[0].end_s, second.scheduled_s, second.started_s]
    assert moved == pytest.approx([2.0 + step_s, 5.0 + step_s, -8.0 + step_s, -8.0 + step_s], abs=1e-12)
    assert second.first_token_s == pytest.approx(-7.9 + step_s, abs=1e-12)
    assert second.chunk_times_s == pytest.approx((3.0 + step_s, 4.0 + step_s), abs=1e-12)
    assert second.latency_s == lines[1].latency_s
    end = [last.attempts[0].sent_s, last.attempts[0].headers_s, last.attempts[0].end_s]
    assert end == pytest.approx([5.0 + 2 * step_s, 5.125 + 2 * step_s, 5.25 + 2 * step_s], abs=1e-12)
    assert last.queue_s == 0.25


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(2, 3))
def test_each_task_counts_once(indexes: list[int], segments: int) -> None:
    """However the lines of a resumed run lie, each task has exactly one record, its last, in the file's order."""
    results = [make_result(index, latency_s=float(number)) for number, index in enumerate(indexes)]
    with tempfile.TemporaryDirectory() as folder:
        manifest = make_manifest(segments=(make_segment(),) * segments)
        run = write_run(Path(folder) / "run", results, manifest)
        read = list(iter_last_results(run, Wanted))
    expected = {index: number for number, index in enumerate(indexes)}
    assert [record.latency_s for record in read] == [float(number) for number in sorted(expected.values())]


@pytest.mark.parametrize("manifest", [make_manifest(), RESUMED], ids=["one segment", "two segments"])
def test_reading_is_lazy(tmp_path: Path, manifest: object) -> None:
    """A reader holds one record at a time: its memory does not grow with the answers' length."""
    run = write_run(tmp_path / "run", (make_result(n, content="x" * 100_000) for n in range(200)))
    (run / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    tracemalloc.start()
    try:
        assert sum(1 for _ in iter_last_results(run, Wanted)) == 200
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000 < (run / TASKS).stat().st_size


def test_a_missing_run_is_told(tmp_path: Path) -> None:
    """A directory that is no run, and a run without its records, are named with the reason."""
    with pytest.raises(JournalError, match=rf"^{tmp_path}/none is not a run: cannot read run\.json: No such file"):
        read_manifest(tmp_path / "none")
    run = write_run(tmp_path / "run", [])
    (run / TASKS).unlink()
    with pytest.raises(JournalError, match=rf"^cannot read {run}/tasks\.jsonl: No such file or directory$"):
        list(iter_last_results(run, Wanted))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"schema_version": 1}', b'{"run_id": 3}'])
def test_a_damaged_manifest_is_told(tmp_path: Path, content: bytes) -> None:
    """A manifest that is not one of ours is named with what is wrong with it."""
    run = write_run(tmp_path / "run", [])
    (run / MANIFEST).write_bytes(content)
    with pytest.raises(JournalError, match=rf"^{run}/run\.json is damaged: ."):
        read_manifest(run)


def test_a_newer_run_is_refused(tmp_path: Path) -> None:
    """A run of a later version of this program is refused by its version, whatever its form; a new field is not."""
    run = write_run(tmp_path / "run", [], make_manifest(schema_version=2))
    with pytest.raises(JournalError, match=r"has schema version 2, this program reads up to 1$"):
        read_manifest(run)
    (run / MANIFEST).write_bytes(b'{"schema_version": 3, "mode": {"name": "a later one"}}')
    with pytest.raises(JournalError, match=r"has schema version 3, this program reads up to 1$"):
        read_manifest(run)
    known = msgspec.json.decode(msgspec.json.encode(make_manifest()))
    (run / MANIFEST).write_bytes(msgspec.json.encode(known | {"mood": "good"}))
    assert read_manifest(run) == make_manifest()
