"""Before a run: limits raised as far as they may be, and refused what the machine cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from bench.engines.cluster.engine import check_installed
from bench.environment import raise_open_files, usable_cores
from bench.errors import ConfigError
from bench.executor.headroom import headroom
from bench.policy.preflight import Load, Resource, Shortage, shortage

if TYPE_CHECKING:
    from bench.config import ConcurrentConfig

_MB: Final = 1_000_000


def prepare_machine(config: ConcurrentConfig, requests: int, *, own_server: bool) -> None:
    """Raise the limit of open files for this process and those it starts, and check that N slots find room beside them.

    Args:
        config: Mode, N and client.
        requests: How many tasks there are.
        own_server: Whether the run's server is a process of its own that was started for it.

    Raises:
        ConfigError: A package is not installed that the mode needs, or there is too little of something; names the
            limit, the need and the largest N that fits.
    """
    if config.mode == "distributed":
        check_installed()
    raise_open_files()
    load = Load(
        mode=config.mode,
        slots=config.slots,
        processes=0 if config.scheduler else config.processes or min(usable_cores(), config.slots),
        requests=requests,
        own_server=own_server,
        light=config.client != "openai",
    )
    lacking = shortage(load, headroom())
    if lacking is not None:
        raise _refused(load, lacking)


def said(load: Load, lacking: Shortage) -> str:
    """Say what a load needs, what there is of it, and the largest N that fits."""
    match lacking.resource:
        case "files":
            needed, left = f"{lacking.needed} open files", f"{lacking.room.left} more can be opened"
        case "tasks":
            needed, left = f"{lacking.needed} threads and processes", f"{lacking.room.left} more can be started"
        case "memory":
            needed, left = f"{lacking.needed / _MB:,.0f} MB of memory", f"{lacking.room.left / _MB:,.0f} MB can be had"
        case _:
            assert_never(lacking.resource)
    fits = f"--concurrency {lacking.fits} is the most that fits" if lacking.fits else "not even --concurrency 1 fits"
    return f"--concurrency {load.slots} in mode {load.mode} needs {needed}, and {left} ({lacking.room.limit}): {fits}"


def _refused(load: Load, lacking: Shortage) -> ConfigError:
    ways: dict[Resource, str] = {
        "files": "raise the limit of open files (ulimit -Hn shows it)",
        "tasks": "raise that limit, or choose --mode asyncio",
        "memory": "choose --mode hybrid or asyncio, whose slots share memory",
    }
    way = ways[lacking.resource]
    if not lacking.fits:
        return ConfigError(said(load, lacking), way)
    # More processes than slots are refused too.
    has_choice = load.mode in {"hybrid", "distributed"}
    fewer = f" --processes {lacking.fits}" if has_choice and load.processes > lacking.fits else ""
    return ConfigError(said(load, lacking), f"use --concurrency {lacking.fits}{fewer}, or {way}")
