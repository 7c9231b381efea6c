"""When a run is given up: its tasks fail, and the others would fare no better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.errors import ErrorType
    from bench.records import Status

#: So many keys in a row are not refused by chance; fewer slots than that wait for as many.
LEAST_REFUSALS: Final = 8


class GivingUp:
    """Watches how tasks end, one after the other.

    A run ends after so many failures as it was told, and where a server refuses the key of the very first tasks, as
    many as go out at once: not one answer has come then that could be lost, and each further call would be refused.

    Args:
        slots: N, how many tasks go out before the first has come back.
        most_failures: So many failures end the run; None for any number.
    """

    def __init__(self, *, slots: int, most_failures: int | None) -> None:
        self._most_failures = most_failures
        self._failures = 0
        self._needed = max(slots, LEAST_REFUSALS)
        self._refusals = 0
        self.is_idle = False
        self._settle()

    def __repr__(self) -> str:
        """Show what it has seen."""
        return f"<GivingUp {self._failures} failures of {self._most_failures}>"

    def ended(self, status: Status, error_type: ErrorType | None) -> str | None:
        """Note a task's end; return why the run is given up, if it is. `is_idle` once nothing can lead to that."""
        if status == "failed":
            self._failures += 1
            if self._failures == self._most_failures:
                return f"{self._failures} tasks have failed, and --max-failures {self._most_failures} allows no more"
        if self._needed:
            self._refusals += error_type == "auth"
            if error_type != "auth":
                self._needed = 0
                self._settle()
            elif self._refusals == self._needed:
                return (
                    f"the server has refused the key for the first {self._needed} tasks (401 or 403): "
                    "check the key and what it is allowed"
                )
        return None

    def _settle(self) -> None:
        self.is_idle = not self._needed and self._most_failures is None
