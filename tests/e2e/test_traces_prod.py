"""Traces of real work: a book over two providers of which one fails, and the same book from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.journal import read_manifest
from bench.policy.trace_ids import attempt_span_id, task_span_id
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from bench.tracing.outcome import read_outcome
from tests.command import records, the_run
from tests.langsmith_receiver import receiving
from tests.realwork import write_providers
from tests.tracing_runs import check_arrived, push, settings

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import TaskResult
    from tests.command import StartCommand
    from tests.langsmith_receiver import Receiver

KEYS: Final = {
    "GOOD_API_KEY": "sk-kanarie-one-0123456789",
    "GOOD_API_KEY_2": "kanarie-two-0123456789",
    "BAD_API_KEY": "sk-kanarie-three-0123456789",
}

OUTLINE: Final = "课程模块,课程主题,课程大纲,内容说明\n茶,采茶,何时,春天\n茶,制茶,如何,火候\n茶,泡茶,水,温度\n"


def test_a_book_and_the_same_from_the_cache(tmp_path: Path, start: StartCommand) -> None:
    """Of each version of each chapter there is a task with a call per attempt, each with its provider and the number
    of its key and never the key; what the cache had is a task without calls; the sender tells what it cost.
    """
    (tmp_path / "outline.csv").write_text(OUTLINE, encoding="utf-8")
    with (
        receiving() as receiver,
        SimulatorProcess(SimulatorSettings(ttft_s=0.02, tokens=4)) as good,
        SimulatorProcess(SimulatorSettings(ttft_s=0.02, tokens=4, error_rate=1.0)) as bad,
    ):
        write_providers(
            tmp_path,
            {
                "bad": (bad.base_url, {"keys": ["BAD_API_KEY"]}),
                "good": (good.base_url, {"keys": ["GOOD_API_KEY", "GOOD_API_KEY_2"]}),
            },
        )
        for folder in ("first", "second"):
            command = start(
                *("book", "--excel", "outline.csv", "-o", folder, "-w", "4", "--versions", "2", "-p", "bad", "good"),
                *("--client", "lean", "--cache-file", "answers.sqlite", "--trace", "--retry-delay", "0.05"),
                cwd=tmp_path,
                env={**settings(receiver), **KEYS},
            )
            _, err = command.communicate(timeout=60)
            assert command.returncode == 0, err
            run = the_run(tmp_path / folder / "runs")
            # Where the machine is busy the sender may not have come to its end.
            assert push(run, receiver).is_whole
            check_arrived(run, receiver, times=2)
            check_spans(run, receiver, cached=folder == "second")
            check_cost(run)
            assert not [body for body in receiver.bodies if b"kanarie" in body]
            receiver.runs.clear()
            receiver.posted.clear()


def check_spans(run: Path, receiver: Receiver, *, cached: bool) -> None:
    """The spans of a run say what its records say."""
    results = records(run)
    assert {(each.index, each.version) for each in results} == {(row, v) for row in range(3) for v in range(2)}
    assert [each.cached for each in results] == [cached] * 6
    root = receiver.runs[str(results[0].trace_id)]
    assert root["extra"]["metadata"]["profile"] == "prod"
    assert root["outputs"] == {"ok": 6}
    calls = [call for each in results for call in checked(run, receiver, each)]
    tried = {(call["provider"], call["key"]) for call in calls}
    assert tried == (set() if cached else {("bad", 0), ("good", 0), ("good", 1)})


def checked(run: Path, receiver: Receiver, record: TaskResult) -> list[dict[str, Any]]:
    """Check the span of a record, and return what those of its calls may be searched by."""
    name = read_manifest(run).run_id
    of_task = (name, record.task_id, record.segment, record.started_at)
    span = receiver.runs[task_span_id(*of_task)]
    said = span["extra"]["metadata"]
    assert said["chapter"] == record.chapter is not None
    assert (said["topic"], said["version"], said["cached"]) == (record.topic, record.version, record.cached)
    assert said["retries"] == max(0, len(record.attempts) - 1)
    assert ("cached" in span["tags"]) == record.cached
    assert span["outputs"]["output"] == record.content
    calls = [receiver.runs[attempt_span_id(*of_task, number)] for number in range(len(record.attempts))]
    for call, attempt in zip(calls, record.attempts, strict=True):
        metadata = call["extra"]["metadata"]
        assert (metadata["provider"], metadata["key"]) == (attempt.provider, attempt.key)
        assert metadata["http_status"] == attempt.http_status
        assert ("error" in call) == (attempt.status != "ok") == (attempt.provider == "bad")
        assert ("choices" in call.get("outputs", {})) == (attempt.status == "ok")
    return [call["extra"]["metadata"] for call in calls]


def check_cost(run: Path) -> None:
    """What sent the traces tells CPU time and memory of its own."""
    outcome = read_outcome(run)
    assert outcome is not None
    assert outcome.cpu_s
    assert outcome.peak_rss_bytes
