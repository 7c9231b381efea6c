"""The document that --output asks for: everything of a run in one file, in the workload's order, or the old file."""

from __future__ import annotations

import json
import os
import re
import threading
import tracemalloc
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.errors import JournalError
from bench.executor.document import write_document
from bench.journal import MANIFEST, TASKS
from bench.summary import summarise
from tests.disks import files_limited_to, small_disk
from tests.samples import failed_result, make_manifest, make_result, make_segment, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult


def placed(index: int, iteration: int = 0, version: int = 0, **changes: object) -> TaskResult:
    """Return a success at a place in the workload."""
    return make_result(
        index, task_id=f"{index}-i{iteration}-v{version}", iteration=iteration, version=version, **changes
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run of two iterations of two tasks whose records came in another order."""
    results = [placed(1), placed(1, 1), failed_result(0), placed(0, 1, content="行\u2028分隔 </script>")]
    return write_run(tmp_path / "run", results, make_manifest(4))


def ids(output: Path) -> list[str]:
    """Return the ids of a document's results, in its order."""
    return [result["task_id"] for result in json.loads(output.read_bytes())["results"]]


def test_the_form(run: Path, tmp_path: Path) -> None:
    """The document is one JSON object of the run, its summary, its workers and its results, as they are stored."""
    summary = summarise(run)
    write_document(run, summary, tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_bytes())
    assert list(document) == ["run", "summary", "workers", "results"]
    assert document["run"] == json.loads((run / MANIFEST).read_bytes())
    assert document["summary"] == json.loads(msgspec.json.encode(summary))
    assert document["workers"] == json.loads(msgspec.json.encode(summary.workers))
    stored = [json.loads(line) for line in (run / TASKS).read_bytes().split(b"\n") if line]
    assert sorted(document["results"], key=str) == sorted(stored, key=str)


def test_results_are_in_the_workloads_order(run: Path, tmp_path: Path) -> None:
    """Results stand iteration by iteration, in each by index and version, whatever order they ended in."""
    write_document(run, summarise(run), tmp_path / "out.json")
    assert ids(tmp_path / "out.json") == ["0-i0-v0", "1-i0-v0", "0-i1-v0", "1-i1-v0"]


def test_places_are_numbers(tmp_path: Path) -> None:
    """The tenth task stands after the second, and versions of one task stand together."""
    results = [placed(10), placed(2, 0, 1), placed(2), placed(9, 1), placed(11, 0, 10), placed(11, 0, 9)]
    run = write_run(tmp_path / "run", results, make_manifest(6))
    write_document(run, summarise(run), tmp_path / "out.json")
    assert ids(tmp_path / "out.json") == ["2-i0-v0", "2-i0-v1", "10-i0-v0", "11-i0-v9", "11-i0-v10", "9-i1-v0"]


def test_only_last_records_are_in_it(tmp_path: Path) -> None:
    """Of a task that was recorded again the last record is in the document, also where the two are the same."""
    results = [failed_result(0), placed(1), placed(0, segment=1), placed(1)]
    run = write_run(tmp_path / "run", results, make_manifest(2, segments=(make_segment(),) * 2))
    write_document(run, summarise(run), tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_bytes())
    assert [(result["task_id"], result["status"]) for result in document["results"]] == [
        ("0-i0-v0", "ok"),
        ("1-i0-v0", "ok"),
    ]


def test_a_torn_record_is_left_out(run: Path, tmp_path: Path) -> None:
    """The document of a run that was killed while it wrote is whole, without the torn record."""
    with (run / TASKS).open("ab") as file:
        file.write(b'{"task_id":"9-i0-v0","ind')
    write_document(run, summarise(run), tmp_path / "out.json")
    assert len(ids(tmp_path / "out.json")) == 4


def test_a_run_without_records(tmp_path: Path) -> None:
    """A run that was stopped before its first record has a document with no results."""
    run = write_run(tmp_path / "run", [])
    write_document(run, summarise(run), tmp_path / "out.json")
    assert ids(tmp_path / "out.json") == []


def test_memory_does_not_grow_with_texts(tmp_path: Path) -> None:
    """Writing the document takes memory for places, not for answers."""
    run = write_run(tmp_path / "run", (placed(n, content="x" * 200_000) for n in range(100)), make_manifest(100))
    summary = summarise(run)
    tracemalloc.start()
    try:
        write_document(run, summary, tmp_path / "out.json")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000 < (tmp_path / "out.json").stat().st_size


def test_an_earlier_document_is_replaced_whole(run: Path, tmp_path: Path) -> None:
    """A document takes the place of an earlier one, through a link too, and leaves nothing beside it."""
    output = tmp_path / "documents" / "out.json"
    output.parent.mkdir()
    output.write_bytes(b"old " * 100_000)
    link = tmp_path / "link.json"
    link.symlink_to(output)
    for path in (output, link):
        write_document(run, summarise(run), path)
        assert len(ids(output)) == 4
    assert link.is_symlink()
    assert list(output.parent.iterdir()) == [output]


def test_a_failed_document_leaves_the_earlier_one(run: Path, tmp_path: Path) -> None:
    """Where there is no room for the document the earlier one stays whole, and the error says where the records are."""
    output = tmp_path / "documents" / "out.json"
    output.parent.mkdir()
    output.write_bytes(b"old")
    summary = summarise(run)
    expected = f"cannot write {output}: File too large; the records are in {run}"
    with files_limited_to(1000), pytest.raises(JournalError, match=f"^{re.escape(expected)}$"):
        write_document(run, summary, output)
    assert output.read_bytes() == b"old"
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.root
def test_a_full_disk_leaves_the_earlier_document(run: Path, tmp_path: Path) -> None:
    """On a disk without room for the document the earlier one stays whole, and nothing half-written beside it."""
    summary = summarise(run)
    with small_disk(tmp_path / "disk", "4k") as disk:
        (disk / "out.json").write_bytes(b"old")
        with pytest.raises(JournalError, match="No space left on device"):
            write_document(run, summary, disk / "out.json")
        assert (disk / "out.json").read_bytes() == b"old"
        assert [path.name for path in disk.iterdir()] == ["out.json"]


@pytest.mark.parametrize("place", ["none/out.json", "file/out.json", ".", "x" * 300])
def test_an_impossible_place_is_told(run: Path, tmp_path: Path, place: str) -> None:
    """Where the document cannot stand at all the error names the place, and nothing is left behind."""
    (tmp_path / "file").write_text("")
    output = tmp_path / place
    before = sorted(tmp_path.iterdir())
    with pytest.raises(JournalError, match=f"^cannot write {re.escape(str(output))}: [A-Z].*; the records are in"):
        write_document(run, summarise(run), output)
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_journal_is_told(run: Path, tmp_path: Path) -> None:
    """A run with a damaged record has no document that leaves it out in silence, nor half of one."""
    summary = summarise(run)
    with (run / TASKS).open("ab") as file:
        file.write(b"{}\n")
    output = tmp_path / "documents" / "out.json"
    output.parent.mkdir()
    with pytest.raises(JournalError, match=r"tasks\.jsonl, line 5 is damaged"):
        write_document(run, summary, output)
    assert list(output.parent.iterdir()) == []


def test_a_pipe_is_written_and_stays(run: Path, tmp_path: Path) -> None:
    """A document may go into a pipe: it arrives whole, and the pipe is not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_document(run, summarise(run), pipe)
    reader.join()
    assert len(json.loads(received[0])["results"]) == 4
    assert pipe.is_fifo()


@pytest.mark.root
def test_a_device_stays(run: Path, tmp_path: Path) -> None:
    """A document that is thrown away leaves the machine its /dev/null, also under root."""
    null = tmp_path / "null"
    os.mknod(null, 0o666 | 0o020000, os.makedev(1, 3))
    write_document(run, summarise(run), null)
    assert null.is_char_device()
