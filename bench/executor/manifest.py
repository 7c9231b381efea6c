"""The first form of `run.json`: what is about to be run, without secrets."""

from __future__ import annotations

import dataclasses
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from bench.clock import utc_label
from bench.environment import describe_environment
from bench.manifest import RunManifest, Segment

if TYPE_CHECKING:
    from datetime import datetime

    from bench.config import ConcurrentConfig
    from bench.providers import Endpoint
    from bench.records import JsonObject
    from bench.workload import Workload


def first_manifest(
    run_id: str, config: ConcurrentConfig, workload: Workload, endpoint: Endpoint, command: str, segment: Segment
) -> RunManifest:
    """Describe a run before it begins.

    Args:
        run_id: Its id.
        config: Every setting, defaults included.
        workload: The tasks.
        endpoint: Where they go; its key is left out.
        command: The command line that reproduces it.
        segment: Its start.
    """
    return RunManifest(
        run_id=run_id,
        status="running",
        mode=config.mode,
        concurrency=config.slots,
        tasks=workload.count,
        load_model=config.load_model,
        config=_settings(config),
        command=command,
        endpoint={"provider": endpoint.provider, "model": endpoint.model, "base_url": endpoint.base_url},
        workload={"kind": workload.kind, "tasks": workload.count, "fingerprint": workload.fingerprint},
        environment=describe_environment(),
        segments=(segment,),
    )


def first_segment(now: datetime, origin_ns: int) -> Segment:
    """Describe a start by this process.

    Args:
        now: The present in UTC.
        origin_ns: The same instant on `perf_counter_ns`: the zero of the run's clock.
    """
    return Segment(started_at=utc_label(now), host=platform.node(), pid=os.getpid(), origin_ns=origin_ns)


def _settings(config: ConcurrentConfig) -> JsonObject:
    """Return every setting as JSON; topics are in the workload's own file."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "topics"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
