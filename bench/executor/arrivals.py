"""When the tasks of an open loop arrive, as a configuration asks for."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.policy.arrivals import constant, parse_trace, poisson, replay
from bench.policy.overload import Overload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.config import ConcurrentConfig


@dataclass(frozen=True)
class Schedule:
    """When the tasks of an open loop arrive.

    Attributes:
        times_s: For each task an offset in seconds from the run's zero, ascending.
        overload: Tells when more arrives than is answered, where the run is to end then; None where it is not.
        origin_ns: The zero of the records' instants, on the run's clock.
    """

    times_s: Iterator[float]
    overload: Overload | None = None
    origin_ns: int = 0

    def since(self, origin_ns: int) -> Schedule:
        """Return the same schedule for records whose instants count from there."""
        return replace(self, origin_ns=origin_ns)


def arrivals(config: ConcurrentConfig, tasks: int) -> Schedule | None:
    """Return when each task arrives, or None in a closed loop.

    Args:
        config: Every setting.
        tasks: How many tasks there are.

    Raises:
        ConfigError: The file of times cannot be read, or holds less times than there are tasks.
    """
    times_s = _times_s(config, tasks)
    if times_s is None:
        return None
    return Schedule(times_s, Overload() if config.stop_on_overload else None)


def _times_s(config: ConcurrentConfig, tasks: int) -> Iterator[float] | None:
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
