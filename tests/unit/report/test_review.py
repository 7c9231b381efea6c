"""The review of a run: what its tables say, and that its page holds together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.errors import ConfigError
from bench.report.provenance import _traces
from bench.report.review.build import build_review, review_tables
from bench.report.review.load import TASKS_DRAWN, review
from bench.report.review.remote import Remote
from tests.samples import failed_attempt, failed_result, make_attempt, make_result
from tests.tracing_runs import write

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult
    from bench.report.table import Table


def lasting(index: int, seconds: float, iteration: int = 0) -> TaskResult:
    """A task of one streamed call that takes so long."""
    return make_result(
        index,
        task_id=f"{index}-i{iteration}-v0",
        iteration=iteration,
        topic=f"<b>{index}</b>",
        attempts=(make_attempt(first_content_s=seconds / 4, end_s=seconds),),
        ended_s=seconds,
        latency_s=seconds,
        service_s=seconds,
    )


def table(tables: tuple[Table, ...], name: str) -> list[list[str]]:
    """The rows of a table, as text."""
    found = next(each for each in tables if each.name == name)
    return [[cell.text for cell in row] for row in found.rows]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two iterations: tasks of 1 to 4 s, and one that failed twice with a wait of half a second."""
    bad = failed_result(
        4,
        task_id="4-i1-v0",
        iteration=1,
        attempts=(failed_attempt(end_s=1.0), failed_attempt(sent_s=1.5, end_s=2.0, wait_before_s=0.5)),
        ended_s=2.0,
        latency_s=2.0,
        service_s=2.0,
    )
    results = [*(lasting(index, index + 1.0) for index in range(4)), lasting(0, 3.5, iteration=1), bad]
    return write(tmp_path / "20261122T030506Z-asyncio-0a1b", results, tasks=10, iterations=2)


def test_tables(run: Path) -> None:
    """The slowest come first, failures have their attempts and reasons, and all time is in the parts."""
    tables = review_tables(review(run, slowest=2), Remote())
    assert [row[:2] for row in table(tables, "slowest")] == [
        ["3-i0-v0 <b>3</b>", "4.00 s"],
        ["0-i1-v0 <b>0</b>", "3.50 s"],
    ]
    ((task, total, queue, client, backoff, failed, *_, ended, attempts),) = table(tables, "failed")
    assert (task, total, queue, client, backoff, failed, ended) == (
        "4-i1-v0",
        "2.00 s",
        "0",
        "0",
        "500 ms",
        "1.50 s",
        "failed",
    )
    assert attempts == "alpha server_error 503 1.00 s, alpha server_error 503 500 ms"
    shares = {row[0]: row[1] for row in table(tables, "spent")}
    assert shares == {
        "queue": "0 %",
        "client": "0 %",
        "backoff": "3.2 %",
        "failed call": "9.7 %",
        "first token": "21.8 %",
        "generation": "65.3 %",
    }
    assert [row[:4] for row in table(tables, "iterations")] == [["0", "4", "0", "4.00 s"], ["1", "2", "1", "3.50 s"]]


def test_failed_alone(run: Path) -> None:
    """With --failed nothing but tasks that did not succeed is looked at."""
    reviewed = review(run, slowest=5, failed_only=True)
    assert (reviewed.total, reviewed.failed_total, [row.task_id for row in reviewed.slowest]) == (1, 1, ["4-i1-v0"])


def test_two_runs(run: Path, tmp_path: Path) -> None:
    """Two runs are compared task by task, the largest difference first; tasks of one alone are counted."""
    other = write(tmp_path / "other", [lasting(0, 1.25), lasting(1, 5.0)], tasks=2)
    tables = review_tables(review(run, slowest=1, compared=True), Remote(), review(other, slowest=1, compared=True))
    assert table(tables, "compared") == [
        ["1-i0-v0", "2.00 s", "5.00 s", "+3.00 s"],
        ["0-i0-v0", "1.00 s", "1.25 s", "+250 ms"],
    ]
    (intro,) = (each.intro for each in tables if each.name == "compared")
    assert "of 2 that both have; 4 are in the first alone, 0 in the second" in intro


def test_langsmith(run: Path) -> None:
    """What is here and there is told, a trace has its page, and without LangSmith there is no link."""
    remote = Remote(
        asked="https://example.org",
        here=9,
        there=8,
        missing=(("task", "1-i0-v0", "id-1"),),
        url="https://example.org/o/1/projects/p/2",
    )
    tables = review_tables(review(run, slowest=1), remote)
    assert table(tables, "langsmith") == [["task", "1-i0-v0", "here alone", "id-1"]]
    links = [link.address for each in tables for row in each.rows for cell in row for link in cell.links]
    assert [link.partition("/r/")[0] for link in links] == ["https://example.org/o/1/projects/p/2"] * 2
    assert Remote(asked="x", url="javascript:alert(1)").link("1") is None
    page = build_review(review(run, slowest=1), Remote()).read_text(encoding="utf-8")
    assert "LangSmith was not asked" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")


def test_page(run: Path) -> None:
    """The page escapes what tasks are called, has a waterfall an iteration, and is the same each time."""
    first = build_review(review(run, slowest=3), Remote()).read_bytes()
    assert b"<b>" not in first
    assert first.count(b'<section id="chart-waterfall_') == 2
    assert build_review(review(run, slowest=3), Remote()).read_bytes() == first


def test_many_tasks(tmp_path: Path) -> None:
    """Of more tasks than a waterfall shows, the first to be scheduled are drawn, and the page stays small."""
    results = [lasting(index, 1.0) for index in range(TASKS_DRAWN + 100)]
    run = write(tmp_path / "run", results, tasks=len(results))
    reviewed = review(run, slowest=0)
    assert sorted(row.task_id for *_, row in reviewed.iterations[0].rows) == sorted(
        f"{index}-i0-v0" for index in range(TASKS_DRAWN)
    )
    page = build_review(reviewed, Remote()).read_bytes()
    assert b"The first 500 tasks of 600 are drawn." in page
    assert len(page) < 1_000_000


def test_no_run(tmp_path: Path) -> None:
    """What is no run is refused."""
    with pytest.raises(ConfigError, match="cannot review"):
        review(tmp_path, slowest=1)


@pytest.mark.parametrize(
    ("content", "addresses"),
    [
        (b'{"url": "https://example.org/o/1/projects/p/2"}', ["https://example.org/o/1/projects/p/2"]),
        (b'{"url": "javascript:alert(1)"}', []),
        (b'{"url": null}', []),
        (b'{"url"', []),
        (None, []),
    ],
)
def test_link_in_the_report(content: bytes | None, addresses: list[str], tmp_path: Path) -> None:
    """The report of a run names the page of its traces, where they were sent to one."""
    if content is not None:
        (tmp_path / "traces.json").write_bytes(content)
    assert [link.address for link in _traces(tmp_path)] == addresses
