"""A server with faults: every task ends, every attempt is listed, and no retry comes too early."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.command import records, requests, the_run, write_topics
from tests.modes import every_mode

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Mode
    from bench.simulator.request_log import LogLine
    from tests.command import StartCommand

TASKS = 60


@every_mode
def test_faults(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """Under errors, 429s and truncated streams all tasks end ok or failed, attempts match the server's, exit code 1."""
    log = tmp_path / "requests.jsonl"
    settings = SimulatorSettings(
        tokens=4, error_rate=0.1, reject_rate=0.1, retry_after_s=1, truncate_rate=0.05, seed=5, request_log=str(log)
    )
    topics = write_topics(tmp_path / "topics.txt", TASKS)
    slots = [] if mode == "serial" else ["-c", "8"]
    with SimulatorProcess(settings) as server:
        # One retry, so that some tasks fail for good.
        command = start(
            *["-m", mode, *slots, "--topics-file", str(topics), "--retries", "1", "--retry-delay", "0.05"],
            *["--base-url", server.base_url, "--model", "m", "--no-report"],
            cwd=tmp_path,
        )
        _, err = command.communicate(timeout=110)
    results = records(the_run(tmp_path / "results"))
    statuses = Counter(result.status for result in results)
    assert sum(statuses.values()) == TASKS
    assert set(statuses) == {"ok", "failed"}
    assert command.returncode == 1, err
    assert "Traceback" not in err
    served = requests(log)
    assert sum(len(result.attempts) for result in results) == len(served)
    check_attempts_match(served, results_by_status=Counter(a.http_status for r in results for a in r.attempts))
    check_no_early_retry(served)


def check_attempts_match(served: list[LogLine], results_by_status: Counter[int | None]) -> None:
    """What the records say of each answer's status is what the server sent."""
    assert results_by_status == Counter(line.http_status for line in served)
    assert {200, 429, 500} <= set(results_by_status)


def check_no_early_retry(served: list[LogLine]) -> None:
    """The next request with the same prompt came no earlier than the Retry-After that the last one was given."""
    by_prompt: defaultdict[str, list[LogLine]] = defaultdict(list)
    for line in sorted(served, key=lambda line: line.received_ns):
        by_prompt[str(line.digest)].append(line)
    waited = 0
    for lines in by_prompt.values():
        for first, second in itertools.pairwise(lines):
            if first.retry_after_s is not None:
                refused_ns = first.finished_ns or first.received_ns
                assert second.received_ns - refused_ns >= first.retry_after_s * 1e9
                waited += 1
    assert waited


@every_mode
def test_all_succeed(mode: Mode, tmp_path: Path, start: StartCommand) -> None:
    """With enough retries the same faults leave only successes, and the exit code is 0."""
    settings = SimulatorSettings(tokens=4, error_rate=0.2, truncate_rate=0.1, malformed_rate=0.1, seed=5)
    topics = write_topics(tmp_path / "topics.txt", 30)
    slots = [] if mode == "serial" else ["-c", "8"]
    with SimulatorProcess(settings) as server:
        command = start(
            *["-m", mode, *slots, "--topics-file", str(topics), "--retries", "20", "--retry-delay", "0.01"],
            *["--base-url", server.base_url, "--model", "m", "--no-report"],
            cwd=tmp_path,
        )
        _, err = command.communicate(timeout=110)
    assert command.returncode == 0, err
    results = records(the_run(tmp_path / "results"))
    assert Counter(result.status for result in results) == {"ok": 30}
    met = {attempt.error_type for result in results for attempt in result.attempts}
    assert met == {None, "server_error", "truncated", "bad_sse"}
