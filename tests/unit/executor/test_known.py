"""Which answers a run takes from its cache, and which it asks for, through the whole of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bench.config import ConcurrentConfig
from bench.executor import ConcurrentBigModelExecutor
from bench.executor.answers import answer_of, reply_of
from bench.providers import Endpoint
from tests.command import records
from tests.samples import failed_result, make_result, make_task
from tests.workloads import ListedWorkload

if TYPE_CHECKING:
    from pathlib import Path

    from bench.records import Task

SCRIPTED = Endpoint(provider="scripted", base_url="http://127.0.0.1:1/v1", model="scripted")
PLAIN = make_task(0, params={"max_tokens": 64, "temperature": 0.5})

#: The same question a second time.
TWIN = msgspec.structs.replace(PLAIN, index=1)


def cached(folder: Path, *tasks: Task, endpoint: Endpoint = SCRIPTED, **settings: Any) -> list[bool]:  # noqa: ANN401 - settings of any kind
    """Run these tasks; return of each, in order, whether its answer came from the cache."""
    config = ConcurrentConfig(client="scripted", profile="prod", results_dir=folder, report=False, **settings)
    outcome = ConcurrentBigModelExecutor(config).run(ListedWorkload(tasks), endpoint)
    assert outcome.summary.tasks.ok == len(tasks)
    return [result.cached for result in sorted(records(outcome.directory), key=lambda each: each.index)]


def test_another_question_is_asked(tmp_path: Path) -> None:
    """A task that is another in its repetition, version, model, parameters or messages gets an answer of its own, and
    all of them get it again in the next run.
    """
    changes: list[dict[str, Any]] = [
        {"iteration": 1},
        {"version": 1},
        {"model": "another"},
        {"params": {"max_tokens": 64, "temperature": 0.6}},
        {"messages": ({"role": "system", "content": "be brief"}, *PLAIN.messages)},
    ]
    others = [msgspec.structs.replace(PLAIN, index=place, **change) for place, change in enumerate(changes, 1)]
    assert cached(tmp_path, PLAIN, *others) == [False] * 6
    assert cached(tmp_path, PLAIN, *others) == [True] * 6


def test_somebody_else_is_asked(tmp_path: Path) -> None:
    """Another address, another model, or other fields of the provider's own are other answers."""
    changes: list[dict[str, Any]] = [
        {"base_url": "http://127.0.0.1:2/v1"},
        {"model": "another"},
        {"extra_body": {"think": True}},
    ]
    assert cached(tmp_path, PLAIN) == [False]
    for change in changes:
        assert cached(tmp_path, PLAIN, endpoint=msgspec.structs.replace(SCRIPTED, **change)) == [False], change
    assert cached(tmp_path, PLAIN) == [True]


def test_switched_off(tmp_path: Path) -> None:
    """Without the cache every task is asked for, equal ones and those of an earlier run too, and no file is made."""
    assert cached(tmp_path, PLAIN, TWIN, cache=False) == [False, False]
    assert not (tmp_path / "cache.sqlite").exists()
    assert sorted(cached(tmp_path, PLAIN, TWIN)) == [False, True]
    assert cached(tmp_path, PLAIN, TWIN, cache=False) == [False, False]


def test_only_what_succeeded_is_kept() -> None:
    """What a task had of an answer when it failed is nothing to keep, however whole it looks; nor is what was cut."""
    assert answer_of(make_result(0, content="whole", finish_reason="stop")) is not None
    assert answer_of(failed_result(0, "error_in_200", content="whole", finish_reason="stop")) is None
    assert answer_of(make_result(0, content="cut", finish_reason="length")) is None


def test_a_kept_answer_comes_back_whole() -> None:
    """All that a record says of an answer is there again when it is taken from the cache."""
    said = {
        "content": "an answer",
        "finish_reason": "stop",
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "reasoning_tokens": 2,
        "token_source": "server",
        "server_model": "m-of-the-server",
    }
    answer = answer_of(make_result(0, provider="a", model="m", **said))
    assert answer is not None
    assert (answer.provider, answer.model) == ("a", "m")
    reply = reply_of(answer, 42)
    assert {name: getattr(reply, name) for name in said} == said
    assert (reply.sent_ns, reply.end_ns, reply.error) == (42, 42, None)
