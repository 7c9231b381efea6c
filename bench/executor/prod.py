"""What profile `prod` puts between a run's ledger and its engine: the pool of routes, the cache, the dispatcher."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from bench.cache import DEFAULT_MAX_AGE_S, DEFAULT_MAX_BYTES, Cache, cache_key
from bench.clock import NS_PER_S
from bench.executor.dispatch import Dispatcher, Dispatching
from bench.executor.known import KnownAnswers
from bench.executor.source import Doers
from bench.executor.spec import retry_policy
from bench.journal import ROUTES, LineFile
from bench.policy.pool import Pool, PoolSettings, RouteInfo
from bench.records import RouteChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.config import ConcurrentConfig
    from bench.engines._base import Job
    from bench.executor.ledger import Ledger
    from bench.executor.source import Source
    from bench.policy.pool import Change
    from bench.records import Task
    from bench.worker import WorkerSpec

#: How much longer than a task may take the right to make its answer lasts.
_CLAIM_MARGIN_S: Final = 60.0

_log = logging.getLogger("bench.executor")


@contextlib.contextmanager
def dispatched(config: ConcurrentConfig, job: Job, ledger: Ledger, directory: Path) -> Iterator[Job]:
    """Yield the job that an engine is to do: as it is in a measurement, through a dispatcher in profile `prod`.

    Args:
        config: Every setting.
        job: What the engine would do in a measurement.
        ledger: Where its tasks come from and its results go.
        directory: The run's directory; what changes about the routes is kept there.

    Raises:
        ConfigError: The cache cannot be used.
        JournalError: The changes cannot be kept.
    """
    if config.profile != "prod":
        yield job
        return
    doers = Doers(spec=job.spec, clock=job.clock, stop=job.stop, rung=job.bell.ring)
    with dispatching(config, doers, ledger, directory) as dispatcher:
        yield dataclasses.replace(job, draw=dispatcher.draw, emit=dispatcher.emit)


@contextlib.contextmanager
def dispatching(
    config: ConcurrentConfig, doers: Doers, ledger: Source, directory: Path, *, is_shown: bool = False
) -> Iterator[Dispatcher]:
    """Yield the dispatcher between tasks and those who do them, with its pool of routes and its cache.

    Args:
        config: Every setting.
        doers: Those who do the tasks.
        ledger: Where tasks come from and results go.
        directory: The run's directory; what changes about the routes is kept there.
        is_shown: Whether answers are shown as they arrive.

    Raises:
        ConfigError: The cache cannot be used.
        JournalError: The changes cannot be kept.
    """
    with contextlib.ExitStack() as open_files:
        known = None
        if config.caches:
            cache = Cache(
                config.cache_path,
                max_bytes=DEFAULT_MAX_BYTES,
                max_age_s=DEFAULT_MAX_AGE_S,
                claim_s=doers.spec.timeout_s + _CLAIM_MARGIN_S,
            )
            known = KnownAnswers(open_files.enter_context(cache), _keys(doers.spec))
        changes = LineFile(directory / ROUTES, again=True)
        open_files.callback(changes.close)
        changes.mend()
        parts = Dispatching(
            ledger=ledger,
            pool=Pool(_routes(doers.spec), _pool_settings(config)),
            retry=retry_policy(config),
            known=known,
            race=config.race,
            hedge_delay_s=config.hedge_delay,
            changed=_kept_in(changes, doers.spec),
            rung=doers.rung,
            is_shown=is_shown,
        )
        dispatcher = Dispatcher(parts, doers.spec, doers.clock, doers.stop, config.slots)
        open_files.callback(dispatcher.close)
        yield dispatcher


def _pool_settings(config: ConcurrentConfig) -> PoolSettings:
    return PoolSettings(ceiling=config.slots, adaptive=config.adapts, by_pace=config.race, warm_first=config.warm_first)


def _routes(spec: WorkerSpec) -> list[RouteInfo]:
    return [RouteInfo(provider=each.provider, key=each.key, limits=each.limits) for each in spec.endpoints]


def _keys(spec: WorkerSpec) -> Callable[[Task], str]:
    """Return what tells under what an answer is kept: any of the run's providers may have given it."""
    addresses = " ".join(sorted({endpoint.base_url.rstrip("/") for endpoint in spec.endpoints}))
    models = " ".join(sorted({endpoint.model for endpoint in spec.endpoints}))
    extra = [endpoint.extra_body for endpoint in spec.endpoints if endpoint.extra_body]

    def key_of(task: Task) -> str:
        return cache_key(
            base_url=addresses,
            model=task.model or models,
            messages=task.messages,
            params={**task.params, **({"": extra} if extra else {})},
            version=task.version,
            iteration=task.iteration,
        )

    return key_of


def _kept_in(file: LineFile, spec: WorkerSpec) -> Callable[[list[Change]], None]:
    """Return what keeps and logs changes of the routes, on the run's clock."""
    encode = msgspec.json.Encoder().encode

    def keep(changes: list[Change]) -> None:
        for change in changes:
            endpoint = spec.endpoints[change.route]
            level = logging.WARNING if change.kind == "dead" else logging.INFO
            _log.log(level, "%s, key %d: %s: %s", endpoint.provider, endpoint.key + 1, change.kind, change.reason)
            file.append(
                encode(
                    RouteChange(
                        segment=spec.segment,
                        at_s=change.at_s - spec.origin_ns / NS_PER_S,
                        provider=endpoint.provider,
                        key=endpoint.key,
                        kind=change.kind,
                        before=change.before,
                        after=change.after,
                        reason=change.reason,
                    )
                )
            )

    return keep
