"""The prompt of a chapter: the whole outline, and what this chapter is to hold, in the outline's language."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final, Literal

from bench.workload.topics import ideographs_in

if TYPE_CHECKING:
    from bench.records import JsonObject
    from bench.workload.chapters import Chapter, Outline

Language = Literal["zh", "en"]

#: Each file holds what the system says, this line, and what the user says.
_TEMPLATES: Final = Path(__file__).with_name("templates")
_PARTING: Final = "---\n"

#: Of the tokens that an answer may have, the share that a chapter is asked to fill: one that is longer than it was
#: asked to be is still whole. A token is about three quarters of an English word, a little more than a Chinese
#: character.
_WORDS_PER_TOKEN: Final[dict[Language, float]] = {"en": 0.6, "zh": 0.8}

#: Lengths are asked for in round numbers.
_ROUND_WORDS: Final = 50

_LATIN_WORD: Final = re.compile(r"[A-Za-z]+")

_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "module": "Part: {}",
        "outline": "It covers: {}",
        "description": "Notes: {}",
        "length": "Write about {} words. ",
        "within": ', in the part "{}"',
        "contents": "{}. {}: {}",
        "nothing": "(none)",
    },
    "zh": {
        "module": "模块：{}",
        "outline": "本章大纲：{}",
        "description": "内容说明：{}",
        "length": "篇幅约{}字。",
        "within": "（所属模块：{}）",
        "contents": "{}. {}：{}",
        "nothing": "（无）",
    },
}


class ChapterPrompts:
    """Makes the messages of each chapter of an outline.

    Args:
        outline: The outline.
        max_tokens: The longest answer in tokens; None where there is no limit of ours, and then no length is asked for.

    Attributes:
        language: The language of the prompts.
        nothing: What stands where there is nothing to say.
    """

    def __init__(self, outline: Outline, max_tokens: int | None) -> None:
        self.language = language_of(outline)
        self._words = _WORDS[self.language]
        self.nothing = self._words["nothing"]
        self._title = outline.title
        self._contents = contents(outline, self.language)
        self._length = "" if max_tokens is None else self._words["length"].format(words_for(max_tokens, self.language))
        self._system, self._user = read_template(f"chapter.{self.language}.txt")

    def messages(self, chapter: Chapter) -> tuple[JsonObject, ...]:
        """Return what is sent for a chapter."""
        about = [
            self._words[name].format(text)
            for name, text in (("outline", chapter.outline), ("description", chapter.description))
            if text
        ]
        said = self._user.substitute(
            number=chapter.number,
            topic=chapter.topic,
            within=self._words["within"].format(chapter.module) if chapter.module else "",
            about="\n".join(about),
            length=self._length,
        )
        return (
            # The same for all chapters, and first: providers that keep the beginning of a prompt read it once.
            {"role": "system", "content": self._system.substitute(title=self._title, contents=self._contents).strip()},
            {"role": "user", "content": said.strip()},
        )


def read_template(name: str) -> tuple[Template, Template]:
    """Return the two halves of a prompt's file: what the system says, and what the user says."""
    system, _, user = (_TEMPLATES / name).read_text(encoding="utf-8").partition(_PARTING)
    return Template(system), Template(user)


def language_of(outline: Outline) -> Language:
    """Return `zh` where an outline has at least as many Chinese characters as words in Latin letters, else `en`."""
    text = "\n".join(
        text
        for chapter in outline.chapters
        for text in (chapter.module, chapter.topic, chapter.outline, chapter.description)
    )
    characters = ideographs_in(text)
    return "zh" if characters and characters >= len(_LATIN_WORD.findall(text)) else "en"


def contents(outline: Outline, language: Language) -> str:
    """Return the whole outline as text: each module, and below it number, topic and outline of each chapter."""
    words = _WORDS[language]
    lines: list[str] = []
    module = ""
    for chapter in outline.chapters:
        if chapter.module != module:
            module = chapter.module
            lines.append(words["module"].format(module))
        # A line a chapter, however its cells were broken.
        topic, points = (" ".join(text.split()) for text in (chapter.topic, chapter.outline))
        lines.append(
            words["contents"].format(chapter.number, topic, points) if points else f"{chapter.number}. {topic}"
        )
    return "\n".join(lines)


def words_for(max_tokens: int, language: Language) -> int:
    """Return how many words (in Chinese: characters) to ask for, where an answer has at most `max_tokens`."""
    words = int(max_tokens * _WORDS_PER_TOKEN[language])
    return max(words // _ROUND_WORDS * _ROUND_WORDS, min(words, _ROUND_WORDS), 1)
