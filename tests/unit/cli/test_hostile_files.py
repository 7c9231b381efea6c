"""Result files that nobody here wrote, given to the commands that read results."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from bench.cli.dispatch import dispatch
from bench.experiment.store import EXPERIMENT
from bench.journal import MANIFEST, TASKS
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sparse(path: Path, size_bytes: int) -> None:
    """Make a file of nothing but NUL."""
    path.unlink()
    with path.open("wb") as file:
        file.truncate(size_bytes)


def replaced(path: Path, *, link: str | None = None, pipe: bool = False, folder: bool = False) -> None:
    """Put something else where a file was."""
    path.unlink()
    if link is not None:
        path.symlink_to(link)
    if pipe:
        os.mkfifo(path)
    if folder:
        path.mkdir()


def changed(name: str, value: object) -> Callable[[Path], object]:
    """Return what sets a field of a JSON file."""
    return lambda path: path.write_text(json.dumps(json.loads(path.read_bytes()) | {name: value}))


def written(data: bytes) -> Callable[[Path], object]:
    """Return what gives a file this content."""
    return lambda path: path.write_bytes(data)


def appended(data: bytes) -> Callable[[Path], object]:
    """Return what adds this to a file."""
    return lambda path: path.write_bytes(path.read_bytes() + data)


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "empty": written(b""),
    "no JSON": written(b"\x00\xff" * 100),
    "a list": written(b"[]"),
    "nested": written(b"[" * 200_000),
    "nested field": written(b'{"schema_version":1,"config":' + b'{"a":' * 200_000),
    "endless number": written(b'{"schema_version":' + b"9" * 10_000 + b"}"),
    "endless exponent": written(b'{"schema_version":1e999}'),
    "half a character": written(b'{"schema_version":1,"run_id":"\\ud800"}'),
    "next version": changed("schema_version", 999),
    "no mode": changed("mode", None),
    "no N": changed("concurrency", 0),
    "large N": changed("concurrency", 10**18),
    "too many tasks": changed("tasks", 10**15),
    "wrong segments": changed("segments", [{"pid": "x"}]),
    # Longer than any memory: a program that reads it whole fails at once, or never ends.
    "long": lambda path: sparse(path, 10**13),
    "endless": lambda path: replaced(path, link="/dev/zero"),
    "a pipe": lambda path: replaced(path, pipe=True),
    "a folder": lambda path: replaced(path, folder=True),
    "a loop": lambda path: replaced(path, link=MANIFEST),
}

RECORDS: dict[str, Callable[[Path], object]] = {
    "nested": appended(b"[" * 200_000 + b"\n"),
    "nested field": appended(b'{"status":' + b"[" * 200_000 + b"\n"),
    "no fields": appended(b"{}\n"),
    "no UTF-8": appended(b'{"status":"\xff\xfe"}\n'),
    "blank line": appended(b"\n"),
    "endless number": appended(b'{"status":"ok","latency_s":' + b"9" * 10_000 + b"}\n"),
    "endless": lambda path: replaced(path, link="/dev/zero"),
    "a pipe": lambda path: replaced(path, pipe=True),
    "one line of a GB": lambda path: sparse(path, 10**9),
}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command says; it has to end with 2, without a traceback, and may not be long."""
    assert dispatch(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(r"error: .*(damaged|cannot|version|nested)", err), err
    assert "Traceback" not in err
    assert len(err) < 2000
    return err


@pytest.mark.parametrize("case", MANIFESTS)
def test_f58_a_hostile_manifest(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in the place of `run.json`, a report of it ends with 2 and a message that names the run."""
    run = make_run(tmp_path, Plan())
    MANIFESTS[case](run / MANIFEST)
    assert run.name in refused(["report", str(run)], capsys)
    assert run.name in refused(["report", str(run), "--markdown"], capsys)


@pytest.mark.parametrize("case", RECORDS)
def test_f58_hostile_records(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in the place of records, a report of them ends with 2 and a message that names file or run."""
    run = make_run(tmp_path, Plan())
    RECORDS[case](run / TASKS)
    assert run.name in refused(["report", str(run)], capsys)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    "case",
    [name for name in MANIFESTS if name not in {"large N", "too many tasks", "no N", "wrong segments", "no mode"}],
)
def test_f58_a_hostile_experiment(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in the place of `experiment.json`, its report and its comparison end with 2 and a message."""
    folder = tmp_path / "compare"
    folder.mkdir()
    (folder / EXPERIMENT).write_text('{"schema_version": 1}')
    MANIFESTS[case](folder / EXPERIMENT)
    for arguments in (["report", str(folder)], ["compare", "--diff", str(folder), str(folder)]):
        assert dispatch(arguments) == 2, arguments
        out, err = capsys.readouterr()
        assert (out, "Traceback" in err, len(err) < 2000) == ("", False, True), err
