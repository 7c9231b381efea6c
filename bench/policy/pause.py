"""When a client stood still for so long that its times are no longer the server's."""

from __future__ import annotations

from typing import Final

#: A machine under load wakes a thread some tenths of a second late. A client that nothing ran in for longer than this
#: was stopped, or starved, and what its server sent meanwhile counts as having come afterwards.
STANDSTILL_S: Final = 1.0


def standstill_s(wakeup_lag_max_s: float | None) -> float | None:
    """Return for how many seconds a client stood still at most; None where it did not, or nobody measured.

    Args:
        wakeup_lag_max_s: How late a thread of it woke at most that slept for a moment, all the time.
    """
    if wakeup_lag_max_s is None or wakeup_lag_max_s <= STANDSTILL_S:
        return None
    return wakeup_lag_max_s
