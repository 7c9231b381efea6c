"""Bodies of requests: the prompt that comes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.service.bodies import MAX_TOPIC_CHARS, TaskBody, prompt_of, wish_of
from bench.service.following import ADDRESSES
from bench.workload.topics import is_visible

if TYPE_CHECKING:
    from bench.service.values import Kind


@pytest.mark.parametrize("kind", ADDRESSES)
@given(st.text(max_size=40).filter(is_visible))
def test_topic(kind: Kind, topic: str) -> None:
    """A prompt ends with the topic as it is, and whatever else it says stands before an empty line."""
    said, blank, rest = prompt_of(TaskBody(topic=topic), kind).rpartition(topic)
    assert rest == ""
    assert said + blank == topic if kind == "chat" else said.endswith("\n\n")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("generate", "请就下面的主题写一篇文章。篇幅约600字。请用中文回答。"),
        ("optimize", "请润色下面的文本"),
        ("chat", ""),
    ],
)
def test_language_of_the_topic(kind: Kind, said: str) -> None:
    """Where no language is named, a prompt speaks the topic's."""
    assert prompt_of(TaskBody(topic="城市的黎明"), kind).startswith(said)
    assert prompt_of(TaskBody(topic="dawn"), kind).isascii()


def test_language_that_is_named() -> None:
    """The language that is named is the prompt's and the answer's, whatever the topic's is."""
    assert prompt_of(TaskBody(topic="dawn", language="zh-CN"), "chat") == "请用中文回答。\n\ndawn"
    assert prompt_of(TaskBody(topic="黎明", language="en"), "optimize").startswith("Improve the text below")


def test_particulars() -> None:
    """Category, tone and length are said where they are given, in the prompt's language."""
    body = {"category": "随笔", "tone": "{温暖}", "length": "short"}
    chinese = prompt_of(TaskBody.model_validate({"topic": "黎明", **body}), "chat")
    assert chinese == "类别：随笔。语气：{温暖}。篇幅约200字。\n\n黎明"
    english = prompt_of(TaskBody(topic="dawn", category="essay", length="long"), "generate")
    assert english.startswith("Write a text about the topic below. Category: essay. Length: about 1000 words. Answer")


@pytest.mark.parametrize(("enabled", "params"), [(None, {}), (True, "enabled"), (False, "disabled")])
def test_thinking(enabled: bool | None, params: object) -> None:  # noqa: FBT001 - what a body says
    """Whether the model is to think is said to the provider only where the client says so."""
    wish = wish_of(TaskBody(topic="a", enable_thinking=enabled), kind="chat", path="direct", idempotency_key="k")
    assert wish.params == ({"thinking": {"type": params}} if params else {})
    assert (wish.idempotency_key, wish.kind, wish.path) == ("k", "chat", "direct")


def test_the_longest_topic_fits() -> None:
    """The longest Chinese topic fits the largest body."""
    assert len(("长" * MAX_TOPIC_CHARS).encode()) < 65_536 - 1024
    assert set(get_args(TaskBody.model_fields["language"].annotation)) > {type(None)}
