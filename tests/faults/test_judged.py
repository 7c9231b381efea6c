"""A server that breaks requests and judges its client by how it goes on: neither client gives it cause to complain."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.providers import Endpoint, Secret
from bench.records import Task
from tests.command import records, wait_until
from tests.faults.runs import KEY, WAYS, Way
from tests.workloads import CountedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.errors import ErrorType
    from bench.records import TaskResult
    from tests.conftest import Show

LLMOCK: Final = str(Path(sys.executable).with_name("llmock"))

#: How long a server that was told to stall does so, and how long a client waits for the next token, in seconds.
STALL_S: Final = 5.0
IDLE_S: Final = 0.5

#: What a refused client is asked to wait, in seconds: not a whole number, so that rounding down shows.
RETRY_AFTER_S: Final = 0.7

#: How often each fault is injected in each run.
TIMES: Final = 2


def breaking(kind: str, number: int) -> dict[str, object]:
    """Return the order to break the first request for a model of its own in some way."""
    match = {"model": f"{kind}-{number}"}
    if kind == "429":
        return {"type": "fail", "status": 429, "retry_after": RETRY_AFTER_S, "match": match}
    if kind.isdigit():
        return {"type": "fail", "status": int(kind), "match": match}
    return {"type": "stream_fault", "kind": kind, "after_chunks": 2, "stall_seconds": STALL_S, "match": match}


#: What is injected, and what the attempt that meets it must be called.
KINDS: Final[dict[str, ErrorType]] = {
    "429": "rate_limited",
    "500": "server_error",
    "503": "server_error",
    "disconnect": "stream_reset",
    "truncate": "truncated",
    "stall": "timeout_idle",
    "malformed": "bad_sse",
}
#: A garbled answer goes on for so long that the server sees whether the client hangs up: the lean client looks at what
#: came only at the end, or once there are 16 KiB.
LONG: Final = [
    {"type": "reply", "text": "word " * 1000, "match": {"model": f"malformed-{number}"}} for number in range(TIMES)
]

#: Heading of what is printed.
JUDGED: Final = "llmock: what it did to each client, and what it found wrong with it"

MODELS: Final = [(kind, number) for kind in KINDS for number in range(TIMES)]


class Judge:
    """The server, in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever JSON it answers
        """Ask its control interface."""
        status, raw = post(self.port, method, path, body)
        assert status < 300, raw
        return json.loads(raw)

    def report(self) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the words of its verdict, warnings counted as errors."""
        command = [LLMOCK, "report", "--strict", "--json", "--url", f"http://127.0.0.1:{self.port}"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60)
        return done.returncode, json.loads(done.stdout)


def post(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """Make a request in the plainest way there is; a stream is taken for whole wherever it ends."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Judge]:
    """Start the server for the tests of this file."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [LLMOCK, "serve", "--port", str(port), "--log-level", "warning", "--stream-chunk-delay-ms", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), "the server does not come up", 30)
        yield Judge(port)
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Models(CountedWorkload):
    """A task for each model, whose first request will be broken."""

    kind = "prompts"

    def __init__(self) -> None:
        super().__init__(len(MODELS))

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks."""
        for index, (kind, number) in enumerate(MODELS):
            message: dict[str, object] = {"role": "user", "content": f"{kind} {number}"}
            yield Task(index=index, model=f"{kind}-{number}", custom_id=kind, messages=(message,))


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_no_finding(server: Judge, way: Way, tmp_path: Path, show: Show) -> None:
    """Refused, dropped, cut short, stalled or garbled, each request is made again in due time, and nothing is wrong."""
    server.ask("POST", "/_llmock/reset")
    server.ask("POST", "/_llmock/scenario", {"behaviors": [*LONG, *(breaking(*model) for model in MODELS)]})
    config = ConcurrentConfig(
        mode=way.mode,
        client=way.client,
        concurrency={"serial": 1, "multiprocessing": 2}.get(way.mode, 6),
        results_dir=tmp_path,
        retry_delay=0.3,
        backoff="fixed",
        idle_timeout=IDLE_S,
        timeout=30.0,
    )
    endpoint = Endpoint(provider="test", base_url=f"http://127.0.0.1:{server.port}/v1", model="m", api_key=Secret(KEY))
    outcome = ConcurrentBigModelExecutor(config).run(Models(), endpoint)
    for result in records(outcome.directory):
        check_result(result)
    code, verdict = server.report()
    injected = injected_by(server)
    show(JUDGED, f"{way!s:22}  {said(injected)}; {len(verdict['findings'])} findings, exit code {code}")
    assert (code, verdict["findings"]) == (0, []), verdict["findings"]
    assert injected == dict.fromkeys(KINDS, TIMES)


def check_result(result: TaskResult) -> None:
    """Each task met its fault once, called it by its name, and was answered the next time."""
    assert result.status == "ok", result.error
    assert [attempt.error_type for attempt in result.attempts] == [KINDS[str(result.custom_id)], None]


def injected_by(server: Judge) -> Counter[str]:
    """Return how often the server broke a request in each way."""
    served = server.ask("GET", "/_llmock/requests")
    return Counter(re.sub(r".*?:(\w+).*", r"\1", each["fault"]) for each in served["requests"] if each["fault"])


def said(injected: Counter[str]) -> str:
    """Say how often each fault was there, in one order."""
    return ", ".join(f"{kind} x{injected[kind]}" for kind in sorted(injected))


@pytest.mark.full
def test_a_wrong_client_is_found(server: Judge, show: Show) -> None:
    """A client that comes back too early, and takes half an answer for a whole one, is told so by the same judge."""
    server.ask("POST", "/_llmock/reset")
    orders = [breaking("429", 0), breaking("truncate", 0)]
    server.ask("POST", "/_llmock/scenario", {"behaviors": orders})
    for model in ("429-0", "429-0", "truncate-0"):
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        post(server.port, "POST", "/v1/chat/completions", body)
    code, verdict = server.report()
    found = sorted(finding["code"] for finding in verdict["findings"])
    show(JUDGED, f"wrong on purpose        {said(injected_by(server))}; {', '.join(found)}; exit code {code}")
    assert (code, found) == (1, ["retry_after_ignored", "truncated_stream_accepted"])
