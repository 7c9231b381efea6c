"""A cache of its own for each test, and short ways to fill it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.answers_kept import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.cache import Cache


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's cache is."""
    return tmp_path / "kept" / "cache.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[Cache]:
    """An empty cache."""
    with opened(path) as made:
        yield made
