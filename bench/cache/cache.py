"""The cache: looked into before a call is made, and told of its answer; equal calls under way at once become one."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from bench.cache import tables
from bench.cache.answer import CachedAnswer, decoded, encoded
from bench.cache.claim import Busy, Claim
from bench.cache.file import CacheFile, is_damage
from bench.clock import NS_PER_S, utc_now
from bench.database import transaction
from bench.errors import ConfigError
from bench.owner import Owner, is_gone, this_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_log = logging.getLogger("bench.cache")

#: The file's size; a quarter of a million answers of 4 kB.
DEFAULT_MAX_BYTES: Final = 1_000_000_000

#: A month: behind one name, providers change their models about that often.
DEFAULT_MAX_AGE_S: Final = 30 * 24 * 3600.0

#: Twice as long as a task may take where nothing else is said.
DEFAULT_CLAIM_S: Final = 600.0

#: An empty file has a tenth of it.
_LEAST_BYTES: Final = 262_144

_TOKEN_BYTES: Final = 16


class CacheStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache holds, and what it was good for since it was begun or cleared.

    Attributes:
        entries: Answers.
        used_bytes: Size of the part of the file that is in use.
        max_bytes: Size from which on the oldest answers go.
        oldest_s: Age of the oldest answer; None where there is none, as for the next one.
        newest_s: Age of the newest.
        under_way: Calls that living processes are making.
        stored: Answers stored.
        hits: Calls saved; those of processes that were killed may be missing, and their tokens.
        tokens_saved: Tokens of those calls, as far as they were counted.
    """

    entries: int
    used_bytes: int
    max_bytes: int
    oldest_s: float | None
    newest_s: float | None
    under_way: int
    stored: int
    hits: int
    tokens_saved: int


