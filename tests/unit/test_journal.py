"""Writing run directories: what the one writer leaves on the disk, whatever happens to the disk or to the writer."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from bench.errors import ConfigError, JournalError
from bench.journal import (
    MANIFEST,
    TASKS,
    WORKLOAD,
    Journal,
    LineFile,
    create_run_directory,
    iter_lines,
    read_manifest,
    write_atomically,
)
from bench.records import Task
from tests.disks import files_limited_to, small_disk
from tests.samples import make_manifest, make_result, make_task

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
NOW: Final = datetime(2026, 11, 22, 3, 5, 6, tzinfo=UTC)

#: Appends lines of all lengths, and says each number after its line was appended, until it is killed.
ENDLESS_WRITER: Final = """
import itertools, pathlib, sys
from bench.journal import LineFile
file = LineFile(pathlib.Path(sys.argv[1]))
for number in itertools.count():
    file.append(b'{"number":%d,"text":"%s"}' % (number, "漢".encode() * (number * 997 % 20_000)))
    print(number, flush=True)
"""


@contextlib.contextmanager
def journal_in(directory: Path) -> Iterator[Journal]:
    """Open a journal and close it at the end."""
    directory.mkdir(exist_ok=True)
    journal = Journal(directory, make_manifest())
    try:
        yield journal
    finally:
        journal.close(journal.manifest)


def append_until_full(file: LineFile | Journal, line: bytes) -> None:
    """Append a line more often than any disk of these tests can take it."""
    for _ in range(64_000):
        file.append(line)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Have the system take no permission away by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(paths: Iterator[Path]) -> dict[str, int]:
    """Return the permission bits of files."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}


def test_a_run_directory_is_named_after_its_run(tmp_path: Path) -> None:
    """The id is the UTC time, the mode and four hex digits, and the results directory is made on the way."""
    directory = create_run_directory(tmp_path / "deep" / "results", "threading", NOW)
    assert directory.parent == tmp_path / "deep" / "results"
    assert re.fullmatch(r"20261122T030506Z-threading-[0-9a-f]{4}", directory.name)
    assert directory.is_dir()


def test_runs_of_one_second_do_not_meet(tmp_path: Path) -> None:
    """Many runs that begin within one second all get a directory of their own."""
    # 1,000 of 65,536 names: two of them are the same at the first try in all but one of 2,000 test runs.
    assert len({create_run_directory(tmp_path, "serial", NOW) for _ in range(1000)}) == 1000


