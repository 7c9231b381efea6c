"""A run over nodes, from its parent's side: gives each free slot a task on the node that has fewest."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S
from bench.engines._base import Pause
from bench.engines.cluster import messages
from bench.engines.cluster.handshake import Welcome
from bench.engines.cluster.member import Held, Member, next_for_task
from bench.engines.cluster.orders import SILENCE_S
from bench.engines.cluster.roster import WITHOUT_NODES_S, Roster
from bench.engines.lost import LostTasks
from bench.errors import ConfigError
from bench.logcontext import replay
from bench.records import WorkerId
from bench.worker.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from distributed import Client

    from bench.engines._base import Job
    from bench.engines.cluster.messages import Stage
    from bench.worker import Assignment

_log = logging.getLogger("bench.engines")

#: How long nodes may take to hand in their tasks after the run was cancelled.
_CANCEL_GRACE_S: Final = 3.0

#: How long nodes may take to end.
_END_GRACE_S: Final = 5.0

#: How long a call that broke waits before it is made again.
_AGAIN_S: Final = 0.1

#: The longest pause: a run that stops is seen within this.
_LONGEST_PAUSE_S: Final = 0.25


class Conductor:
    """Does a job on the nodes of a scheduler. The loop's thread alone uses it.

    Args:
        job: The job.
        client: The connection to the scheduler.
        address: The scheduler's.
        expected: How many nodes the job waits for before it begins.
        name_prefix: What the names of nodes begin with.
    """

    def __init__(self, job: Job, client: Client, address: str, *, expected: int = 1, name_prefix: str = "") -> None:
        self._job = job
        self._expected = expected
        self._loop = asyncio.get_running_loop()
        welcome = Welcome(spec=job.spec, clock=job.clock, log_level=_log.getEffectiveLevel(), name_prefix=name_prefix)
        self._roster = Roster(client, address, welcome, self._on_joined, self._on_left, job.resume)
        self._lost = LostTasks(job)
        self._left: list[Assignment] = []
        self._free = list(range(job.slots))
        self._tickets = itertools.count()
        self._stage: Stage = "run"
        self._running = False
        self._paused: asyncio.TimerHandle | None = None
        #: What is to be done once tasks were given, and before they are sent.
        self._at_turns_end: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._came: list[Member] = []
        self._talks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """Show how far it got."""
        return f"<Conductor {self._roster!r} free={len(self._free)} {self._stage}>"

    async def run(self) -> None:
        """Do the job.

        Raises:
            ConfigError: Every node is refused.
            RunError: The scheduler is gone, or there is no node.
        """
        self._spawn(self._roster.watch())
        try:
            with self._job.stop.watched(self._wake):
                await self._wait_for_nodes()
                if self._over.done():
                    self._over.result()
                elif not self._job.stop.draining:
                    with self._job.by_turns(self._at_turns_end.append):
                        self._begin()
                        await self._over
        finally:
            await self._end()

    async def _wait_for_nodes(self) -> None:
        """Wait until those who are expected are there, but no longer than a run waits that has no node."""
        longest_ns = self._job.clock.now_ns() + int(WITHOUT_NODES_S * NS_PER_S)
        while not self._over.done() and not self._job.stop.draining:
            members, refused = self._roster.members, self._roster.refused
            is_whole = self._roster.is_settled and len(members) + len(refused) >= self._expected
            if members and (is_whole or self._job.clock.now_ns() > longest_ns):
                return
            if is_whole:
                raise ConfigError("every node is refused", "\n".join(refused.values()))
            self._changed.clear()
            waited = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait((waited, self._over), timeout=_LONGEST_PAUSE_S, return_when=asyncio.FIRST_COMPLETED)
            waited.cancel()

    def _begin(self) -> None:
        caps = [member.cap for member in self._roster.members.values()]
        if None not in caps and sum(filter(None, caps)) < self._job.slots:
            _log.warning(
                "the nodes take %d requests in flight together, less than the %d that were asked for",
                sum(filter(None, caps)),
                self._job.slots,
            )
        self._running = True
        self._job.ready()
        self._feed()

    def _spawn(self, talk: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(talk)
        self._talks.add(task)
        task.add_done_callback(self._on_talk_end)

    def _on_talk_end(self, task: asyncio.Task[None]) -> None:
        self._talks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not self._over.done():
            self._over.set_exception(failure)

    def _on_joined(self, member: Member) -> None:
        self._changed.set()
        self._came.append(member)
        self._spawn(self._listen(member))
        self._spawn(self._deliver(member))
        self._feed()

    def _on_left(self, member: Member, how: str) -> None:
        given = member.take_given()
        member.to_send.set()
        how = f"{member}, process {member.pid}, {how}"
        _log.warning("%s; it had %d of %d slots", how, len(given), self._job.slots)
        member.left_ns, member.lost = self._job.clock.now_ns(), len(given)
        for slot, _, _ in given:
            heapq.heappush(self._free, slot)
        self._left += self._lost.give_up(given, how, member.who)
        self._changed.set()
        self._feed()

    async def _listen(self, member: Member) -> None:
        """Keep a call open in which a node can tell what has ended, for as long as it takes part."""
        answered_ns = self._job.clock.now_ns()
        while self._takes_part(member):
            parcel, slots = member.parcel(self._stage, self._job.clock.now_ns())
            left_s = SILENCE_S - (self._job.clock.now_ns() - answered_ns) / NS_PER_S
            member.is_listened_to = True
            try:
                async with asyncio.timeout(left_s):
                    content: bytes = await member.link.call("exchange", parcel)
            except OSError as error:
                member.not_sent(slots)
                self._roster.look()
                if self._job.clock.now_ns() - answered_ns >= SILENCE_S * NS_PER_S:
                    self._roster.lose(member, f"has not answered for {SILENCE_S:g} s ({_said(error)})")
                await asyncio.sleep(_AGAIN_S)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a node, the others go on
                self._roster.lose(member, f"ended its part: {_said(error)}")
            else:
                answered_ns = self._job.clock.now_ns()
                member.is_listened_to = False
                self._take(member, messages.unpack_answer(content))

    async def _deliver(self, member: Member) -> None:
        """Send a node what is for it while it is being listened to; else that goes with the next call."""
        while self._takes_part(member):
            await member.to_send.wait()
            member.to_send.clear()
            if not member.is_listened_to:
                continue
            parcel, slots = member.parcel(self._stage, self._job.clock.now_ns())
            try:
                async with asyncio.timeout(SILENCE_S):
                    await member.link.call("take", parcel)
            except OSError:
                member.not_sent(slots)
                await asyncio.sleep(_AGAIN_S)
                member.to_send.set()
            except Exception as error:  # noqa: BLE001 - as above
                self._roster.lose(member, f"ended its part: {_said(error)}")

    def _takes_part(self, member: Member) -> bool:
        return self._roster.members.get(member.address) is member and not self._over.done()

    def _take(self, member: Member, answer: messages.Answer) -> None:
        """Take in what a node told, and give tasks to the slots that became free."""
        if not self._takes_part(member):
            return
        for kind, content in member.inbox.take(answer):
            match kind:
                case messages.DONE:
                    for done in messages.unpack_done(content):
                        if member.finish(done.slot, done.ticket):
                            heapq.heappush(self._free, done.slot)
                            self._job.emit(done.line)
                case messages.LOG:
                    replay(content)
                case _:
                    self._job.canary(float(content))
        if answer.bug is not None:
            self._roster.lose(member, f"ended its part: {answer.bug}")
        self._feed()

    def _feed(self) -> None:
        """Give free slots tasks: those that a lost node left, else new ones; end when there is nothing left at all."""
        if self._running and not self._over.done():
            self._give()
        # All of it is kept before any of it is sent.
        while self._at_turns_end:
            self._at_turns_end.pop()()

    def _give(self) -> None:
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        if self._job.stop.draining:
            self._lost.cancel(self._left, WorkerId(pid=os.getpid(), thread="MainThread", slot=0))
        # Without a node nobody draws to see that nothing is drawn any more.
        is_all = self._job.stop.draining and not self._roster.members
        while self._free and (member := next_for_task(self._roster.members.values())) is not None:
            drawn = self._left.pop(0) if self._left else self._job.draw()
            if isinstance(drawn, Pause):
                pause_s = (drawn.until_ns - self._job.clock.now_ns()) / NS_PER_S
                self._paused = self._loop.call_later(min(max(pause_s, 0.0), _LONGEST_PAUSE_S), self._feed)
                return
            if drawn is None:
                is_all = True
                break
            member.give(heapq.heappop(self._free), Held(next(self._tickets), drawn, self._job.clock.now_ns()))
        if is_all and len(self._free) == self._job.slots:
            self._over.set_result(None)

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._on_stop)

    def _on_stop(self) -> None:
        """Pass a stop on."""
        cancelled = self._job.stop.cancelled
        if cancelled and self._stage != "cancel":
            self._loop.call_later(_CANCEL_GRACE_S, self._give_up_overdue)
        self._stage = "cancel" if cancelled else "drain"
        self._changed.set()
        for member in self._roster.members.values():
            member.to_send.set()
        self._feed()

    def _give_up_overdue(self) -> None:
        for member in list(self._roster.members.values()):
            if member.given:
                self._roster.lose(member, f"did not give up its tasks within {_CANCEL_GRACE_S:g} s")

    async def _end(self) -> None:
        """See the nodes off."""
        if not self._over.done():
            self._over.cancel()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._roster.aclose()
        await asyncio.gather(*(self._see_off(member) for member in self._roster.members.values()))
        run_clock = Recorder(self._job.spec)
        self._job.nodes([member.facts(run_clock) for member in self._came])

    async def _see_off(self, member: Member) -> None:
        try:
            async with asyncio.timeout(_END_GRACE_S):
                ended = messages.unpack_ended(await member.link.call("end"))
        except Exception as error:  # noqa: BLE001 - it ends by itself when nobody calls
            _log.info("%s did not end its part: %s", member, _said(error))
        else:
            member.cpu_s = ended.cpu_s
            self._job.worker_cpu(ended.cpu_s)
            for kind, content in member.inbox.take(ended.answer):
                if kind == messages.LOG:
                    replay(content)
        member.link.close()


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
