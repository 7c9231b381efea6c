"""How pools, routes and the process stand, as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from bench.clock import NS_PER_S
from bench.service.values import PoolView, ProviderView

if TYPE_CHECKING:
    from pathlib import Path

    from bench.policy.admission import Admission
    from bench.policy.pool import RouteState


def pool_view(name: str, pool: Admission) -> PoolView:
    """Return how a pool of slots stands."""
    return PoolView(
        name=name,
        slots=pool.slots,
        busy=pool.busy,
        queue_size=pool.queue_size,
        queued=pool.waiting,
        rejected=pool.rejected,
        timed_out=pool.timed_out,
        mean_wait_s=pool.mean_wait_s,
        mean_service_s=pool.mean_service_s,
    )


def provider_view(route: RouteState, now_ns: int) -> ProviderView:
    """Return how a route stands."""
    rest_s = None if route.pause_until_s is None else route.pause_until_s - now_ns / NS_PER_S
    is_resting = rest_s is not None and rest_s > 0
    return ProviderView(
        provider=route.provider,
        key=route.key,
        in_flight=route.in_flight,
        limit=route.limit,
        resting_until_s=rest_s if is_resting else None,
        reason=route.pause_reason if is_resting else "",
    )


def rss_bytes() -> int:
    """Return the memory of this process."""
    return int(psutil.Process().memory_info().rss)


def size_bytes(directory: Path) -> int:
    """Return the size of the files in a directory."""
    return sum(file.stat().st_size for file in directory.iterdir() if file.is_file())
