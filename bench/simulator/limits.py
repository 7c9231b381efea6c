"""A rate limit as arithmetic: a token bucket that is told the time."""

from typing import Final

_NS_PER_S: Final = 1_000_000_000
_S_PER_MINUTE: Final = 60


class TokenBucket:
    """A bucket that fills at a steady rate and gives one token to each request.

    It holds one second's worth of the rate, at least one token, and starts full.
    """

    def __init__(self, requests_per_minute: float, *, now_ns: int) -> None:
        self._per_ns = requests_per_minute / _S_PER_MINUTE / _NS_PER_S
        self._capacity = max(1.0, requests_per_minute / _S_PER_MINUTE)
        self._tokens = self._capacity
        self._filled_ns = now_ns

    def take(self, now_ns: int) -> float:
        """Take a token; return 0, or the seconds until there is one (then none was taken)."""
        gained = (now_ns - self._filled_ns) * self._per_ns
        self._tokens = min(self._capacity, self._tokens + gained)
        self._filled_ns = now_ns
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_ns / _NS_PER_S
