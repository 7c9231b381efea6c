"""What `run.json` says of a run and of each start before it begins, without secrets."""

from __future__ import annotations

import dataclasses
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

import msgspec

from bench.clock import utc_label, utc_us
from bench.config import ConcurrentConfig
from bench.environment import describe_environment
from bench.manifest import RunManifest, Segment
from bench.settings import from_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bench.providers import Endpoint
    from bench.records import JsonObject
    from bench.workload import Workload


def first_manifest(
    run_id: str,
    config: ConcurrentConfig,
    workload: Workload,
    endpoints: Sequence[Endpoint],
    command: str,
    segment: Segment,
) -> RunManifest:
    """Describe a run before it begins.

    Args:
        run_id: Its id.
        config: Every setting, defaults included.
        workload: The tasks.
        endpoints: Where they go; their keys are left out.
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
        endpoint=_described(endpoints[0]),
        routes=tuple(_route(endpoint) for endpoint in endpoints) if config.profile == "prod" else (),
        workload={
            "kind": workload.kind,
            "tasks": workload.count,
            "fingerprint": workload.fingerprint,
            **({"topics": config.topics} if config.topics else {}),
        },
        environment=describe_environment(),
        segments=(segment,),
    )


def _described(endpoint: Endpoint) -> JsonObject:
    return {
        "provider": endpoint.provider,
        "model": endpoint.model,
        "base_url": endpoint.base_url,
        **({"key": endpoint.key} if endpoint.key else {}),
    }


def _route(endpoint: Endpoint) -> JsonObject:
    """Describe a route with what it is allowed and what it costs, as far as that is known."""
    limits = endpoint.limits
    known = {
        "in_flight": limits.in_flight,
        "requests_per_min": limits.requests_per_min,
        "tokens_per_min": limits.tokens_per_min,
        "quota": limits.quota or None,
        "price_in": endpoint.price_in,
        "price_out": endpoint.price_out,
    }
    known = {name: value for name, value in known.items() if value is not None}
    is_priced = endpoint.price_in is not None or endpoint.price_out is not None
    return {**_described(endpoint), **known, **({"currency": endpoint.currency} if is_priced else {})}


def next_segment(now: datetime, origin_ns: int, tasks: int) -> Segment:
    """Describe a start by this process.

    Args:
        now: The present in UTC.
        origin_ns: The same instant on `perf_counter_ns`: the zero of the segment's clock.
        tasks: How many tasks it is to do.
    """
    return Segment(
        started_at=utc_label(now),
        host=platform.node(),
        pid=os.getpid(),
        origin_ns=origin_ns,
        origin_utc_us=utc_us(now),
        tasks=tasks,
    )


def changed_settings(stored: JsonObject, config: ConcurrentConfig) -> JsonObject:
    """Return the settings that are others than the stored ones; where runs are kept is no setting of a run's work."""
    before = {**_as_stored(ConcurrentConfig()), **stored}
    hints = get_type_hints(ConcurrentConfig)
    return {
        name: value
        for name, value in _as_stored(config).items()
        if name != "results_dir" and from_json(hints[name], before[name]) != from_json(hints[name], value)
    }


def _as_stored(config: ConcurrentConfig) -> JsonObject:
    """Return every setting in the form that it has after JSON: lists are no tuples any more."""
    return msgspec.json.decode(msgspec.json.encode(settings_of(config)), type=dict[str, object])


def settings_of(config: ConcurrentConfig) -> JsonObject:
    """Return every setting but the topics, which are the workload's, in a form that JSON has."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "topics"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
