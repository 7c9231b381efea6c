"""What a start of the service is made of, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.cache import DEFAULT_MAX_AGE_S, DEFAULT_MAX_BYTES, Cache
from bench.clients.routed import async_client_for
from bench.engines.bell import Bell
from bench.errors import JournalError
from bench.executor.preflight import prepare_machine
from bench.executor.prod import dispatching
from bench.executor.source import Doers
from bench.executor.spec import worker_spec
from bench.journal import LineFile
from bench.journal.writer import SYNC_EVERY_S
from bench.policy.admission import Admission
from bench.service.intake import Intake
from bench.service.kept import Kept
from bench.service.opening import FOLDER, alone_in, start_in
from bench.service.past import ACCEPTED, past_tasks
from bench.service.slots import Slots
from bench.service.system import SystemPool
from bench.stop import StopSignal
from bench.workload.build import request_params

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime
    from pathlib import Path as FilePath

    from bench.clock import Clock
    from bench.config import ConcurrentConfig
    from bench.config.service import ServiceConfig
    from bench.executor.dispatch import Dispatcher
    from bench.executor.opening import OpenRun
    from bench.providers import Endpoint
    from bench.service.keys import Key
    from bench.service.past import PastTask
    from bench.service.ticket import Ticket
    from bench.service.values import Path

#: How often the cache's file is tidied.
_CACHE_EVERY_S: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """The open parts of a start.

    Attributes:
        directory: Where its records are.
        started: When it began, in UTC.
        origin_ns: The same on its clock.
        past: The tasks of earlier starts.
    """

    clock: Clock
    directory: FilePath
    started: datetime
    origin_ns: int
    past: list[tuple[PastTask, Key | None, str]]
    pools: dict[Path, Admission]
    intake: Intake
    dispatcher: Dispatcher
    slots: Slots
    system: SystemPool


@contextlib.asynccontextmanager
async def opened_rooms(
    service: ServiceConfig,
    run: ConcurrentConfig,
    endpoints: Sequence[Endpoint],
    command: str,
    settled: Callable[[Ticket], None],
) -> AsyncIterator[Rooms]:
    """Open the parts of a start inside the block.

    Args:
        service: Bounds and times.
        run: Whom to ask and how.
        endpoints: The routes.
        command: The command line that starts it.
        settled: Called with each ticket whose record was kept.

    Raises:
        ConfigError: The folder is another service's or cannot be written, or this machine cannot hold the slots.
    """
    folder = run.results_dir / FOLDER
    config = _as_run(service, run)
    prepare_machine(config, 0, own_server=any(each.pid is not None for each in endpoints))
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(alone_in(folder))
        opened = stack.enter_context(start_in(folder, config, endpoints, command))
        journal, clock = opened.journal, opened.zero.clock
        past = past_tasks(folder, within_s=2 * service.task_ttl, now_ns=clock.now_ns())
        accepted = stack.enter_context(contextlib.closing(LineFile(journal.directory / ACCEPTED)))
        spec = worker_spec(config, endpoints, opened, None)
        pools = _pools(service)
        intake = Intake(Kept(journal, accepted), pools, spec, request_params(run), clock, settled)
        stack.enter_context(journal.syncing(on_failure=_failing(intake, opened)))
        bell = Bell()
        doers = Doers(spec=spec, clock=clock, stop=StopSignal(), rung=bell.ring)
        dispatcher = stack.enter_context(dispatching(config, doers, intake, journal.directory, is_shown=True))
        slots = await stack.enter_async_context(_slots(doers, dispatcher, intake, bell))
        system = await stack.enter_async_context(_system(service, config, accepted, intake))
        yield Rooms(
            clock=clock,
            directory=journal.directory,
            started=opened.zero.now,
            origin_ns=opened.zero.ns,
            past=past,
            pools=pools,
            intake=intake,
            dispatcher=dispatcher,
            slots=slots,
            system=system,
        )


@contextlib.asynccontextmanager
async def _slots(doers: Doers, dispatcher: Dispatcher, intake: Intake, bell: Bell) -> AsyncIterator[Slots]:
    """Make attempts inside the block, with a client of their own."""
    client = async_client_for(doers.spec.client, doers.spec.endpoints)
    slots = Slots(dispatcher, doers.spec, doers.clock, client, intake.began)
    try:
        with bell.heard_by(slots.look):
            yield slots
    finally:
        slots.close()
        await client.aclose()


@contextlib.asynccontextmanager
async def _system(
    service: ServiceConfig, config: ConcurrentConfig, accepted: LineFile, intake: Intake
) -> AsyncIterator[SystemPool]:
    """Do the jobs that keep the files in order inside the block."""
    async with SystemPool(
        slots=service.system_slots, queue_size=service.system_queue, timeout_s=service.system_timeout
    ) as system:
        system.every(SYNC_EVERY_S, "records", lambda: _keep(accepted, intake))
        if config.caches:
            system.every(_CACHE_EVERY_S, "cache", lambda: asyncio.to_thread(_tidy, config.cache_path))
        yield system


def _as_run(service: ServiceConfig, run: ConcurrentConfig) -> ConcurrentConfig:
    """Return the settings of the executor: as many slots as the pools have, and no races, whose loser was shown."""
    return dataclasses.replace(
        run,
        profile="prod",
        mode="asyncio",
        concurrency=service.agent_slots + service.max_streams,
        timeout=service.task_timeout,
        race=False,
        hedge_delay=None,
        cache_file=run.cache_path,
    )


def _pools(service: ServiceConfig) -> dict[Path, Admission]:
    longest_s = service.queue_timeout
    return {
        "direct": Admission(slots=service.max_streams, queue_size=0, ageing_s=service.ageing, longest_s=longest_s),
        "pooled": Admission(
            slots=service.agent_slots,
            queue_size=service.agent_queue,
            ageing_s=service.ageing,
            longest_s=longest_s,
        ),
    }


def _failing(intake: Intake, opened: OpenRun) -> Callable[[], object]:
    """Return what ends the intake when the records cannot be brought to the disk; called from another thread."""
    loop = asyncio.get_running_loop()

    def failed() -> None:
        if opened.journal.failure is not None:
            loop.call_soon_threadsafe(intake.fail, opened.journal.failure)

    return failed


async def _keep(accepted: LineFile, intake: Intake) -> None:
    """Bring what was accepted to the disk, as the journal does with its own files."""
    try:
        await asyncio.to_thread(accepted.sync)
    except JournalError as error:
        intake.fail(error)


def _tidy(path: FilePath) -> None:
    """Remove from the cache what processes that were killed have left."""
    Cache(path, max_bytes=DEFAULT_MAX_BYTES, max_age_s=DEFAULT_MAX_AGE_S).close()