def test_an_unusable_results_directory_is_told(tmp_path: Path) -> None:
    """Where no run can be kept, the error names the place, the reason and the option."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    for place in (in_the_way, in_the_way / "below", tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError, match=f"^cannot keep runs in {re.escape(str(place))}: [A-Z]") as caught:
            create_run_directory(place, "serial", NOW)
        assert "--results-dir" in caught.value.hint


def test_files_are_their_owners_alone(tmp_path: Path, open_umask: None) -> None:
    """Prompts and answers can be read by their owner only, however permissive the machine is set up."""
    directory = create_run_directory(tmp_path, "asyncio", NOW)
    with journal_in(directory) as journal:
        journal.drew(make_task())
    assert modes(tmp_path.iterdir()) == {directory.name: 0o700}
    assert modes(directory.iterdir()) == dict.fromkeys((MANIFEST, WORKLOAD, TASKS), 0o600)


def test_a_journal_keeps_what_it_is_given(tmp_path: Path) -> None:
    """Tasks, results and the manifest are on the disk, in order, as soon as they were handed over."""
    tasks, results = [make_task(n) for n in range(3)], [make_result(n) for n in (2, 0)]
    with journal_in(tmp_path / "run") as journal:
        for task in tasks:
            journal.drew(task)
        for result in results:
            journal.append(msgspec.json.encode(result))
        run = journal.directory
        assert [msgspec.json.decode(line, type=Task) for line in iter_lines(run / WORKLOAD)] == tasks
        assert list(iter_lines(run / TASKS)) == [msgspec.json.encode(result) for result in results]
        assert read_manifest(run) == make_manifest()
        assert (journal.drawn, journal.recorded) == (3, 2)
        assert repr(journal) == "<Journal run drawn=3 recorded=2>"


def test_closing_keeps_the_last_manifest(tmp_path: Path) -> None:
    """The manifest with which a journal is closed is the one that a reader finds, in full and indented for people."""
    (tmp_path / "run").mkdir()
    journal = Journal(tmp_path / "run", make_manifest())
    journal.close(make_manifest(status="completed"))
    assert read_manifest(tmp_path / "run") == make_manifest(status="completed")
    assert (tmp_path / "run" / MANIFEST).read_text().startswith('{\n  "schema_version": 1,\n')
    journal.close(make_manifest(status="failed"))
    assert read_manifest(tmp_path / "run").status == "failed"


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """A run that has records is not written over, and a link that somebody planted in their place is not followed."""
    with journal_in(tmp_path / "run") as journal:
        journal.append(b"{}")
        with pytest.raises(JournalError, match=r"tasks\.jsonl: File exists"):
            Journal(tmp_path / "run", make_manifest())
    assert (tmp_path / "run" / TASKS).read_bytes() == b"{}\n"
    (tmp_path / "planted").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="File exists"):
        LineFile(tmp_path / "planted")
    write_atomically(tmp_path / "planted", b"ours")
    assert (tmp_path / "planted").read_bytes() == b"ours"
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_file_keeps_its_whole_lines(tmp_path: Path) -> None:
    """Of a line that does not fit nothing stays, the error says what is whole, and shorter lines still fit."""
    file = LineFile(tmp_path / "lines")
    with files_limited_to(1000):
        for _ in range(9):
            file.append(b"x" * 99)
        with pytest.raises(JournalError) as caught:
            file.append(b"y" * 100)
        assert (
            str(caught.value) == f"cannot write {tmp_path}/lines: File too large; the 9 lines written before are whole"
        )
        assert (tmp_path / "lines").read_bytes() == (b"x" * 99 + b"\n") * 9
        file.append(b"z" * 99)
    file.close()
    assert list(iter_lines(tmp_path / "lines")) == [b"x" * 99] * 9 + [b"z" * 99]
    assert repr(file) == f"<LineFile {tmp_path}/lines lines=10 bytes=1000>"


def test_of_lines_that_do_not_all_fit_the_first_are_kept(tmp_path: Path) -> None:
    """Of lines that are appended together and do not all fit those stay that do, whole and counted."""
    file = LineFile(tmp_path / "lines")
    with files_limited_to(1000):
        file.append(b"a" * 99, b"b" * 199)
        with pytest.raises(JournalError, match="File too large; the 5 lines written before are whole"):
            file.append(b"c" * 99, b"d" * 99, b"e" * 399, b"f" * 399)
    file.append()
    file.append(b"g")
    file.close()
    assert [line[:1] for line in iter_lines(tmp_path / "lines")] == [b"a", b"b", b"c", b"d", b"e", b"g"]
    assert repr(file) == f"<LineFile {tmp_path}/lines lines=6 bytes=902>"


@pytest.mark.root
@pytest.mark.parametrize("line_bytes", [99, 3_999, 100_000])
def test_a_full_disk_keeps_its_whole_lines(tmp_path: Path, line_bytes: int) -> None:
    """On a disk that fills up every line before the failed one is whole, of the failed one nothing is left."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        file = LineFile(disk / TASKS)
        with pytest.raises(JournalError) as caught:
            append_until_full(file, b"x" * line_bytes)
        file.close()
        kept = list(iter_lines(disk / TASKS))
        assert kept == [b"x" * line_bytes] * file.lines
        assert (disk / TASKS).stat().st_size == file.lines * (line_bytes + 1)
        assert str(caught.value) == (
            f"cannot write {disk}/tasks.jsonl: No space left on device; the {len(kept)} lines written before are whole"
        )
        assert len(kept) == 65_536 // (line_bytes + 1)


