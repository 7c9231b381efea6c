"""What a configuration asks of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from bench.clients._base import ClientSettings, Timeouts
from bench.policy.giving_up import GivingUp
from bench.policy.retry import RetryPolicy
from bench.providers import Patience
from bench.worker import WorkerSpec

#: The modes whose clients are asynchronous.
ON_LOOP: Final = frozenset({"asyncio", "hybrid", "distributed"})

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.config import ConcurrentConfig
    from bench.executor.opening import OpenRun
    from bench.providers import Endpoint
    from bench.worker.spec import Canary


def worker_spec(
    config: ConcurrentConfig, endpoints: Sequence[Endpoint], opened: OpenRun, canary: Canary | None
) -> WorkerSpec:
    """Return what the workers of a segment share."""
    waits = patience(config, endpoints)
    max_wait_s = waits.task_s if config.max_wait is None else config.max_wait
    return WorkerSpec(
        endpoints=tuple(endpoints) if config.profile == "prod" else _without_limits(endpoints),
        client=ClientSettings(
            client=config.client,
            transport=_transport(config),
            slots=config.slots,
            timeouts=Timeouts(ttft_s=waits.first_token_s, idle_s=waits.next_token_s, connect_s=config.connect_timeout),
            reads_limits=config.profile == "prod",
        ),
        # In prod a worker makes one attempt, and the dispatcher decides on another.
        retry=msgspec.structs.replace(retry_policy(config), retries=0)
        if config.profile == "prod"
        else retry_policy(config),
        timeout_s=waits.task_s,
        max_wait_s=max_wait_s if config.load_model == "open" else None,
        stream=config.stream,
        mode=config.mode,
        segment=len(opened.journal.manifest.segments) - 1,
        origin_ns=opened.zero.ns,
        origin_utc_s=opened.zero.now.timestamp(),
        chunk_times=config.chunk_times,
        seed=config.seed,
        canary=canary,
        traced_run=opened.journal.manifest.run_id if config.trace else None,
    )


def patience(config: ConcurrentConfig, endpoints: Sequence[Endpoint]) -> Patience:
    """Return how long is waited: as the configuration says, else as the slowest of those who are asked needs."""
    given = {
        "task_s": config.timeout,
        "first_token_s": config.ttft_timeout,
        "next_token_s": config.idle_timeout,
    }
    return Patience(
        **{
            name: max(getattr(each.patience, name) for each in endpoints) if value is None else value
            for name, value in given.items()
        }
    )


def _without_limits(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return endpoints without a provider's own limits: a measurement has those alone that it was given."""
    return tuple(msgspec.structs.replace(each, timeout_s=None) for each in endpoints)


def retry_policy(config: ConcurrentConfig) -> RetryPolicy:
    """Return how often a configuration lets a task be tried again, and after which waits."""
    return RetryPolicy(retries=config.retries, delay_s=config.retry_delay, backoff=config.backoff)


def giving_up(config: ConcurrentConfig) -> GivingUp:
    """Return when a configuration lets a run be given up for its failures."""
    return GivingUp(slots=config.slots, most_failures=config.max_failures)


def _transport(config: ConcurrentConfig) -> str:
    """Return what the client stands on; only the openai client on an event loop has a choice."""
    on_loop = config.mode in ON_LOOP
    match config.client:
        case "openai":
            return config.transport if on_loop else "httpx2"
        case "lean":
            return "protocol" if on_loop else "socket"
        case "service-direct" | "service-pooled":
            return "httpx2"
        case "scripted":
            return "none"
        case _:
            assert_never(config.client)
