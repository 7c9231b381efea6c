"""Which answers are known already: those of the cache, and those that are being made just now."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.cache import Busy, Claim
from bench.executor.answers import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cache import Cache, CachedAnswer
    from bench.policy.pool import Grant
    from bench.records import Task, TaskResult
    from bench.worker import Assignment


@dataclass(slots=True, eq=False)
class Waiting:
    """A task on its way to an attempt.

    Attributes:
        assignment: The task, with the attempts that were made.
        key: What its answer is kept under, once it has been looked for.
        claim: The right to make the answer, which others may wait for.
        last: What its last attempt came to.
        grants: What was granted for the attempt under way, the first one's route first.
    """

    assignment: Assignment
    key: str = ""
    claim: Claim | None = None
    last: TaskResult | None = None
    grants: list[Grant] = field(default_factory=list)

    @property
    def failed_on(self) -> set[str]:
        """The providers that have failed it."""
        return {each.provider for each in self.assignment.prior if each.status == "failed"}


class Turn(enum.Enum):
    """What a task without a known answer is to do."""

    ASK = enum.auto()
    #: Wait until `settle` returns it: a task of this run makes the same answer.
    FOLLOW = enum.auto()
    #: Look again in a while: another process makes the same answer.
    LOOK_AGAIN = enum.auto()


class KnownAnswers:
    """A cache, and who waits for an answer that is not in it yet. Not thread-safe.

    Args:
        cache: The cache.
        key_of: Returns what a task's answer is kept under.
    """

    def __init__(self, cache: Cache, key_of: Callable[[Task], str]) -> None:
        self._cache = cache
        self._key_of = key_of
        self._followers: dict[str, list[Waiting]] = {}
        self.following = 0

    def __repr__(self) -> str:
        """Show how many answers are being made and how many tasks wait for one."""
        return f"<KnownAnswers {len(self._followers)} under way {self.following} following>"

    def look(self, waiting: Waiting) -> CachedAnswer | Turn:
        """Return a task's answer, or what it is to do without."""
        if waiting.claim is not None:
            return Turn.ASK
        key = waiting.key = waiting.key or self._key_of(waiting.assignment.task)
        if key in self._followers:
            self._followers[key].append(waiting)
            self.following += 1
            return Turn.FOLLOW
        found = self._cache.look(key)
        if isinstance(found, Busy):
            return Turn.LOOK_AGAIN
        if isinstance(found, Claim):
            waiting.claim = found
            self._followers[key] = []
            return Turn.ASK
        return found

    def leave(self, task_id: str) -> Waiting | None:
        """Let a task that follows another wait no more, and return it; None where it follows none."""
        for followers in self._followers.values():
            for waiting in followers:
                if waiting.assignment.task.task_id == task_id:
                    followers.remove(waiting)
                    self.following -= 1
                    return waiting
        return None

    def settle(self, waiting: Waiting, ended: TaskResult) -> list[Waiting]:
        """Keep what a task came to if it is a whole answer; return the tasks that waited for it."""
        claim, waiting.claim = waiting.claim, None
        if claim is None:
            return []
        answer = answer_of(ended)
        if answer is None:
            claim.release()
        else:
            claim.store(answer)
        followers = self._followers.pop(waiting.key)
        self.following -= len(followers)
        return followers
