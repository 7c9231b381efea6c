"""What `run.json` says of a run and of each start before it begins, without secrets."""

from __future__ import annotations

import dataclasses
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.clock import utc_label
from bench.config import ConcurrentConfig
from bench.environment import describe_environment
from bench.manifest import RunManifest, Segment

if TYPE_CHECKING:
    from datetime import datetime

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
        config=settings_of(config),
        command=command,
        endpoint={"provider": endpoint.provider, "model": endpoint.model, "base_url": endpoint.base_url},
        workload={
            "kind": workload.kind,
            "tasks": workload.count,
            "fingerprint": workload.fingerprint,
            **({"topics": config.topics} if config.topics else {}),
        },
        environment=describe_environment(),
        segments=(segment,),
    )


def next_segment(now: datetime, origin_ns: int, tasks: int) -> Segment:
    """Describe a start by this process.

    Args:
        now: The present in UTC.
        origin_ns: The same instant on `perf_counter_ns`: the zero of the segment's clock.
        tasks: How many tasks it is to do.
    """
    return Segment(started_at=utc_label(now), host=platform.node(), pid=os.getpid(), origin_ns=origin_ns, tasks=tasks)


def changed_settings(stored: JsonObject, config: ConcurrentConfig) -> JsonObject:
    """Return the settings that are others than the stored ones; where runs are kept is no setting of a run's work."""
    before = {**_as_stored(ConcurrentConfig()), **stored}
    return {
        name: value for name, value in _as_stored(config).items() if name != "results_dir" and before[name] != value
    }


def _as_stored(config: ConcurrentConfig) -> JsonObject:
    """Return every setting in the form that it has after JSON: lists are no tuples any more."""
    return msgspec.json.decode(msgspec.json.encode(settings_of(config)), type=dict[str, object])


def settings_of(config: ConcurrentConfig) -> JsonObject:
    """Return every setting but the topics, which are the workload's, in a form that JSON has."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "topics"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
