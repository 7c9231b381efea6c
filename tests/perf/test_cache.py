"""What the cache costs a task: an answer that is there, one that is not, and one that somebody else is making."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from bench.cache import Busy, Cache, CachedAnswer
from tests.answers_kept import answer, claimed, fill, key_of, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

#: As long as an answer of 512 tokens.
CONTENT = "字" * 700
ENTRIES = 2000


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """A cache that holds some thousand answers."""
    with opened(tmp_path / "cache.sqlite") as made:
        for number in range(ENTRIES):
            assert claimed(made, key_of(f"{number}")).store(answer(CONTENT))
        yield made


def test_hit(cache: Cache, benchmark: BenchmarkFixture) -> None:
    """An answer is found."""
    keys = itertools.cycle([key_of(f"{number}") for number in range(ENTRIES)])
    assert isinstance(benchmark(lambda: cache.look(next(keys))), CachedAnswer)


def test_miss_and_store(cache: Cache, benchmark: BenchmarkFixture) -> None:
    """An answer is not there: the call is claimed, and its answer stored."""
    keys = (key_of(f"new {number}") for number in itertools.count())
    kept = answer(CONTENT)
    assert benchmark(lambda: claimed(cache, next(keys)).store(kept))


def test_busy(cache: Cache, benchmark: BenchmarkFixture) -> None:
    """Somebody else is making the call."""
    fill(cache, "a")
    claim = claimed(cache, key_of("b"))
    assert isinstance(benchmark(lambda: cache.look(key_of("b"))), Busy)
    claim.release()


def test_key(benchmark: BenchmarkFixture) -> None:
    """A key is made of a prompt of 700 characters."""
    assert len(benchmark(key_of, CONTENT)) == 64
