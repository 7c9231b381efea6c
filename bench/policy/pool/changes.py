"""What has changed about routes since somebody last asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.policy.pool.values import Change, ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.policy.pool.route import Route


class Changes:
    """Changes in the order in which they came."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def add(
        self,
        now_s: float,
        routes: Iterable[Route],
        kind: ChangeKind,
        reason: str,
        *,
        before: float | None = None,
        after: float | None = None,
    ) -> None:
        """Note a change, once for each route that it is about; the parameters are the attributes of `Change`."""
        self._changes += (
            Change(at_s=now_s, route=route.place, kind=kind, before=before, after=after, reason=reason)
            for route in routes
        )

    def take(self) -> list[Change]:
        """Return all of them, and forget them."""
        changes, self._changes = self._changes, []
        return changes
