"""What the harness itself cost, added up over a run's segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.manifest import HarnessCost
from bench.summary.figures import HarnessFigures

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.manifest import Segment


#: Counts that add up over segments.
_COUNTS: Final = ("switches_voluntary", "switches_involuntary", "gc_collections")


def harness_figures(segments: tuple[Segment, ...], tasks: int) -> HarnessFigures:
    """Add up what the segments of a run cost; a figure that one of them lacks is None."""
    # A segment that was killed has no cost of its own to tell, and so the run has none.
    costs = [segment.cost or HarnessCost() for segment in segments]

    def combined(name: str, combine: Callable[[list[float]], float]) -> float | None:
        values = [getattr(cost, name) for cost in costs]
        return combine(values) if values and None not in values else None

    cpu_s = combined("cpu_s", sum)
    startup_cpu_s = combined("startup_cpu_s", sum)
    known = cpu_s is not None and startup_cpu_s is not None and tasks > 0
    peak = combined("peak_pss_bytes", max)
    return HarnessFigures(
        startup_s=combined("startup_s", sum),
        startup_cpu_s=startup_cpu_s,
        cpu_s=cpu_s,
        cpu_us_per_task=((cpu_s or 0.0) - (startup_cpu_s or 0.0)) * 1e6 / tasks if known else None,
        peak_pss_bytes=None if peak is None else int(peak),
        wakeup_lag_p99_s=combined("wakeup_lag_p99_s", max),
        wakeup_lag_max_s=combined("wakeup_lag_max_s", max),
        server_cpu_s=combined("server_cpu_s", sum),
        **{name: None if (value := combined(name, sum)) is None else int(value) for name in _COUNTS},
        open_files=None if (files := combined("open_files", max)) is None else int(files),
        canaries=None if (canaries := combined("canaries", sum)) is None else int(canaries),
        canary_p50_s=combined("canary_p50_s", max),
        canary_p99_s=combined("canary_p99_s", max),
    )
