"""The end of the service: in order by a signal, at once by a second one, and without warning."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from bench.journal import iter_lines
from bench.records import TaskResult
from bench.simulator.process import SimulatorProcess
from bench.simulator.settings import SimulatorSettings
from tests.asking import ask, streaming, topic
from tests.command import requests, wait_until
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.asking import Told
    from tests.serving import Serving

#: Two seconds an answer, and one pooled task at a time.
SLOW: Final = ("--provider", "simulator", "--simulator", "ttft=0.05", "itl=0.05", "tokens=40")
ONE: Final = ("--client", "lean", "--agent-slots", "1", "--no-cache")


def records(folder: Path) -> list[TaskResult]:
    """The records of every start of a service."""
    files = (folder / "results" / "service").glob("*/tasks.jsonl")
    return [msgspec.json.decode(line, type=TaskResult) for path in files for line in iter_lines(path)]


def followed(service: Serving, then: Callable[[], None], *targets: str) -> list[list[Told]]:
    """Follow a task at each address to its end; once all have begun, do something."""

    def follow(target: str) -> list[Told]:
        with streaming(service.url, target, topic(target)) as stream:
            return list(stream)

    def tasks() -> int:
        return int(sum(ask(service.url, "GET", "/system/status").json["tasks"].values()))

    with ThreadPoolExecutor(len(targets)) as clients:
        streams = [clients.submit(follow, target) for target in targets]
        wait_until(lambda: tasks() == len(targets), "tasks did not begin")
        then()
        return [stream.result() for stream in streams]


def test_a_signal_drains(tmp_path: Path) -> None:
    """On SIGTERM nothing new is taken, with the time to come back, and what is there ends, the queued task too."""
    with serving(tmp_path, *SLOW, *ONE) as service:

        def stop() -> None:
            service.process.terminate()
            wait_until(lambda: ask(service.url, "GET", "/health").status == 503, "it goes on")
            refused = ask(service.url, "POST", "/chat/stream", topic())
            assert (refused.status, refused.code) == (503, "closing")
            assert int(refused.headers["retry-after"]) >= 1

        told = followed(service, stop, "/chat/stream", "/chat/stream/async", "/content/generate/stream/async")
        assert [events[-1].name for events in told] == ["complete"] * 3
        assert service.process.wait(timeout=20) == 0
    assert [record.status for record in records(tmp_path)] == ["ok"] * 3


def test_a_second_signal_gives_up(tmp_path: Path) -> None:
    """On a second signal every task is told at once that it is cancelled, is recorded so, and the service ends."""
    with serving(tmp_path, *SLOW, *ONE) as service:

        def stop_now() -> None:
            service.process.send_signal(signal.SIGINT)
            wait_until(lambda: ask(service.url, "GET", "/health").status == 503, "it goes on")
            service.process.send_signal(signal.SIGINT)

        told = followed(service, stop_now, "/chat/stream", "/chat/stream/async", "/content/optimize/stream/async")
        assert {events[-1].name for events in told} == {"error"}
        assert service.process.wait(timeout=20) == 0
    assert [record.status for record in records(tmp_path)] == ["cancelled"] * 3


def test_killed_and_started_again(tmp_path: Path) -> None:
    """After kill -9 each task's state is told as it was, what was under way as interrupted; nothing is asked again."""
    log = tmp_path / "requests.jsonl"
    settings = SimulatorSettings(ttft_s=0.05, itl_s=0.05, tokens=40, request_log=str(log))
    with SimulatorProcess(settings) as provider:
        options = ("--base-url", provider.base_url, "--model", "m", "--max-tokens", "39", "--temperature", "0.5", *ONE)
        with serving(tmp_path, *options) as service:
            with streaming(service.url, "/chat/stream", topic("done"), Idempotency_Key="done") as done:
                assert list(done)[-1].name == "complete"
            targets = ("/chat/stream", "/chat/stream/async", "/chat/stream/async")
            ids = _begun(service, targets)
            wait_until(lambda: provider.stats().requests == 3, "the provider was not asked")
            service.process.kill()
        before = provider.stats().requests
        with serving(tmp_path, *options) as again:
            states = [ask(again.url, "GET", f"/tasks/{task_id}/status").json for task_id in (done.task_id, *ids)]
            assert [state["state"] for state in states] == ["succeeded", "failed", "failed", "failed"]
            assert [state["error"] and state["error"]["code"] for state in states] == [None, *["interrupted"] * 3]
            same = ask(again.url, "POST", "/chat/stream", topic("done"), Idempotency_Key="done")
            assert same.code == "events_gone"
            with streaming(again.url, f"/tasks/{ids[0]}/stream") as stream:
                (only,) = stream
            assert (only.name, only.data["code"]) == ("error", "interrupted")
        assert provider.stats().requests == before == 3
    assert len(requests(log)) == 3
    kept = [json.loads(line) for line in iter_lines(min(tmp_path.glob("results/service/*/workload.jsonl")))]
    assert kept[0]["params"] == {"max_tokens": 39, "temperature": 0.5}
    assert len({record.task_id for record in records(tmp_path)}) == len(records(tmp_path))


def _begun(service: Serving, targets: tuple[str, ...]) -> list[str]:
    """Begin a task at each address; nobody reads on, which is well within the grace."""
    ids = []
    for number, target in enumerate(targets):
        with streaming(service.url, target, topic(target), Idempotency_Key=f"begun-{number}") as stream:
            stream.until("start")
            ids.append(stream.task_id)
    return ids
