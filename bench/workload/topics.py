"""Topics: a word or phrase a task, sent as a prompt that asks for a short analysis of it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, Literal

from bench.errors import WorkloadError
from bench.records import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.records import JsonObject
    from bench.workload.lines import LinesFile

#: What is analysed when nobody says what.
DEFAULT_TOPICS: Final = ("人工智能在医疗诊断中的应用", "新能源汽车产业的发展趋势", "智能制造与工业互联网")

_PROMPT_ZH: Final = "请用不超过200字简要分析以下主题的现状、主要挑战与发展前景：\n"
_PROMPT_EN: Final = (
    "Write a short analysis, at most 150 words, of the present state, the main challenges and the outlook "
    "of this topic:\n"
)

#: First and last code points of the blocks that hold Chinese characters.
_IDEOGRAPHS: Final = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))

#: Unicode categories of characters that show nothing: controls, formats, surrogates, unassigned ones, separators.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"})


class Topics:
    """Topics given one by one.

    Args:
        topics: The topics, in order.
        params: Parameters of every request.
    """

    def __init__(self, topics: tuple[str, ...], params: JsonObject) -> None:
        self.kind = "topics"
        self.name = "--topics"
        self._topics = topics
        self._params = params

    def located(self) -> Iterator[tuple[str, Task]]:
        """Yield a task for each topic.

        Raises:
            WorkloadError: A topic is no visible text.
        """
        places = ((f"{self.name}, topic {number}", topic) for number, topic in enumerate(self._topics, 1))
        return _tasks(places, self._params)


class TopicsFile:
    """Topics from a file, one a line; blank lines and blanks around a topic do not count.

    Args:
        lines: The file.
        params: Parameters of every request.
    """

    def __init__(self, lines: LinesFile, params: JsonObject) -> None:
        self.kind = "topics_file"
        self.name = lines.name
        self._lines = lines
        self._params = params

    def located(self) -> Iterator[tuple[str, Task]]:
        """Yield a task for each line with a topic.

        Raises:
            WorkloadError: A line is no visible text, or cannot be read.
        """
        places = ((f"{self.name}, line {number}", text.strip()) for number, text in self._lines)
        return _tasks(places, self._params)


def topic_prompt(topic: str) -> str:
    """Return the prompt for a topic, in Chinese if the topic has a Chinese character, else in English."""
    return (_PROMPT_ZH if script_of(topic) == "zh" else _PROMPT_EN) + topic


def script_of(text: str) -> Literal["zh", "en"]:
    """Say whether a text has a Chinese character (`zh`) or none (`en`)."""
    return "zh" if ideographs_in(text) else "en"


def ideographs_in(text: str) -> int:
    """Count the Chinese characters of a text."""
    return sum(first <= ord(char) <= last for char in text for first, last in _IDEOGRAPHS)


def is_visible(text: str) -> bool:
    """Say whether a text has a character that shows."""
    return any(unicodedata.category(char) not in _INVISIBLE for char in text)


def _tasks(places: Iterable[tuple[str, str]], params: JsonObject) -> Iterator[tuple[str, Task]]:
    for index, (place, topic) in enumerate(places):
        if not is_visible(topic):
            raise WorkloadError(f"{place} has no visible character, got {topic!r}", "leave it out, or name a topic")
        messages: tuple[JsonObject, ...] = ({"role": "user", "content": topic_prompt(topic)},)
        yield place, Task(index=index, messages=messages, params=params, topic=topic)
