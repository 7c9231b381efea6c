"""Run directories as a report reads them: whole, damaged, and foreign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.errors import ConfigError
from bench.report.build import build_report
from bench.report.load import load
from bench.summary import summarise
from tests.report_cases import CASES
from tests.report_runs import Plan, make_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def edited(run: Path, file: str, change: Callable[[bytes], bytes]) -> Path:
    """Change a file of a run and return the run."""
    path = run / file
    path.write_bytes(change(path.read_bytes()))
    return run


def with_field(line: bytes, **changed: object) -> bytes:
    """Return a JSON object with some of its fields changed."""
    return msgspec.json.encode({**msgspec.json.decode(line), **changed})


@pytest.mark.parametrize("case", CASES)
def test_the_figures_are_those_of_the_summary(tmp_path: Path, case: str) -> None:
    """What the report computes while it reads its columns is what `summarise` computes."""
    for plan in CASES[case][:3]:
        run = make_run(tmp_path, plan)
        loaded = load(run)
        assert loaded.summary == summarise(run)
        assert len(loaded.successes) == loaded.summary.tasks.ok
        assert len(loaded.sent_s) == len(loaded.ended_s) == loaded.summary.attempts
        assert len(loaded.first_tokens_s) == loaded.summary.ttft_s.n


def test_topics_stand_beside_their_latencies(tmp_path: Path) -> None:
    """Each success has its topic, failures between them notwithstanding."""
    run = make_run(tmp_path, Plan(tasks=200, error_rate=0.6, retries=0))
    lines = [msgspec.json.decode(line) for line in (run / "tasks.jsonl").read_bytes().splitlines()]
    expected = [(line["latency_s"], line["topic"]) for line in lines if line["status"] == "ok"]
    found = load(run).successes
    assert list(zip(found["latency_s"], found["topic"], strict=True)) == expected


def test_tasks_without_a_topic_have_none(tmp_path: Path) -> None:
    """Prompts have no topic, and the column says so."""
    assert load(make_run(tmp_path, Plan(topics=None))).successes["topic"].isna().all()


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """The line that a killed run did not finish is not a damage."""
    run = edited(make_run(tmp_path, Plan()), "tasks.jsonl", lambda data: data[:-40])
    assert load(run).summary.tasks.ok == 23


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        pytest.param("run.json", lambda _: b"{", "run.json is damaged", id="no JSON"),
        pytest.param("run.json", lambda _: b"[]", "run.json is damaged", id="no object"),
        pytest.param("run.json", lambda _: b'{"config":' + b'{"a":' * 100_000, "recursion depth", id="nested manifest"),
        pytest.param(
            "run.json", lambda data: with_field(data, schema_version=99), "schema version 99", id="newer schema"
        ),
        pytest.param("run.json", lambda data: with_field(data, concurrency=0), "concurrency is 0", id="no slot"),
        pytest.param("run.json", lambda data: with_field(data, tasks=-1), "tasks is -1", id="negative tasks"),
        pytest.param(
            "run.json", lambda data: with_field(data, mode="quantum"), "run.json is damaged", id="unknown mode"
        ),
        pytest.param(
            "run.json",
            lambda data: data.replace(b'"cpu_s": 0.8', b'"cpu_s": 1e308'),
            "cpu_s is 1e",
            id="endless cost",
        ),
        pytest.param("tasks.jsonl", lambda data: b"not json\n" + data, "line 1 is damaged", id="no JSON line"),
        pytest.param("tasks.jsonl", lambda data: data + b"{}\n", "line 25 is damaged", id="no record"),
        pytest.param(
            "tasks.jsonl",
            lambda data: data + b"[" * 100_000 + b"\n",
            "line 25 is damaged",
            id="nested line",
        ),
        pytest.param(
            "tasks.jsonl",
            lambda data: data.replace(b'"latency_s":', b'"latency_s":1e308,"x":'),
            "latency_s is 1e",
            id="endless latency",
        ),
        pytest.param(
            "tasks.jsonl",
            lambda data: data.replace(b'"latency_s":', b'"latency_s":-5.0,"x":'),
            "latency_s is -5",
            id="negative latency",
        ),
        pytest.param(
            "tasks.jsonl",
            lambda data: data.replace(b'"latency_s":', b'"latency_s":"soon","x":'),
            "line 1 is damaged",
            id="latency in words",
        ),
        pytest.param(
            "tasks.jsonl",
            lambda data: data.replace(b'"completion_tokens":16', b'"completion_tokens":9999999999999999'),
            "completion tokens is",
            id="endless tokens",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, file: str, change: Callable[[bytes], bytes], reason: str) -> None:
    """A damaged run is refused before anything is drawn, by an error that names the directory and the reason."""
    run = edited(make_run(tmp_path, Plan()), file, change)
    with pytest.raises(ConfigError, match=reason) as caught:
        build_report([run], run)
    assert str(run) in caught.value.message
    assert caught.value.hint
    assert not (run / "report.html").exists()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    """A directory without run.json, a file, a missing path and a run without records are each named."""
    (tmp_path / "file").write_text("x")
    make_run(tmp_path, Plan()).joinpath("tasks.jsonl").unlink()
    (bare,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for path in (tmp_path, tmp_path / "file", tmp_path / "absent", bare):
        with pytest.raises(ConfigError, match="cannot report on"):
            load(path)
