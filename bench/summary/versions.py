"""How many versions of each item succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bench.config import MAX_VERSIONS
from bench.journal import iter_last_results
from bench.records import ErrorInfo, Status
from bench.summary.figures import ItemRow, VersionFigures

if TYPE_CHECKING:
    from pathlib import Path

    from bench.errors import ErrorType
    from bench.manifest import RunManifest

#: Items that lack a version and are named one by one; the others are counted.
ITEMS_NAMED: Final = 100


class _Version(msgspec.Struct, frozen=True, gc=False):
    """What is read of a record."""

    index: int
    iteration: int
    status: Status
    topic: str | None
    chapter: str | None
    error: ErrorInfo | None


class _Lacking:
    """An item of which a version has failed."""

    def __init__(self, first: _Version) -> None:
        self.first = first
        self.failed = 0
        #: A dict, for their order.
        self.errors: dict[ErrorType, None] = {}

    def add(self, version: _Version) -> None:
        self.failed += version.status == "failed"
        if version.error is not None:
            self.errors[version.error.type] = None


def version_figures(run: Path, manifest: RunManifest) -> VersionFigures | None:
    """Count the versions that succeeded, item by item; None where a run has one version of each.

    Memory is about 100 bytes an item.

    Raises:
        JournalError: The records cannot be read, or are damaged.
    """
    per_item = manifest.config.get("versions", 1)
    if not isinstance(per_item, int) or not 1 < per_item <= MAX_VERSIONS:
        return None
    succeeded: dict[tuple[int, int], int] = {}
    lacking: dict[tuple[int, int], _Lacking] = {}
    for version in iter_last_results(run, _Version):
        place = (version.iteration, version.index)
        succeeded[place] = succeeded.get(place, 0) + (version.status == "ok")
        if version.status != "ok" and (place in lacking or len(lacking) < ITEMS_NAMED):
            lacking.setdefault(place, _Lacking(version)).add(version)
    by_succeeded = [0] * (per_item + 1)
    for ok in succeeded.values():
        # Never more than that, whatever a damaged run says.
        by_succeeded[min(ok, per_item)] += 1
    return VersionFigures(
        per_item=per_item,
        items=len(succeeded),
        by_succeeded=tuple(by_succeeded),
        lacking=tuple(_row(place, lacking[place], succeeded[place]) for place in sorted(lacking)),
    )


def _row(place: tuple[int, int], item: _Lacking, ok: int) -> ItemRow:
    iteration, index = place
    return ItemRow(
        index=index,
        iteration=iteration,
        topic=item.first.topic,
        chapter=item.first.chapter,
        ok=ok,
        failed=item.failed,
        errors=tuple(item.errors),
    )
