"""Before an experiment: refused what the machine cannot hold, whatever arm it is of, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.environment import raise_open_files, usable_cores
from bench.errors import ConfigError
from bench.executor.headroom import headroom
from bench.executor.preflight import said
from bench.policy.preflight import Load, shortage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.experiment.records import Arm
    from bench.policy.preflight import Headroom


def prepare_arms(arms: Sequence[Arm], room: Headroom | None = None) -> None:
    """Raise the limit of open files for the cells, and check that each arm finds room beside a server of its own.

    Args:
        arms: All of them; of each mode and client the largest N is held against what there is.
        room: What there is; None to read it.

    Raises:
        ConfigError: There is too little for some; names for each the limit, the need and the largest N that fits.
    """
    raise_open_files()
    room = room or headroom()
    ordered = sorted((arm for arm in arms if arm.again is None), key=lambda arm: arm.concurrency)
    largest = {(arm.mode, arm.client): arm for arm in ordered}
    refused, fits = [], []
    for arm in largest.values():
        load = _load(arm)
        lacking = shortage(load, room)
        if lacking is not None:
            refused.append(f"{arm.name}: {said(load, lacking)}")
            fits.append(lacking.fits)
    if refused:
        lower = f"use --concurrency {min(fits)} at most, " if min(fits) else ""
        raise ConfigError("; ".join(refused), f"{lower}{'or ' if lower else ''}leave these out of --modes or --client")


def _load(arm: Arm) -> Load:
    return Load(
        mode=arm.mode,
        slots=arm.concurrency,
        processes=min(usable_cores(), arm.concurrency),
        # A cell has a task for each slot and more.
        requests=arm.concurrency,
        # Each arm asks a null server, whoever else it asks.
        own_server=True,
        light=arm.client != "openai",
    )