class Cache:
    """Answers on disk, shared by processes and threads; one object serves all threads of the process that made it.

    A call to it takes some tens of microseconds, and longer while others write. What goes wrong with the file once it
    is open costs calls that might have been saved, and never raises: it is warned of once, and a damaged file is set
    aside. The age of answers is taken from the wall clock, because it outlives processes and the machine's restarts.

    Args:
        path: The file.
        max_bytes: Its size at most, its journal apart (some MB); beyond it the oldest answers go.
        max_age_s: Age from which on an answer does not count any more; None for no such age.
        claim_s: How long a claim lasts at most: longer than a call takes with all its attempts.

    Raises:
        ConfigError: The file cannot be used, or is something else.
        ValueError: A bound is too low.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, max_age_s: float | None, claim_s: float = DEFAULT_CLAIM_S
    ) -> None:
        if max_bytes < _LEAST_BYTES or claim_s <= 0 or (max_age_s is not None and max_age_s <= 0):
            msg = f"max_bytes is at least {_LEAST_BYTES}, ages are above 0; got {max_bytes}, {max_age_s}, {claim_s}"
            raise ValueError(msg)
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._claim_ns = int(claim_s * NS_PER_S)
        self._lock = threading.Lock()
        self._here = this_process()
        self._owner = msgspec.json.encode(self._here).decode()
        self._held: set[bytes] = set()
        self._counts: Counter[str] = Counter()
        self._warned: set[str] = set()
        self._closed = False
        self._file = CacheFile(path)
        self._attempt(self._tidy)

    def __repr__(self) -> str:
        """Show where it is and what is under way."""
        return f"<Cache {self._file.path} claims={len(self._held)}>"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def look(self, key: str) -> CachedAnswer | Claim | Busy:
        """Return the answer that is kept under a key, the right to make the call, or that somebody else is making it.

        Callable from any thread. Who gets a claim owes it an end.
        """
        found = self._attempt(lambda connection: self._looked(connection, key))
        # Where the cache cannot be used, whoever asks makes the call.
        return self._claim(key, b"") if found is None else found

    def stats(self) -> CacheStats:
        """Return what it holds and what it was good for.

        Raises:
            ConfigError: The file cannot be read.
        """
        found = self._attempt(self._described)
        if found is None:
            raise ConfigError(f"the cache {self._file.path} cannot be read", "the log says why")
        return found

    def clear(self) -> int:
        """Remove every answer and the counts, and return how many answers there were; calls under way go on.

        Raises:
            ConfigError: The file cannot be written.
        """
        removed = self._attempt(tables.clear)
        if removed is None:
            raise ConfigError(f"the cache {self._file.path} cannot be cleared", "the log says why")
        self._counts.clear()
        return removed

    def close(self) -> None:
        """End the claims that are open, and close the file; a second call does nothing."""
        if self._held or self._counts:
            self._attempt(self._settle)
        with self._lock:
            self._closed = True
            self._file.close()

    def _attempt(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the file; where that fails, say so once and return None."""
        with self._lock:
            if self._closed:
                return None
            try:
                try:
                    return action(self._file.current())
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                    self._file.set_aside(error)
                return action(self._file.current())
            except (sqlite3.Error, ConfigError, OSError) as error:
                self._warn_once(str(error), f"cannot be used: {error}; calls are made without it")
                return None

    def _warn_once(self, about: str, words: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            _log.warning("the cache %s %s", self._file.path, words)

    def _looked(self, connection: sqlite3.Connection, key: str) -> CachedAnswer | Claim | Busy:
        found = self._kept(connection, key) or self._under_way(connection, key)
        if found is not None:
            return found
        with transaction(connection):
            # Another process may have been quicker.
            found = self._kept(connection, key) or self._under_way(connection, key)
            if found is not None:
                return found
            token = secrets.token_bytes(_TOKEN_BYTES)
            tables.add_claim(connection, key, token, self._owner, time.perf_counter_ns() + self._claim_ns)
        self._held.add(token)
        return self._claim(key, token)

    def _claim(self, key: str, token: bytes) -> Claim:
        return Claim(key, lambda answer: self._ended(key, token, answer))

    def _ended(self, key: str, token: bytes, answer: CachedAnswer | None) -> bool:
        """End a claim, keep its answer if there is one, and return whether it was kept."""
        data = None if answer is None else encoded(answer)

        def end(connection: sqlite3.Connection) -> bool:
            kept = data is not None and len(data) < self._max_bytes
            with transaction(connection):
                if data is not None and kept:
                    tables.insert(connection, key, data, now_s=_now_s(), max_bytes=self._max_bytes)
                    tables.count(connection, {**self._counts, "stored": 1})
                tables.remove_claims(connection, [token])
            if kept:
                self._counts.clear()
            self._held.discard(token)
            return kept

        return self._attempt(end) or False

    def _kept(self, connection: sqlite3.Connection, key: str) -> CachedAnswer | None:
        row = tables.find(connection, key)
        if row is None or not self._counts_still(row.stored_s):
            return None
        answer = decoded(key, row.answer, row.digest)
        if answer is None:
            self._warn_once(key, f"holds a damaged answer ({key[:12]}): it is made anew")
            return None
        self._counts["hits"] += 1
        self._counts["tokens_saved"] += answer.tokens
        return answer

    def _counts_still(self, stored_s: object) -> bool:
        if self._max_age_s is None or not isinstance(stored_s, float):
            return True
        # The distance counts: an answer from the future was stored by a clock that was wrong.
        return abs(_now_s() - stored_s) <= self._max_age_s

    def _under_way(self, connection: sqlite3.Connection, key: str) -> Busy | None:
        claim = tables.claim_of(connection, key)
        owner = None if claim is None else self._living(*claim)
        return None if owner is None else Busy(owner.pid)

    def _living(self, text: str, until_ns: int) -> Owner | None:
        """Return whose a claim is, or None where it is nobody's any more."""
        if time.perf_counter_ns() >= until_ns:
            return None
        try:
            owner = self._here if text == self._owner else msgspec.json.decode(text, type=Owner)
        except msgspec.MsgspecError:
            # Damaged: nobody can end it.
            return None
        return None if is_gone(owner, self._here) else owner

    def _tidy(self, connection: sqlite3.Connection) -> None:
        """Remove the claims of processes that were killed: nobody might ever ask for their keys again."""
        over = [token for token, owner, until_ns in tables.all_claims(connection) if not self._living(owner, until_ns)]
        if over:
            tables.remove_claims(connection, over)

    def _settle(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            tables.remove_claims(connection, self._held)
            tables.count(connection, self._counts)
        self._held.clear()
        self._counts.clear()

    def _described(self, connection: sqlite3.Connection) -> CacheStats:
        entries, oldest_s, newest_s = tables.extent(connection)
        claims = tables.all_claims(connection)
        counts = self._counts + Counter(tables.counters(connection))
        now_s = _now_s()
        return CacheStats(
            entries=entries,
            used_bytes=tables.used_bytes(connection),
            max_bytes=self._max_bytes,
            oldest_s=None if oldest_s is None else now_s - oldest_s,
            newest_s=None if newest_s is None else now_s - newest_s,
            under_way=sum(self._living(owner, until_ns) is not None for _, owner, until_ns in claims),
            stored=counts["stored"],
            hits=counts["hits"],
            tokens_saved=counts["tokens_saved"],
        )


def _now_s() -> float:
    return utc_now().timestamp()
