"""How many calls may be made beside those that the work needs."""

from __future__ import annotations


class Budget:
    """Extra calls as a share of all calls (a token bucket as in Finagle's RetryBudget and gRPC's retry throttling).

    Args:
        share: Extra calls for each call.
        reserve: Extra calls at the beginning, and the most that can be saved up.
    """

    __slots__ = ("_left", "_reserve", "_share")

    def __init__(self, *, share: float, reserve: float) -> None:
        self._share = share
        self._reserve = reserve
        self._left = reserve

    def add_call(self) -> None:
        """Count a call of any kind."""
        self._left = min(self._reserve, self._left + self._share)

    def take(self) -> bool:
        """Take an extra call out of the budget; return whether there was one left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def put_back(self) -> None:
        """Return an extra call that was taken and not made."""
        self._left = min(self._reserve, self._left + 1)