@pytest.mark.root
def test_a_full_disk_keeps_the_old_manifest(tmp_path: Path) -> None:
    """A manifest that finds no room on the disk leaves the one before it, whole, and no leftovers."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        journal = Journal(disk, make_manifest())
        with pytest.raises(JournalError):
            append_until_full(journal, b"x" * 500)
        with pytest.raises(JournalError, match=r"run\.json: No space left on device$"):
            journal.close(make_manifest(error="e" * 30_000, status="failed"))
        assert read_manifest(disk) == make_manifest()
        assert {path.name for path in disk.iterdir()} == {MANIFEST, WORKLOAD, TASKS}


@pytest.mark.root
def test_a_read_only_disk_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """On a disk that takes no writes a run has no directory: that is a matter of configuration."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(ConfigError, match="Read-only file system"):
            create_run_directory(disk, "serial", NOW)
        with pytest.raises(ConfigError, match="Read-only file system"):
            create_run_directory(disk / "results", "serial", NOW)


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    """A file that cannot be written anew keeps its old content, and nothing half-written stays beside it."""
    path = tmp_path / "summary.json"
    write_atomically(path, b"old")
    with (
        files_limited_to(1000),
        pytest.raises(JournalError, match=f"^cannot write {re.escape(str(path))}: File too large$"),
    ):
        write_atomically(path, b"n" * 100_000)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_impossible_place_is_told(tmp_path: Path) -> None:
    """Where a file cannot stand at all, the error names path and reason, and nothing is left beside it."""
    (tmp_path / "taken").mkdir()
    for path, reason in (
        (tmp_path / "none" / "file", "No such file or directory"),
        (tmp_path / "taken", "Is a directory"),
    ):
        with pytest.raises(JournalError, match=f"^cannot write {re.escape(str(path))}: {reason}$"):
            write_atomically(path, b"data")
    with pytest.raises(JournalError, match="No such file or directory; the 0 lines"):
        LineFile(tmp_path / "none" / "lines")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path) -> None:
    """While a file is written again and again, whoever reads it finds one content or the other, whole."""
    path, contents = tmp_path / "run.json", [b"a" * 300_000, b"b" * 200_000]
    write_atomically(path, contents[0])
    seen: set[int] = set()
    writing = threading.Event()

    def read() -> None:
        while not writing.is_set():
            found = path.read_bytes()
            seen.add(contents.index(found) if found in contents else -1)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for content in reversed(contents):
            write_atomically(path, content)
    writing.set()
    reader.join()
    assert seen <= {0, 1}


def test_a_disk_that_fails_at_the_end_is_told(tmp_path: Path) -> None:
    """A file whose content does not reach the disk at last says so, and is closed all the same, once."""
    file = LineFile(tmp_path / "lines")
    reading, writing = os.pipe()
    # A pipe in the file's place: it can be written, and refuses to be brought to the disk.
    os.dup2(writing, file._descriptor)
    with pytest.raises(JournalError, match=r"lines: Invalid argument; the 0 lines"):
        file.close()
    file.close()
    os.close(reading)
    os.close(writing)


def test_nothing_is_appended_to_a_closed_file(tmp_path: Path) -> None:
    """A line that comes after the end is an error, not lost in silence."""
    file = LineFile(tmp_path / "lines")
    file.append(b"one")
    file.close()
    with pytest.raises(JournalError, match="Bad file descriptor; the 1 lines"):
        file.append(b"two")
    assert (tmp_path / "lines").read_bytes() == b"one\n"


@pytest.mark.parametrize("said", [1, 30, 60, 90, 120])
def test_a_killed_writer_leaves_whole_lines(tmp_path: Path, said: int) -> None:
    """After kill -9 every appended line is there and whole; at most one torn line follows, which readers skip."""
    path = tmp_path / "lines"
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(said):
            writer.stdout.readline()
        writer.kill()
        appended = said + len(writer.stdout.read().split("\n")) - 1
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    read = [msgspec.json.decode(line) for line in iter_lines(path)]
    assert [record["number"] for record in read] == list(range(len(read)))
    assert len(read) == len(whole.split(b"\n"))
    assert len(read) in {appended, appended + 1}
    assert b"\n" not in torn
