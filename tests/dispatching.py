"""A dispatcher in virtual time: slots that draw, calls that come to what a test says, and what was recorded."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import msgspec

from bench.clients._base import Reply
from bench.engines._base import Pause
from bench.errors import CallError
from bench.executor.dispatch import Dispatcher, Dispatching
from bench.executor.ledger import Ledger
from bench.policy.pool import Pool, PoolSettings, RouteInfo
from bench.policy.retry import RetryPolicy
from bench.providers import Endpoint, RouteLimits
from bench.records import TaskResult, WorkerId
from bench.stop import StopSignal
from bench.worker.record import Recorder, error_info
from tests.clocks import NS_PER_S, VirtualClock
from tests.flows import make_spec
from tests.samples import make_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.errors import ErrorType
    from bench.executor.known import KnownAnswers
    from bench.journal import Journal
    from bench.records import Task
    from bench.worker import Assignment

#: As long as a slot sleeps at most, see `bench.engines.bell`.
LONGEST_PAUSE_NS: Final = NS_PER_S // 4

#: A run that takes so many steps goes round in circles.
MOST_STEPS: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class Came:
    """What a call comes to: an answer after so many seconds, or a failure."""

    error: ErrorType | None = None
    lasts_s: float = 1.0
    retry_after_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """A call: of which task, over which provider and key, and when it began and ended, in virtual seconds."""

    index: int
    provider: str
    key: int
    begun_s: float
    ended_s: float


class KeptInMemory:
    """A journal that keeps what it is given."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.results: list[TaskResult] = []

    @property
    def recorded(self) -> int:
        """How many results there are."""
        return len(self.results)

    def drew(self, *tasks: Task) -> None:
        """Keep tasks."""
        self.tasks += tasks

    def append(self, *lines: bytes) -> None:
        """Keep results."""
        self.results += (msgspec.json.decode(line, type=TaskResult) for line in lines)


