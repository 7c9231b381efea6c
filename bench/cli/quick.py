"""`quick`: one topic against the configured provider, to see that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.cli.messages import say
from bench.cli.options import config_from
from bench.cli.run import run_once
from bench.journal import iter_last_results
from bench.observe.text import printable
from bench.workload.topics import DEFAULT_TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context

#: The local model knows no other language.
_ENGLISH: Final = "solar power"

#: As much of an answer as shows that it is one.
_SHOWN_COLUMNS: Final = 400


class _Answer(msgspec.Struct, frozen=True, gc=False):
    """What is read of a record."""

    content: str | None


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Ask once, show the answer, and return the exit code."""
    default = _ENGLISH if settings["provider"] == ("local",) else DEFAULT_TOPICS[0]
    topics = settings["topics"] or (default,)
    session = run_once(config_from({**settings, "topics": topics}), context)
    if not settings["quiet"]:
        for outcome in session.outcomes:
            for answer in iter_last_results(outcome.directory, _Answer):
                if answer.content:
                    say(f"answer:  {printable(answer.content, _SHOWN_COLUMNS)}")
    return session.exit_code
