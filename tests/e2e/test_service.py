"""The service as its clients meet it: six addresses that stream, and everything that is told about a task."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.asking import ADDRESSES, ask, streaming, topic
from tests.command import wait_until
from tests.serving import Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

#: An answer goes on for long enough that its task is seen running after its first words.
SIMULATOR: Final = ("--provider", "simulator", "--simulator", "ttft=0.05", "itl=0.04", "tokens=60")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service whose answers take 2.5 s."""
    with serving(tmp_path_factory.mktemp("service"), *SIMULATOR, "--client", "lean", "--no-cache") as running:
        yield running


def test_six_addresses_stream(service: Serving) -> None:
    """Each kind, direct and pooled, streams its words while its task runs: start, numbered events, text, complete."""

    def follow(target: str) -> None:
        kind, path = ADDRESSES[target]
        with streaming(service.url, target, topic()) as stream:
            begun = stream.until("chunk")
            state = ask(service.url, "GET", f"/tasks/{stream.task_id}/status").json
            told = [*begun, *stream]
        assert (state["state"], state["kind"], state["path"]) == ("running", kind, path)
        assert stream.headers["x-execution"] == {"direct": "direct", "pooled": "pool"}[path]
        assert stream.headers["content-type"].startswith("text/event-stream")
        first, *_, last = told
        assert (first.name, first.data["task_id"], last.name) == ("start", stream.task_id, "complete")
        assert all(after.number == before.number + 1 for before, after in pairwise(told))
        assert sum(event.name == "chunk" for event in told) == 60
        assert last.data["finish_reason"] == "stop"
        assert ask(service.url, "GET", f"/tasks/{stream.task_id}/status").json["state"] == "succeeded"

    with ThreadPoolExecutor(len(ADDRESSES)) as clients:
        list(clients.map(follow, ADDRESSES))
    families = {family.name: family for family in _metrics(service)}
    counted = {
        sample.labels["address"]: sample.value
        for sample in families["service_requests"].samples
        if sample.labels["status"] == "200"
    }
    assert all(counted[target] >= 1 for target in ADDRESSES)
    waits = {
        sample.labels["path"]: sample.value
        for sample in families["service_first_text_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert min(waits["direct"], waits["pooled"]) >= 3


def _metrics(service: Serving) -> list[Metric]:
    answer = ask(service.url, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return list(text_string_to_metric_families(answer.body.decode()))


def test_a_stream_goes_on_where_it_broke_off(service: Serving) -> None:
    """A client that comes back with the id of its last event gets the ones after it, and nothing twice."""
    with streaming(service.url, "/chat/stream/async", topic("先断后续"), Idempotency_Key="back") as stream:
        before = stream.until("chunk")
    with streaming(service.url, f"/tasks/{stream.task_id}/stream", Last_Event_ID=str(before[-1].number)) as again:
        after = list(again)
    with streaming(service.url, f"/tasks/{stream.task_id}/stream") as whole:
        everything = list(whole)
    assert again.headers["x-execution"] == "pool"
    assert [*before, *after] == everything
    assert (after[0].number, after[-1].name) == (before[-1].number + 1, "complete")
    assert sum(event.name == "chunk" for event in everything) == 60


def test_cancel(service: Serving) -> None:
    """A task that is cancelled says so in its stream and its state, at once and as often as it is asked."""
    with streaming(service.url, "/content/generate/stream", topic("取消")) as stream:
        stream.until("chunk")
        cancelled = ask(service.url, "DELETE", f"/tasks/{stream.task_id}").json
        last = list(stream)[-1]
    assert (last.name, last.data["code"], last.data["retryable"]) == ("error", "cancelled", False)
    assert cancelled["state"] == "cancelled"
    again = ask(service.url, "DELETE", f"/tasks/{stream.task_id}")
    assert (again.status, again.json["state"]) == (200, "cancelled")


def test_idempotency_key(service: Serving) -> None:
    """A request sent again with its key is the task that is there; another body with it is refused."""
    with streaming(service.url, "/chat/stream", topic(), Idempotency_Key="one") as stream:
        stream.until("chunk")
        with streaming(service.url, "/chat/stream", topic(), Idempotency_Key="one") as again:
            assert (again.task_id, again.until("start")[0].number) == (stream.task_id, 1)
        other = ask(service.url, "POST", "/chat/stream", topic("别的"), Idempotency_Key="one")
        ask(service.url, "DELETE", f"/tasks/{stream.task_id}")
    assert (other.status, other.code) == (409, "conflict")


WRONG: Final[dict[str, tuple[object, dict[str, str]]]] = {
    "no topic": ({}, {}),
    "a blank topic": (topic(" \n"), {}),
    "a topic without width": (topic("\u200b\ufeff\u0085"), {}),
    "a long topic": (topic("长" * 20_001), {}),
    "an unknown field": (topic(stream=False), {}),
    "an unknown language": (topic(language="fr"), {}),
    "another kind of value": (topic(enable_thinking="yes"), {}),
    "a number for a text": (topic(user_id=7), {}),
    "a lone surrogate": (b'{"topic": "\\ud800"}', {}),
    "a field that cannot be shown": (b'{"topic": "a", "\\ud800": 1}', {}),
    "no object": ([topic()], {}),
    "half a body": (b'{"topic"', {}),
    "no JSON": (b"topic=a", {"Content_Type": "application/x-www-form-urlencoded"}),
    "JSON that a page of another site can send": (topic(), {"Content_Type": "text/plain"}),
    "no UTF-8": (b'{"topic": "\xff"}', {}),
    "deep nesting": (b"[" * 30_000, {}),
    "an empty key": (topic(), {"Idempotency_Key": ""}),
    "a long key": (topic(), {"Idempotency_Key": "k" * 129}),
}


@pytest.mark.parametrize(("body", "headers"), WRONG.values(), ids=WRONG)
def test_what_is_not_as_described_is_refused(service: Serving, body: object, headers: dict[str, str]) -> None:
    """A body or header that is not as described begins nothing, and is told in one sentence without a traceback."""
    answer = ask(service.url, "POST", "/chat/stream", body, **headers)
    assert answer.status in {400, 422}
    assert answer.code in {"bad_request", "validation"}
    assert "x-task-id" not in answer.headers
    assert b"Traceback" not in answer.body
    assert len(answer.body) < 1000


def test_unknown_tasks(service: Serving) -> None:
    """A task that nobody asked for has no state, no stream and no end; an event id is a number."""
    unknown = "/tasks/00000000000000000000000000000000"
    answers = [ask(service.url, "GET", f"{unknown}/{what}") for what in ("status", "stream")]
    answers += [ask(service.url, "DELETE", unknown), ask(service.url, "GET", "/tasks"), ask(service.url, "GET", "/x")]
    assert [(answer.status, answer.code) for answer in answers] == [(404, "not_found")] * 5
    assert ask(service.url, "GET", f"{unknown}/stream", Last_Event_ID="last").status == 422
    wrong_method = ask(service.url, "PUT", "/health")
    assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "GET")


def test_other_names(service: Serving) -> None:
    """Without a token the service answers to this machine's names alone: a web page's own could be made to mean it."""
    names = {name: ask(service.url, "GET", "/system/status", Host=name) for name in ("evil.example", "", "localhost.x")}
    assert {(answer.status, answer.code) for answer in names.values()} == {(421, "wrong_host")}
    for name in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8000"):
        assert ask(service.url, "GET", "/system/status", Host=name).status == 200


def test_how_the_service_stands(service: Serving) -> None:
    """Pools, routes, tasks and metrics are told while a task runs, its topic in none of them."""
    with streaming(service.url, "/content/optimize/stream/async", topic("机密的主题", user_id="u1")) as stream:
        stream.until("chunk")
        pools = {pool["name"]: pool for pool in ask(service.url, "GET", "/system/pools").json["pools"]}
        answers = [
            ask(service.url, "GET", target)
            for target in ("/system/status", "/metrics", f"/tasks/{stream.task_id}/status", "/openapi.json")
        ]
        ask(service.url, "DELETE", f"/tasks/{stream.task_id}")
    assert (pools["agent"]["busy"], pools["agent"]["slots"], pools["agent"]["queue_size"]) == (1, 3, 20)
    assert (pools["system"]["slots"], pools["direct"]["slots"]) == (5, 200)
    status = answers[0].json
    assert (status["closing"], status["providers"][0]["provider"], status["readers"]) == (False, "simulator", 1)
    assert status["tasks"]["running"] == 1
    assert not [answer for answer in answers if "机密的主题" in answer.body.decode() or answer.status != 200]
    # Unescaped too, it would be there.
    assert not [answer for answer in answers if b"\\u673a" in answer.body]


def test_a_reader_that_leaves_ends_its_task(tmp_path: Path) -> None:
    """A task with a key whose only reader left is cancelled after the grace; its id is known for a time, and then no
    more.
    """
    options = ("--reconnect-grace", "0.2", "--task-ttl", "0.5")
    with serving(tmp_path, *SIMULATOR, "--client", "lean", *options) as service:
        with streaming(service.url, "/chat/stream", topic(), Idempotency_Key="leaving") as stream:
            stream.until("chunk")
        states = []

        def state() -> int:
            answer = ask(service.url, "GET", f"/tasks/{stream.task_id}/status")
            states.append(answer.json["state"] if answer.status == 200 else answer.code)
            return answer.status

        wait_until(lambda: state() == 404, "still known")
    assert [each for each, _ in groupby(states)] == ["running", "cancelled", "gone", "not_found"]


def test_page(service: Serving) -> None:
    """The page runs its own code alone, and its files are what they say."""
    page = ask(service.url, "GET", "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    assert ask(service.url, "GET", "/page.js").headers["content-type"].startswith("text/javascript")
