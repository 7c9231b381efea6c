"""What an open loop offered to each arm, and what of it was sent."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.experiment.records import Experiment


class ArmLoad(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's arrivals over all its blocks.

    Attributes:
        arm: Its name.
        offered_per_s: Arrivals a second, the median over blocks.
        achieved_per_s: First sends a second, likewise; None where fewer than two were sent.
        dropped: Arrivals that were never sent, in all blocks.
        overloaded: Blocks in which more arrived than was answered.
        blocks: Blocks in which something arrived.
    """

    arm: str
    offered_per_s: float
    achieved_per_s: float | None
    dropped: int
    overloaded: int
    blocks: int


def loads(experiment: Experiment) -> Iterator[ArmLoad]:
    """Yield the load of each arm, in the order of the plan; nothing for a closed loop."""
    for arm in experiment.plan.arms:
        facts = [cell.facts for cell in experiment.cells if cell.arm == arm.name and cell.kind == "measurement"]
        offered = [each.offered_per_s for each in facts if each.offered_per_s is not None]
        achieved = [each.achieved_per_s for each in facts if each.achieved_per_s is not None]
        if offered:
            yield ArmLoad(
                arm=arm.name,
                offered_per_s=statistics.median(offered),
                achieved_per_s=statistics.median(achieved) if achieved else None,
                dropped=sum(each.dropped or 0 for each in facts),
                overloaded=sum(each.overloaded is True for each in facts),
                blocks=len(offered),
            )
