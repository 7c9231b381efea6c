"""Topics: which are refused, what is asked about them, and that they come through unchanged."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from bench.config import ConcurrentConfig
from bench.errors import WorkloadError
from bench.records import Task
from bench.workload import build_workload
from bench.workload.topics import DEFAULT_TOPICS, script_of

HOSTILE = [
    "🚀 rocket",
    "\u202eright to left",
    "👩\u200d👩\u200d👧",
    "a\x00b",
    "two\nlines",
    "x" * 100_000,
    "=cmd|' /C calc'!A0",
    "</script><img src=x>",
    "{braces} %s {0}",
    "é",
    "e\u0301",
    " blanks around ",
]


def tasks_of(config: ConcurrentConfig, stdin: bytes = b"") -> list[Task]:
    """Return the tasks of a configuration."""
    return list(build_workload(config, io.BytesIO(stdin)))


def test_default_topics() -> None:
    """Without a source there are three topics in Chinese, asked about in Chinese."""
    tasks = tasks_of(ConcurrentConfig())
    assert [task.topic for task in tasks] == list(DEFAULT_TOPICS)
    assert len(tasks) == 3
    assert all(script_of(topic) == "zh" for topic in DEFAULT_TOPICS)
    assert all("分析" in str(task.messages[0]["content"]) for task in tasks)


@pytest.mark.parametrize("topic", HOSTILE)
def test_hostile_topics_come_through(topic: str) -> None:
    """A topic of odd characters is asked about as it is, and is the same after its way through JSON."""
    (task,) = tasks_of(ConcurrentConfig(topics=(topic,)))
    again = msgspec.json.decode(msgspec.json.encode(task), type=Task)
    assert again.topic == topic
    assert str(again.messages[0]["content"]).endswith(topic)


def test_equal_topics_are_separate_tasks() -> None:
    """A topic given twice is two tasks, and the two normal forms of one letter are not made one."""
    tasks = tasks_of(ConcurrentConfig(topics=("A", "A", "é", "e\u0301")))
    assert [(task.index, task.topic) for task in tasks] == [(0, "A"), (1, "A"), (2, "é"), (3, "e\u0301")]


@pytest.mark.parametrize("topic", ["", " ", "\x00", "\x1b\x07", "\u200b\u202e", "\u2028", "\u3000"])
def test_invisible_topics_are_refused(topic: str) -> None:
    """A topic with nothing to see in it is refused by its place."""
    with pytest.raises(WorkloadError, match="--topics, topic 2 has no visible character"):
        tasks_of(ConcurrentConfig(topics=("A", topic)))


@pytest.mark.parametrize("topic", ["\ud800", "half \udfff pair"])
def test_lone_surrogates_are_refused(topic: str) -> None:
    """Half of a surrogate pair, which no request could carry, is refused by its place."""
    with pytest.raises(WorkloadError, match="--topics, topic 1 "):
        tasks_of(ConcurrentConfig(topics=(topic,)))


def test_topics_file(tmp_path: Path) -> None:
    """A file gives a topic a line, without blank lines and without blanks around; standard input does so too."""
    data = "\ufeffAI技术\n\n  新能源 \r\nhealth care".encode()
    (tmp_path / "topics.txt").write_bytes(data)
    wanted = ["AI技术", "新能源", "health care"]
    assert [task.topic for task in tasks_of(ConcurrentConfig(topics_file=tmp_path / "topics.txt"))] == wanted
    assert [task.topic for task in tasks_of(ConcurrentConfig(topics_file=Path("-")), data)] == wanted


def test_invisible_line_is_named(tmp_path: Path) -> None:
    """A line with nothing to see in it, and yet not blank, is refused by file and number."""
    (tmp_path / "topics.txt").write_bytes(b"A\n\n\x07\n")
    with pytest.raises(WorkloadError, match=r"topics\.txt, line 3 has no visible character"):
        tasks_of(ConcurrentConfig(topics_file=tmp_path / "topics.txt"))


@pytest.mark.parametrize(("topic", "sign"), [("AI技术", "请"), ("solar power", "Write"), ("éclair", "Write")])
def test_language_of_the_prompt(topic: str, sign: str) -> None:
    """A topic with a Chinese character is asked about in Chinese, any other in English."""
    (task,) = tasks_of(ConcurrentConfig(topics=(topic,)))
    assert str(task.messages[0]["content"]).startswith(sign)


def test_limits_of_the_run() -> None:
    """The run's answer length and temperature go with each request, and what is not set does not."""
    (task,) = tasks_of(ConcurrentConfig(topics=("A",), temperature=0.0))
    assert task.params == {"max_tokens": 512, "temperature": 0.0}
    (task,) = tasks_of(ConcurrentConfig(topics=("A",), max_tokens=None))
    assert task.params == {}
