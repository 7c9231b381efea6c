"""How many tasks somebody had, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.records import Status


@dataclass
class Outcomes:
    """Tasks that ended; those that neither succeeded nor failed were cancelled."""

    tasks: int = 0
    ok: int = 0
    failed: int = 0

    def count(self, status: Status) -> None:
        """Count a task in."""
        self.tasks += 1
        self.ok += status == "ok"
        self.failed += status == "failed"
