"""`quick`: one topic against the configured provider, to see that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli.options import config_from
from bench.cli.run import run_once
from bench.workload.topics import DEFAULT_TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cli.context import Context


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Ask once and return the exit code."""
    topics = settings["topics"] or DEFAULT_TOPICS[:1]
    return run_once(config_from({**settings, "topics": topics}), context)
