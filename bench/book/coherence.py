"""The second pass: each chapter once more, by one who has read what stands before and behind it.

A summary of every text of the first pass is asked for; then each chapter is rewritten with the summaries of its
neighbours. Both are runs of their own, whose tasks are named by what they are made of: where a text changes, its
summary and its neighbours' second texts are made anew, and nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bench.workload.chapter_prompt import ChapterPrompts, language_of, read_template, words_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.records import Task
    from bench.workload.chapters import Chapter, Outline

#: Longest summary in tokens: two of them and the chapter itself are to fit beside the outline.
SUMMARY_TOKENS: Final = 160

#: Kinds of workload in `run.json`.
SUMMARIES: Final = "outline_summaries"
SECOND_TEXTS: Final = "outline_second_pass"

#: A text by its chapter (from 1) and its version (from 0).
Texts = dict[tuple[int, int], str]


@dataclass(frozen=True, kw_only=True)
class FirstPass:
    """What the second pass is made from.

    Attributes:
        outline: The outline.
        tasks: The tasks of the first pass by chapter and version, whose parameters the second one has too.
        texts: Their texts, of those that succeeded.
        max_tokens: The longest answer in tokens, None for the provider's limit.
    """

    outline: Outline
    tasks: Mapping[tuple[int, int], Task]
    texts: Texts
    max_tokens: int | None

    def summaries(self) -> Iterator[Task]:
        """Yield the task of each summary."""
        language = language_of(self.outline)
        system, user = read_template(f"summary.{language}.txt")
        words = words_for(SUMMARY_TOKENS, language)
        for place, chapter, task in self._written():
            said = user.substitute(topic=chapter.topic, text=self.texts[place].strip(), words=words)
            yield msgspec.structs.replace(
                task,
                messages=(
                    {"role": "system", "content": system.substitute().strip()},
                    {"role": "user", "content": said.strip()},
                ),
                params={**task.params, "max_tokens": SUMMARY_TOKENS},
                custom_id=f"summary-{_digest(chapter.row_id, self.texts[place])}",
            )

    def second_texts(self, summaries: Texts) -> Iterator[Task]:
        """Yield the task of each chapter that is written once more.

        Args:
            summaries: The summaries that there are; of a neighbour without one of the same version, another serves.
        """
        prompts = ChapterPrompts(self.outline, self.max_tokens)
        _, user = read_template(f"second.{prompts.language}.txt")
        for place, chapter, task in self._written():
            before, behind = (self._summary_of(summaries, place[0] + step, place[1]) for step in (-1, 1))
            messages = prompts.messages(chapter)
            said = user.substitute(
                before=before or prompts.nothing,
                behind=behind or prompts.nothing,
                text=self.texts[place].strip(),
            )
            yield msgspec.structs.replace(
                task,
                messages=(messages[0], {"role": "user", "content": f"{messages[1]['content']}\n\n{said.strip()}"}),
                custom_id=f"second-{_digest(chapter.row_id, self.texts[place], before, behind)}",
            )

    def _written(self) -> Iterator[tuple[tuple[int, int], Chapter, Task]]:
        for place, task in self.tasks.items():
            if place in self.texts:
                yield place, self.outline.chapters[place[0] - 1], task

    def _summary_of(self, summaries: Texts, number: int, version: int) -> str:
        same = summaries.get((number, version))
        others = (text for (chapter, _), text in sorted(summaries.items()) if chapter == number)
        return same if same is not None else next(others, "")


def _digest(*texts: str) -> str:
    return hashlib.sha256(msgspec.json.encode(texts)).hexdigest()[:16]
