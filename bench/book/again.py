"""Which chapters are to be written once more although there is a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A chapter, or one version of it.
_NAMED: Final = re.compile(r"0*([1-9][0-9]{0,8})(?:v([1-9][0-9]?))?")


def places_again(names: Iterable[str], *, chapters: int, versions: int) -> frozenset[tuple[int, int]]:
    """Return the chapters (from 1) and versions (from 0) that are named, of a chapter alone all versions.

    Args:
        names: `3` for the third chapter, `3v2` for its second version.
        chapters: How many chapters there are.
        versions: Versions of each.

    Raises:
        ConfigError: One is no such name, or there is no such chapter or version.
    """
    places: set[tuple[int, int]] = set()
    for name in names:
        found = _NAMED.fullmatch(name)
        if found is None:
            raise ConfigError(f"--again takes a chapter's number, as 3, or one version of it, as 3v2; got {name!r}")
        chapter, version = int(found[1]), int(found[2] or 1)
        if chapter > chapters or version > versions:
            raise ConfigError(
                f"--again {name} is not in the book: it has {chapters} chapters, and {versions} of each",
                "name another, or ask for more with --versions",
            )
        places |= {(chapter, version - 1)} if found[2] else {(chapter, each) for each in range(versions)}
    return frozenset(places)
