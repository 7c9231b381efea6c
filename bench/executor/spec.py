"""What a configuration asks of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from bench.clients._base import ClientSettings, Timeouts
from bench.policy.retry import RetryPolicy
from bench.worker import WorkerSpec

if TYPE_CHECKING:
    from bench.config import ConcurrentConfig
    from bench.executor.opening import OpenRun
    from bench.providers import Endpoint
    from bench.worker.spec import Canary


def worker_spec(config: ConcurrentConfig, endpoint: Endpoint, opened: OpenRun, canary: Canary | None) -> WorkerSpec:
    """Return what the workers of a segment share."""
    max_wait_s = config.timeout if config.max_wait is None else config.max_wait
    return WorkerSpec(
        endpoint=endpoint,
        client=ClientSettings(
            client=config.client,
            transport=_transport(config),
            slots=config.slots,
            timeouts=Timeouts(ttft_s=config.ttft_timeout, idle_s=config.idle_timeout, connect_s=config.connect_timeout),
        ),
        retry=RetryPolicy(retries=config.retries, delay_s=config.retry_delay, backoff=config.backoff),
        timeout_s=config.timeout,
        max_wait_s=max_wait_s if config.load_model == "open" else None,
        stream=config.stream,
        mode=config.mode,
        segment=len(opened.journal.manifest.segments) - 1,
        origin_ns=opened.zero.ns,
        origin_utc_s=opened.zero.now.timestamp(),
        chunk_times=config.chunk_times,
        seed=config.seed,
        canary=canary,
    )


def _transport(config: ConcurrentConfig) -> str:
    """Return what the client stands on; only the openai client on an event loop has a choice."""
    on_loop = config.mode in {"asyncio", "hybrid"}
    match config.client:
        case "openai":
            return config.transport if on_loop else "httpx2"
        case "lean":
            return "protocol" if on_loop else "socket"
        case "scripted":
            return "none"
        case _:
            assert_never(config.client)
