"""What the cache says to whom it has no answer for: make the call, or wait for the one who is making it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cache.answer import CachedAnswer


class Busy(msgspec.Struct, frozen=True):
    """Somebody else is making the call now: ask again later.

    Attributes:
        pid: The process that does.
    """

    pid: int


class Claim:
    """The right to make a call, and the duty to say how it ended: by `store` or by `release`, at best in a `finally`.

    It ends by itself with its process, and at its deadline. One thread at a time.

    Args:
        key: The answer's key.
        end: Ends it, keeps the answer if it is given one, and returns whether it did.
    """

    def __init__(self, key: str, end: Callable[[CachedAnswer | None], bool]) -> None:
        self._key = key
        self._end = end
        self._open = True

    def __repr__(self) -> str:
        """Show the key's beginning, and whether it is over."""
        return f"<Claim {self._key[:12]} {'open' if self._open else 'over'}>"

    def store(self, answer: CachedAnswer) -> bool:
        """Keep an answer and end the claim; return whether it was kept.

        Only whole successes are: see `CachedAnswer.storable`. After `release` or another `store` nothing happens.
        """
        return self._ended(answer if answer.storable else None)

    def release(self) -> None:
        """End the claim without an answer: the next one who asks makes the call. A second call does nothing."""
        self._ended(None)

    def _ended(self, answer: CachedAnswer | None) -> bool:
        if not self._open:
            return False
        self._open = False
        return self._end(answer)
