"""Caches for tests: opened with bounds that do not matter, and filled in a word."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from bench.cache import Cache, CachedAnswer, Claim, cache_key

if TYPE_CHECKING:
    from pathlib import Path

ANSWER: Final = CachedAnswer(
    content="solar power",
    finish_reason="stop",
    prompt_tokens=3,
    completion_tokens=4,
    token_source="server",
    provider="alpha",
    model="m",
)


def opened(path: Path, *, max_bytes: int = 10**8, max_age_s: float | None = None, claim_s: float = 600) -> Cache:
    """Open a cache."""
    return Cache(path, max_bytes=max_bytes, max_age_s=max_age_s, claim_s=claim_s)


def key_of(prompt: str) -> str:
    """Return the key of a prompt's answer."""
    messages = [{"role": "user", "content": prompt}]
    return cache_key(base_url="http://127.0.0.1/v1", model="m", messages=messages, params={}, version=0, iteration=0)


def answer(content: str) -> CachedAnswer:
    """Return an answer of that text."""
    return msgspec.structs.replace(ANSWER, content=content)


def claimed(cache: Cache, key: str) -> Claim:
    """Get the claim of a key that nobody has."""
    found = cache.look(key)
    assert isinstance(found, Claim), found
    return found


def fill(cache: Cache, *prompts: str) -> None:
    """Store an answer to each prompt: the prompt itself."""
    for prompt in prompts:
        assert claimed(cache, key_of(prompt)).store(answer(prompt))


def change(path: Path, statement: str, *values: object) -> int:
    """Change the file behind the cache's back, and return how many rows it met."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).rowcount


def integrity(path: Path) -> str:
    """Return what SQLite says of the file: `ok`, or what is wrong."""
    with closing(sqlite3.connect(path)) as connection:
        said: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return said
