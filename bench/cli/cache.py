"""`cache`: what is kept, and how to be rid of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.cache import DEFAULT_MAX_AGE_S, DEFAULT_MAX_BYTES, Cache
from bench.cli.context import OK, Context
from bench.cli.messages import say
from bench.cli.options import config_from
from bench.errors import ConfigError
from bench.observe.text import printable, size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.cache import CacheStats

_WORDS: Final = ("stats", "clear")

#: Units of ages: each from two of them on, but for the last.
_UNITS: Final = ((24 * 3600, "days"), (3600, "hours"), (60, "minutes"), (1, "s"))


def execute(settings: Mapping[str, Any], context: Context) -> int:
    """Say what the cache holds, or clear it, and return the exit code.

    Raises:
        ConfigError: Neither is asked for, or the file is no cache.
    """
    if len(context.words) != 1 or context.words[0] not in _WORDS:
        got = " ".join(map(repr, context.words)) or "nothing"
        raise ConfigError(f"cache takes one of {' and '.join(_WORDS)}, got {got}", "see: cache --help")
    path = config_from(settings).cache_path
    if not path.exists():
        # To look at it is no reason to make it.
        say(f"there is no cache {printable(str(path))}")
        return OK
    with Cache(path, max_bytes=DEFAULT_MAX_BYTES, max_age_s=DEFAULT_MAX_AGE_S) as cache:
        if context.words[0] == "clear":
            removed = cache.clear()
            say(f"{removed:,} {'answer' if removed == 1 else 'answers'} removed from {printable(str(path))}")
        else:
            _show(path, cache.stats())
    return OK


def _show(path: Path, stats: CacheStats) -> None:
    say(f"cache:     {printable(str(path))}")
    ages = dict.fromkeys(_age(age_s) for age_s in (stats.oldest_s, stats.newest_s) if age_s is not None)
    stored = f", stored {' to '.join(ages)} ago" if ages else ""
    say(f"answers:   {stats.entries:,}{stored}")
    say(f"size:      {size(stats.used_bytes)} of at most {size(stats.max_bytes)}")
    say(f"saved:     {stats.hits:,} calls, {stats.tokens_saved:,} tokens")
    say(f"stored:    {stats.stored:,}")
    if stats.under_way:
        say(f"under way: {stats.under_way:,} {'call' if stats.under_way == 1 else 'calls'}")


def _age(age_s: float) -> str:
    """Return an age in whole units, as in `3 hours`."""
    whole_s = max(0, int(age_s))
    length, unit = next(((length, unit) for length, unit in _UNITS if whole_s >= 2 * length), _UNITS[-1])
    return f"{whole_s // length} {unit}"
