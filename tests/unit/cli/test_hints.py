"""Hints: one for every type of failure."""

from __future__ import annotations

from typing import get_args

import pytest

from bench.cli.hints import HINTS, hint_for
from bench.errors import ErrorType


def test_every_type_has_a_hint() -> None:
    """For each type of failure there is one hint, in a sentence of its own."""
    assert set(HINTS) == set(get_args(ErrorType))
    assert len(set(HINTS.values())) == len(HINTS)


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("bigmodel", "BIGMODEL_API_KEY"),
        ("custom", "CONCURRENT_API_KEY"),
        ("mine", "is its key right"),
        (None, "CONCURRENT_API_KEY"),
    ],
)
def test_the_key_is_named(provider: str | None, key: str) -> None:
    """A key that is refused is named by the variable that it comes from."""
    assert key in hint_for("auth", provider)
