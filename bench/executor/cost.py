"""What a segment of a run cost, as its records keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.manifest import HarnessCost
from bench.policy.statistics import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.usage import Usage


def harness_cost(
    usage: Usage, *, startup_s: float | None, startup_cpu_s: float | None, added_s: Sequence[float] | None
) -> HarnessCost:
    """Return a segment's cost.

    Args:
        usage: What was measured.
        startup_s: From its beginning until its slots could begin.
        startup_cpu_s: CPU time used by then.
        added_s: What each request to the canary took beyond the known delay; None where none were made.
    """
    added = sorted(added_s or ())
    return HarnessCost(
        startup_s=startup_s,
        startup_cpu_s=startup_cpu_s,
        cpu_s=usage.cpu_s,
        peak_pss_bytes=usage.peak_pss_bytes,
        wakeup_lag_p99_s=usage.wakeup_lag_p99_s,
        wakeup_lag_max_s=usage.wakeup_lag_max_s,
        server_cpu_s=usage.server_cpu_s,
        switches_voluntary=usage.switches_voluntary,
        switches_involuntary=usage.switches_involuntary,
        gc_collections=usage.gc_collections,
        open_files=usage.open_files,
        canaries=None if added_s is None else len(added),
        canary_p50_s=percentile(added, 0.5) if added else None,
        canary_p99_s=percentile(added, 0.99) if added else None,
    )
