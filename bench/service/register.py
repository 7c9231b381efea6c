"""Who is known by which id: tasks of this start, of earlier ones, and those of which only the id is left."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from bench.clock import NS_PER_S
from bench.service.refusals import Conflict
from bench.service.ticket import Ticket
from bench.service.values import Expired

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.service.keys import Key
    from bench.service.past import PastTask
    from bench.service.values import State

#: How long a task's events are kept after its end, in seconds: for readers that come back.
EVENTS_KEPT_S: Final = 60.0


class Register:
    """The tasks by their ids and by their idempotency keys.

    Args:
        ttl_s: How long a task is known after its end, and then its id alone, in seconds.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_ns = int(ttl_s * NS_PER_S)
        self._known: dict[str, Ticket | PastTask] = {}
        self._open: dict[str, Ticket] = {}
        self._ended: deque[Ticket | PastTask] = deque()
        self._with_events: deque[Ticket] = deque()
        self._expired: dict[str, int] = {}
        self._by_key: dict[Key, tuple[str, str]] = {}
        self._key_of: dict[str, Key] = {}

    def __repr__(self) -> str:
        """Show how many tasks are known."""
        return f"<Register {len(self._known)} known {len(self._expired)} expired>"

    def add(self, task: Ticket | PastTask, key: Key | None, digest: str) -> None:
        """Know a task."""
        self._known[task.task_id] = task
        if isinstance(task, Ticket):
            self._open[task.task_id] = task
        if key is not None:
            self._by_key[key] = (task.task_id, digest)
            self._key_of[task.task_id] = key

    def remember(self, tasks: Iterable[tuple[PastTask, Key | None, str]]) -> None:
        """Know what earlier starts have left, in the order of their ends."""
        for task, key, digest in tasks:
            self.add(task, key, digest)
            self._ended.append(task)

    def ended(self, task: Ticket) -> None:
        """Note that a task has ended; they are given up in the order of their ends."""
        del self._open[task.task_id]
        self._ended.append(task)
        self._with_events.append(task)

    def same_as(self, key: Key | None, digest: str, now_ns: int) -> str | None:
        """Return the task that is there under a key, or None.

        Raises:
            Conflict: It was another wish.
        """
        if key is None or key not in self._by_key:
            return None
        task_id, known_digest = self._by_key[key]
        if not isinstance(self.find(task_id, now_ns), Expired):
            if known_digest != digest:
                raise Conflict(f"the idempotency key {key.key!r} was sent with another request before")
            return task_id
        return None

    def find(self, task_id: str, now_ns: int) -> Ticket | PastTask | Expired | None:
        """Return a task, that it has expired, or None where there was none."""
        task = self._known.get(task_id)
        if task is not None:
            is_old = task.ended_ns is not None and now_ns - task.ended_ns >= self._ttl_ns
            return Expired(task_id) if is_old else task
        return Expired(task_id) if task_id in self._expired else None

    def expire(self, now_ns: int) -> None:
        """Forget the events of tasks that ended a while ago, then the tasks, then their ids."""
        keep_ns = int(EVENTS_KEPT_S * NS_PER_S)
        while self._with_events and _age_ns(self._with_events[0], now_ns) >= keep_ns:
            self._with_events.popleft().ring.clear()
        while self._ended and _age_ns(self._ended[0], now_ns) >= self._ttl_ns:
            task_id = self._ended.popleft().task_id
            del self._known[task_id]
            self._expired[task_id] = now_ns + self._ttl_ns
            key = self._key_of.pop(task_id, None)
            # The key may have been used again since the task has expired.
            if key is not None and self._by_key[key][0] == task_id:
                del self._by_key[key]
        while self._expired and next(iter(self._expired.values())) <= now_ns:
            del self._expired[next(iter(self._expired))]

    def readers(self) -> int:
        """Return how many streams are open."""
        return sum(task.ring.readers for task in (*self._open.values(), *self._with_events))

    def states(self) -> dict[State, int]:
        """Return how many known tasks are in each state."""
        return dict(Counter(task.state for task in self._known.values()))


def _age_ns(task: Ticket | PastTask, now_ns: int) -> int:
    return 0 if task.ended_ns is None else now_ns - task.ended_ns