@dataclass(kw_only=True)
class DispatchWorld:
    """A run of profile `prod` without an engine, a client or a server.

    Attributes:
        routes: Provider and key of each route.
        comes: Says what a call comes to, from its task, its provider and key, and how many calls were before it.
    """

    tasks: int
    comes: Callable[[Task, str, int, int], Came]
    routes: Sequence[tuple[str, int]] = (("a", 0),)
    slots: int = 4
    limits: dict[str, RouteLimits] = field(default_factory=dict)
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(retries=3, delay_s=1.0, backoff="fixed"))
    timeout_s: float = 100.0
    adaptive: bool = False
    race: bool = False
    known: KnownAnswers | None = None

    def __post_init__(self) -> None:
        """Put the parts together."""
        self.clock = VirtualClock()
        self.stop = StopSignal()
        self.journal = KeptInMemory()
        endpoints = tuple(Endpoint(provider=name, base_url="none", model="m", key=key) for name, key in self.routes)
        self.spec = make_spec(endpoints=endpoints, timeout_s=self.timeout_s)
        self.recorder = Recorder(self.spec)
        tasks = (make_task(index) for index in range(self.tasks))
        self.ledger = Ledger(tasks, cast("Journal", self.journal), [], self.clock, self.stop)
        infos = [
            RouteInfo(provider=name, key=key, limits=self.limits.get(name, RouteLimits())) for name, key in self.routes
        ]
        self.pool = Pool(infos, PoolSettings(ceiling=self.slots, adaptive=self.adaptive))
        parts = Dispatching(
            ledger=self.ledger,
            pool=self.pool,
            retry=self.retry,
            known=self.known,
            race=self.race,
            hedge_delay_s=None,
            changed=lambda _changes: None,
            rung=self._ring,
        )
        self.dispatcher = Dispatcher(parts, self.spec, self.clock, self.stop, self.slots)
        self.made: list[Made] = []
        self.most_at_once = self.at_once = self.steps = self.raced = 0
        self.ended: set[int] = set()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._asleep: dict[int, int] = {}

    @property
    def results(self) -> list[TaskResult]:
        """The records, in order."""
        return self.journal.results

    def run(self) -> None:
        """Let the slots do all they can."""
        for slot in range(self.slots):
            self._step(slot)
        while self._events:
            at_ns, _, happens = heapq.heappop(self._events)
            self.clock.advance_to(max(at_ns, self.clock.now_ns()))
            happens()

    def plan(self, after_s: float, action: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._at(self.clock.now_ns() + round(after_s * NS_PER_S), action)

    def check_whole(self) -> None:
        """Each task that was drawn has one record; no slot, no place in the pool and no task is left over."""
        self.dispatcher.close()
        ids = [result.task_id for result in self.results]
        assert sorted(ids) == sorted(task.task_id for task in self.journal.tasks)
        assert len(set(ids)) == len(ids)
        assert self.ended == set(range(self.slots))
        assert self.most_at_once <= self.slots
        assert [route.in_flight for route in self.pool.snapshot(self.clock.now_ns() / NS_PER_S)] == [0] * len(
            self.routes
        )
        assert repr(self.dispatcher) == "<Dispatcher 0 waiting 0 under way>"
        assert sum(len(result.attempts) for result in self.results) == len(self.made)

    def _step(self, slot: int) -> None:
        self.steps += 1
        assert self.steps < MOST_STEPS, "it spins"
        drawn = self.dispatcher.draw()
        now_ns = self.clock.now_ns()
        if drawn is None:
            self.ended.add(slot)
        elif isinstance(drawn, Pause):
            nap = self._asleep[slot] = next(self._numbers)
            due_ns = min(max(drawn.until_ns, now_ns), now_ns + LONGEST_PAUSE_NS)
            self._at(due_ns, lambda: self._wake(slot, nap))
        else:
            self._begin(slot, drawn, now_ns)

    def _begin(self, slot: int, drawn: Assignment, now_ns: int) -> None:
        endpoint = self.spec.endpoints[drawn.route]
        came = self.comes(drawn.task, endpoint.provider, endpoint.key, len(self.made))
        self.at_once += 1
        self.raced += bool(drawn.rivals)
        self.most_at_once = max(self.most_at_once, self.at_once)
        end_ns = now_ns + round(came.lasts_s * NS_PER_S)
        since_s = self.recorder.since_origin_s
        self.made.append(
            Made(
                index=drawn.task.index,
                provider=endpoint.provider,
                key=endpoint.key,
                begun_s=since_s(now_ns),
                ended_s=since_s(end_ns),
            )
        )
        self._at(end_ns, lambda: self._end(slot, drawn, came, now_ns))

    def _end(self, slot: int, drawn: Assignment, came: Came, begun_ns: int) -> None:
        self.at_once -= 1
        end_ns = self.clock.now_ns()
        error = None if came.error is None else CallError(came.error, "made up", None, came.retry_after_s)
        reply = Reply(sent_ns=begun_ns, end_ns=end_ns, error=error)
        if error is None:
            reply = msgspec.structs.replace(
                reply, content="an answer", finish_reason="stop", completion_tokens=3, token_source="server"
            )
        result = self.recorder.result(
            drawn,
            reply,
            status="ok" if error is None else "failed",
            error=None if error is None else error_info(error),
            attempts=[*drawn.prior, self.recorder.attempt(reply, drawn.wait_s, drawn.route)],
            started_ns=drawn.started_ns or begun_ns,
            ended_ns=end_ns,
            who=WorkerId(pid=1, thread="t", slot=slot),
            route=drawn.route,
        )
        # As it comes from another process, and as it comes from this one.
        self.dispatcher.emit(msgspec.json.encode(result) if slot % 2 else result)
        self._step(slot)

    def _ring(self) -> None:
        for slot, nap in list(self._asleep.items())[:2]:
            self._at(self.clock.now_ns(), lambda slot=slot, nap=nap: self._wake(slot, nap))  # type: ignore[misc]

    def _wake(self, slot: int, nap: int) -> None:
        if self._asleep.get(slot) == nap:
            del self._asleep[slot]
            self._step(slot)

    def _at(self, at_ns: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at_ns, next(self._numbers), action))
