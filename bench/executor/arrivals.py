"""When the tasks of an open loop arrive, as a configuration asks for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.policy.arrivals import constant, parse_trace, poisson, replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.config import ConcurrentConfig


def arrivals(config: ConcurrentConfig, tasks: int) -> Iterator[float] | None:
    """Return an offset in seconds from the run's zero for each task, or None in a closed loop.

    Args:
        config: Every setting.
        tasks: How many tasks there are.

    Raises:
        ConfigError: The file of times cannot be read, or holds less times than there are tasks.
    """
    if config.arrival_times is not None:
        return replay(_trace(config.arrival_times, tasks))
    if config.rate is None:
        return None
    if config.arrival == "poisson":
        # A generator of its own: what else draws from the seed must not move the arrivals.
        return poisson(config.rate, random.Random(f"{config.seed}/arrivals"))  # noqa: S311 - no secret
    return constant(config.rate)


def _trace(path: Path, tasks: int) -> tuple[float, ...]:
    try:
        with path.open(encoding="utf-8") as file:
            times_s = parse_trace(file, str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"--arrival-times {path} cannot be read: {reason}", "name a file of times") from error
    if len(times_s) < tasks:
        raise ConfigError(
            f"--arrival-times {path} has {len(times_s)} times for {tasks} tasks",
            "give each task a time, or run fewer tasks",
        )
    return times_s
