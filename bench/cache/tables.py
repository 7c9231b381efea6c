"""What is read from and written to the tables of a cache's file, a statement or a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bench.cache.answer import digest
from bench.database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

#: How many of the oldest answers go at a time.
_EVICTED_AT_ONCE: Final = 16


class Row(NamedTuple):
    """An answer as it was found: where the file is damaged, a value may be anything."""

    stored_s: object
    digest: object
    answer: object


def find(connection: sqlite3.Connection, key: str) -> Row | None:
    """Return what is stored under a key."""
    row = connection.execute("SELECT stored_s, digest, answer FROM entries WHERE key = ?", (key,)).fetchone()
    return None if row is None else Row(*row)


def insert(connection: sqlite3.Connection, key: str, data: bytes, *, now_s: float, max_bytes: int) -> None:
    """Store an answer; the oldest others go until the file is within its bound. Within a transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO entries (key, stored_s, digest, answer) VALUES (?, ?, ?, ?)",
        (key, now_s, digest(key, data), data),
    )
    while used_bytes(connection) > max_bytes:
        gone = connection.execute(
            "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE key != ? ORDER BY id LIMIT ?)",
            (key, _EVICTED_AT_ONCE),
        )
        if not gone.rowcount:
            break


def claim_of(connection: sqlite3.Connection, key: str) -> tuple[str, int] | None:
    """Return the owner of a key's claim and when it ends, or None."""
    row: tuple[str, int] | None = connection.execute(
        "SELECT owner, until_ns FROM claims WHERE key = ?", (key,)
    ).fetchone()
    return row


def all_claims(connection: sqlite3.Connection) -> list[tuple[bytes, str, int]]:
    """Return token, owner and end of every claim."""
    return connection.execute("SELECT token, owner, until_ns FROM claims").fetchall()


def add_claim(connection: sqlite3.Connection, key: str, token: bytes, owner: str, until_ns: int) -> None:
    """Put a claim in the place of the one that may be there."""
    connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", (key, token, owner, until_ns))


def remove_claims(connection: sqlite3.Connection, tokens: Iterable[bytes]) -> None:
    """Remove the claims that have these tokens."""
    connection.executemany("DELETE FROM claims WHERE token = ?", [(token,) for token in tokens])


def count(connection: sqlite3.Connection, amounts: Mapping[str, int]) -> None:
    """Add amounts to the counters of their names."""
    connection.executemany(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        amounts.items(),
    )


def counters(connection: sqlite3.Connection) -> dict[str, int]:
    """Return all counters by name."""
    return dict(connection.execute("SELECT name, value FROM counters").fetchall())


def extent(connection: sqlite3.Connection) -> tuple[int, float | None, float | None]:
    """Return how many answers there are, and when the first and the last of them were stored."""
    row: tuple[int, float | None, float | None] = connection.execute(
        "SELECT count(*), min(stored_s), max(stored_s) FROM entries"
    ).fetchone()
    return row


def clear(connection: sqlite3.Connection) -> int:
    """Remove answers and counters, give their space back, and return how many answers there were."""
    with transaction(connection):
        removed = connection.execute("DELETE FROM entries").rowcount
        connection.execute("DELETE FROM counters")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return removed


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the part of the file that is in use."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    used: int = (pages - free) * page_bytes
    return used
