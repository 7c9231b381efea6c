"""Which chapters are named to be written once more."""

from __future__ import annotations

import pytest

from bench.book.again import places_again
from bench.errors import ConfigError


def test_chapters_and_versions() -> None:
    """A chapter's number means all its versions, and one with a version that one."""
    assert places_again(("2", "3v2", "03v2"), chapters=3, versions=2) == {(2, 0), (2, 1), (3, 1)}
    assert places_again((), chapters=3, versions=2) == frozenset()


@pytest.mark.parametrize("name", ["0", "", "v2", "3v0", "3 v2", "-1", "3-4", "1e3", "９", "4", "3v3", "9" * 400])
def test_what_is_not_there(name: str) -> None:
    """Anything else is refused with the option's name and what was given."""
    with pytest.raises(ConfigError, match=f"--again .*{name[:9]}"):
        places_again((name,), chapters=3, versions=2)
