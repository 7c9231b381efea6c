"""Prompts from JSONL: both forms, what a line may say, and what is refused by its number."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.config import ConcurrentConfig
from bench.errors import WorkloadError
from bench.records import Task
from bench.workload import build_workload

USER = {"role": "user", "content": "x"}


def tasks_of(*lines: str | dict[str, Any], **settings: object) -> list[Task]:
    """Return the tasks of these lines."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    config = ConcurrentConfig(prompts=Path("-"), **settings)  # type: ignore[arg-type] # each test knows its settings
    return list(build_workload(config, io.BytesIO(text.encode("utf-8", "surrogatepass"))))


def batch(**body: object) -> dict[str, Any]:
    """Return a line in the batch form."""
    url = {"method": "POST", "url": "/v1/chat/completions"}
    return {"custom_id": "r1", **url, "body": {"messages": [USER], **body}}


def test_plain_form() -> None:
    """A plain line gives its prompt, and may add a system message, its own id, topic, model and limits."""
    first, second = tasks_of(
        {"prompt": "一"},
        {
            "prompt": "two",
            "system": "s",
            "custom_id": "c",
            "topic": "t",
            "model": "m",
            "max_tokens": 3,
            "temperature": 0,
        },
    )
    assert first == Task(index=0, messages=({"role": "user", "content": "一"},), params={"max_tokens": 512})
    assert second == Task(
        index=1,
        messages=({"role": "system", "content": "s"}, {"role": "user", "content": "two"}),
        params={"max_tokens": 3, "temperature": 0.0},
        model="m",
        topic="t",
        custom_id="c",
    )


def test_batch_form() -> None:
    """A batch line's body goes before the run's settings, and its unknown fields pass through as they are."""
    body = {
        "model": "m",
        "max_tokens": 3,
        "n": 1,
        "response_format": {"type": "text"},
        "seed": None,
        "x": [1, "1", True],
    }
    (task,) = tasks_of(batch(**body), temperature=0.5)
    assert task.model == "m"
    assert task.custom_id == "r1"
    assert task.messages == (USER,)
    rest = {name: body[name] for name in ("max_tokens", "response_format", "seed", "x")}
    assert task.params == {"temperature": 0.5, **rest}


def test_other_name_of_the_token_limit() -> None:
    """A body that limits its tokens by their newer name is not given the run's limit on top."""
    (task,) = tasks_of(batch(max_completion_tokens=7))
    assert task.params == {"max_completion_tokens": 7}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
reserved = ["messages", "model", "n", "stream", "stream_options", "max_tokens", "max_completion_tokens"]


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1).filter(lambda text: not text.isspace()),
            st.dictionaries(st.text().filter(lambda name: name not in reserved), json_values, max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_round_trip(requests: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever text and fields a batch file holds, they are sent as they are, in its order."""
    lines = [batch(**{**fields, "messages": [{"role": "user", "content": text}]}) for text, fields in requests]
    tasks = tasks_of(*(json.dumps(line, ensure_ascii=index % 2 == 0) for index, line in enumerate(lines)))
    assert [(task.messages[0]["content"], task.params) for task in tasks] == [
        (text, {"max_tokens": 512, **fields}) for text, fields in requests
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "JSON"),
        ("prompt", "JSON"),
        ("[1]", "object"),
        ("null", "object"),
        ("{}", "neither prompt nor body"),
        ({"promt": "x"}, "promt"),
        ({"prompt": 1}, "prompt"),
        ({"prompt": " \n"}, "blank"),
        ({"prompt": "x", "body": {}}, "prompt does not go together"),
        ({"prompt": "x", "url": "/v1/chat/completions"}, "batch form"),
        ({"prompt": "x", "n": 2}, "`n`"),
        (batch(n=2), "n = 2"),
        (batch(n=[1]), "n ="),
        (batch(n=0), "n = 0"),
        (batch(stream=True), "stream"),
        (batch(stream=False), "stream"),
        (batch(stream_options={}), "stream_options"),
        (batch(messages=[]), "messages"),
        (batch(messages="x"), "messages"),
        (batch(messages=[USER, {"content": "x"}]), "message 2"),
        (batch(messages=[USER, "x"]), "message 2"),
        (batch(model=""), "model"),
        (batch(model=3), "model"),
        ({**batch(), "method": "GET"}, "'GET'"),
        ({**batch(), "url": "/v1/embeddings"}, "'/v1/embeddings'"),
        ({**batch(), "custom_id": 3}, "custom_id"),
        ({**batch(), "max_tokens": 3}, "max_tokens does not go together"),
        ('{"prompt": "\\ud800 half a pair"}', "surrogate"),
        ('{"prompt": "\ud800"}', "UTF-8"),
        ('{"prompt": "x", "temperature": 1e999}', "range"),
        ('{"body": {"messages": [{"role": "user"}], "x": ' + "[" * 5000 + "]" * 5000 + "}}", "recursion"),
    ],
)
def test_wrong_lines(line: str | dict[str, Any], said: str) -> None:
    """A line that is not a request that can be sent is refused by its number, with the reason."""
    with pytest.raises(WorkloadError, match=r"standard input, line 3\b") as refused:
        tasks_of({"prompt": "x"}, "", line)
    assert said in refused.value.message


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_empty(data: bytes) -> None:
    """A file without a task is refused before a run is made of nothing."""
    with pytest.raises(WorkloadError, match="standard input holds no task"):
        build_workload(ConcurrentConfig(prompts=Path("-")), io.BytesIO(data))
