"""What a run does: where its tasks come from and how many times."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the kinds of settings are read from their annotations
from typing import Final

from bench.errors import ConfigError
from bench.settings import about, option_name

#: Settings that name a source of tasks; a run has one.
SOURCES: Final = ("topics", "topics_file", "prompts", "outline")

#: More samples of one request than this are a batch of their own.
MAX_VERSIONS: Final = 10


@dataclass(frozen=True, kw_only=True)
class WorkSettings:
    """What to run."""

    topics: tuple[str, ...] = field(
        default=(), metadata=about("topics to analyse, a task each", group="What to run", metavar="A B ..")
    )
    topics_file: Path | None = field(
        default=None,
        metadata=about("file with a topic a line, or - for standard input", group="What to run", metavar="FILE"),
    )
    prompts: Path | None = field(
        default=None,
        metadata=about(
            'JSONL file, a task a line: {"prompt": ".."} or the OpenAI batch form with custom_id and body; '
            "- for standard input",
            group="What to run",
            metavar="FILE",
        ),
    )
    outline: Path | None = field(
        default=None,
        metadata=about(
            "outline of a book, a chapter a row: a spreadsheet or .csv file with the columns 课程模块 课程主题 "
            "课程大纲 内容说明 (module, topic, outline, description)",
            group="What to run",
            metavar="BOOK.xlsx",
        ),
    )
    versions: int = field(
        default=1,
        metadata=about(
            "samples of each topic, prompt or chapter: the further ones have another seed each",
            group="What to run",
            metavar="V",
            at_least=1,
            at_most=MAX_VERSIONS,
        ),
    )
    iterations: int = field(
        default=1,
        metadata=about(
            "how often the whole source is repeated", group="What to run", at_least=1, at_most=1_000_000_000
        ),
    )

    def _check_source(self) -> None:
        """Refuse two sources of tasks."""
        sources = [option_name(name) for name in SOURCES if getattr(self, name)]
        if len(sources) > 1:
            raise ConfigError(f"one source of tasks at a time, got {' and '.join(sources)}", "leave all but one out")
