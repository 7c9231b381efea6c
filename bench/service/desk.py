"""The desk of the service: takes wishes, tells how their tasks stand, and hands their answers over as they arrive."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from bench.clock import NS_PER_S, utc_label
from bench.errors import JournalError
from bench.logcontext import task_scope
from bench.service.keys import digest_of, key_of
from bench.service.past import PastTask
from bench.service.patience import Patience
from bench.service.reasons import CANCELLED, SLOW_READER, STOPPED
from bench.service.refusals import Closing, EventsGone, Full
from bench.service.register import Register
from bench.service.rooms import opened_rooms
from bench.service.ticket import Ticket
from bench.service.values import Expired, ServiceView, Submitted
from bench.service.views import pool_view, provider_view, rss_bytes, size_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bench.config import ConcurrentConfig
    from bench.config.service import ServiceConfig
    from bench.providers import Endpoint
    from bench.service.events import Reading
    from bench.service.reasons import Reason
    from bench.service.rooms import Rooms
    from bench.service.values import Event, PoolView, State, TaskView, Wish

_log = logging.getLogger("bench.service")

#: How long the end waits for readers to take the last event, in seconds.
_LAST_EVENT_S: Final = 1.0


class Desk:
    """Everything between HTTP and the executor, on one event loop and without locks.

    Args:
        service: Bounds and times.
        run: Whom to ask and how, as for a run of profile `prod`; its `results_dir` holds the folder `service`.
        endpoints: The routes.
        command: The command line that starts it, without secrets, for its records.
        version: Of this program.
    """

    def __init__(
        self,
        service: ServiceConfig,
        run: ConcurrentConfig,
        endpoints: Sequence[Endpoint],
        *,
        command: str = "",
        version: str = "unknown",
    ) -> None:
        self._service = service
        self._run = run
        self._endpoints = endpoints
        self._command = command
        self._version = version
        self._register = Register(service.task_ttl)
        self._indices = itertools.count()
        self._closing = False
        self._settled = asyncio.Event()
        self._quiet = asyncio.Event()
        self._ended: Counter[State] = Counter()
        self._rss_bytes: int | None = None
        self._journal_bytes: int | None = None
        self._open = contextlib.AsyncExitStack()
        self._rooms: Rooms

    def __repr__(self) -> str:
        """Show how many tasks there are."""
        return f"<Desk {self._register!r} closing={self._closing}>"

    async def __aenter__(self) -> Self:
        """Open the records, the client and the slots.

        Raises:
            ConfigError: The folder is another service's or cannot be written, or this machine cannot hold the slots.
        """
        self._patience = Patience(
            for_slot_s=self._service.queue_timeout,
            for_reader_s=self._service.reconnect_grace,
            give_up=self._give_up,
        )
        async with contextlib.AsyncExitStack() as stack:
            rooms = self._rooms = await stack.enter_async_context(
                opened_rooms(self._service, self._run, self._endpoints, self._command, self._on_settled)
            )
            self._register.remember(rooms.past)
            self._register.expire(rooms.clock.now_ns())
            rooms.system.every(min(5.0, self._service.task_ttl / 4), "expiry", self._expire)
            rooms.system.every(5.0, "sampling", self._sample)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up what is under way, and close everything."""
        await self.drain(0.0)
        await self._open.aclose()

    def submit(self, wish: Wish) -> Submitted:
        """Accept a wish: its task is kept before this returns.

        Raises:
            Full: There is no place for it now.
            Closing: Nothing is accepted any more.
            Conflict: Its idempotency key came with another wish.
        """
        rooms = self._rooms
        now_ns = rooms.clock.now_ns()
        key = key_of(wish)
        digest = digest_of(wish) if key else ""
        same = self._register.same_as(key, digest, now_ns)
        if same is not None:
            return Submitted(task_id=same, again=True)
        self._check_room(wish, now_ns)
        task_id = uuid.uuid4().hex
        ticket = Ticket(task_id, next(self._indices), wish, now_ns, self._on_reading)
        try:
            rooms.intake.accept(ticket, wish, key, digest)
        except JournalError as error:
            raise self._closed() from error
        self._register.add(ticket, key, digest)
        ticket.accepted(rooms.intake.position(ticket), self._patience.grace_s(ticket))
        self._patience.begin(ticket)
        rooms.slots.look()
        return Submitted(task_id=task_id, again=False)

    def view(self, task_id: str) -> TaskView | Expired | None:
        """Return how a task stands, that it has expired, or None where there was none."""
        return self._viewed(self._find(task_id))

    def cancel(self, task_id: str) -> TaskView | Expired | None:
        """Give a task up, unless it has ended; return how it stands."""
        found = self._find(task_id)
        if isinstance(found, Ticket):
            self._give_up(found, CANCELLED)
        return self._viewed(found)

    def events(self, task_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """Return the events of a task after a number, as they come, until the last; to be closed by whoever reads.

        Raises:
            KeyError: There is no such task.
            EventsGone: They are not kept any more.
        """
        found = self._find(task_id)
        if found is None:
            raise KeyError(task_id)
        if isinstance(found, Ticket):
            found.ring.check(after)
            return found.ring.follow(after)
        last = found.last_event if isinstance(found, PastTask) else None
        if last is None:
            raise EventsGone("the events of this task are not kept any more")
        return _only(last)

    def pools(self) -> list[PoolView]:
        """Return how the pools of slots stand."""
        rooms = self._rooms
        places = {"agent": rooms.pools["pooled"], "system": rooms.system.places, "direct": rooms.pools["direct"]}
        return [pool_view(name, each) for name, each in places.items()]

    def status(self) -> ServiceView:
        """Return how the service stands."""
        rooms = self._rooms
        now_ns = rooms.clock.now_ns()
        return ServiceView(
            version=self._version,
            started_at=utc_label(rooms.started),
            uptime_s=(now_ns - rooms.origin_ns) / NS_PER_S,
            rss_bytes=self._rss_bytes,
            closing=self._is_closed,
            pools=tuple(self.pools()),
            providers=tuple(provider_view(each, now_ns) for each in rooms.dispatcher.routes()),
            tasks=self._register.states(),
            ended=dict(self._ended),
            readers=self._register.readers(),
            journal_bytes=self._journal_bytes,
        )

    async def drain(self, grace_s: float) -> None:
        """Accept nothing any more, let tasks go on for a while, then give up what is left.

        A second call while the first one waits has its own grace; both return once nothing is under way.
        """
        self._closing = True
        intake = self._rooms.intake
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._until_settled()
        for ticket in intake.open:
            self._give_up(ticket, STOPPED)
        await self._until_settled()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EVENT_S):
                await self._until_read()

    @property
    def _is_closed(self) -> bool:
        return self._closing or self._rooms.intake.error is not None

    def _check_room(self, wish: Wish, now_ns: int) -> None:
        """Refuse what cannot be accepted now."""
        if self._is_closed:
            raise self._closed()
        pool = self._rooms.pools[wish.path]
        if not pool.has_room:
            what = "as many streams are open as may be" if wish.path == "direct" else "the queue is full"
            raise Full(what, pool.refuse(now_ns / NS_PER_S))

    def _closed(self) -> Closing:
        return Closing("no more tasks are accepted", max(1, math.ceil(self._service.drain_grace)))

    def _find(self, task_id: str) -> Ticket | PastTask | Expired | None:
        return self._register.find(task_id, self._rooms.clock.now_ns())

    def _viewed(self, found: Ticket | PastTask | Expired | None) -> TaskView | Expired | None:
        if isinstance(found, Ticket):
            return found.view(self._rooms.intake.position(found))
        return found.view_at_end if isinstance(found, PastTask) else found

    def _on_reading(self, ticket: Ticket, what: Reading) -> None:
        """Wait for a reader where there is none, and give a task up whose readers cannot be told any more."""
        match what:
            case "came":
                self._patience.read(ticket)
            case "left":
                self._patience.unread(ticket)
                self._quiet.set()
            case "lapsed":
                self._give_up(ticket, SLOW_READER)

    def _give_up(self, ticket: Ticket, why: Reason) -> None:
        """Tell that a task is given up, take it out of wherever it is, and close its call."""
        if ticket.is_over:
            return
        rooms = self._rooms
        ticket.give_up(why, rooms.clock.now_ns())
        ticket.stop.cancel()
        if not rooms.intake.withdraw(ticket, why) and not rooms.dispatcher.withdraw(ticket.record_id, why.error):
            rooms.slots.cancel(ticket.task_id)

    def _on_settled(self, ticket: Ticket) -> None:
        """Note that a task's record was kept: its slot is free."""
        self._patience.end(ticket)
        self._register.ended(ticket)
        self._ended[ticket.state] += 1
        with task_scope(ticket.task_id):
            _log.info("%s, %s: %s after %d pieces", ticket.kind, ticket.path, ticket.state, ticket.chunks)
        self._settled.set()
        self._rooms.slots.look()

    async def _until_settled(self) -> None:
        while self._rooms.intake.open:
            self._settled.clear()
            await self._settled.wait()

    async def _until_read(self) -> None:
        while self._register.readers():
            self._quiet.clear()
            await self._quiet.wait()

    async def _expire(self) -> None:
        self._register.expire(self._rooms.clock.now_ns())

    async def _sample(self) -> None:
        self._rss_bytes = rss_bytes()
        self._journal_bytes = await asyncio.to_thread(size_bytes, self._rooms.directory)


async def _only(event: Event) -> AsyncGenerator[Event, None]:
    yield event
