"""A rate limit as arithmetic: a token bucket that is told the time."""

from typing import Final

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MINUTE: Final = 60 * _NS_PER_S


class TokenBucket:
    """A bucket that fills at a steady rate and gives one token to each request.

    It holds one second's worth of the rate, at least one token, and starts full. It is kept as the time at which it
    will be full again (the generic cell rate algorithm, ITU-T I.371), so that nothing has to be added up.
    """

    def __init__(self, requests_per_minute: float, *, now_ns: int) -> None:
        self._token_ns = _NS_PER_MINUTE / requests_per_minute
        capacity = max(1.0, requests_per_minute * _NS_PER_S / _NS_PER_MINUTE)
        self._slack_ns = (capacity - 1) * self._token_ns
        self._full_ns = float(now_ns)

    def take(self, now_ns: int) -> float:
        """Take a token; return 0, or the seconds until there is one (then none was taken)."""
        wait_ns = self._full_ns - self._slack_ns - now_ns
        if wait_ns > 0:
            return wait_ns / _NS_PER_S
        self._full_ns = max(self._full_ns, now_ns) + self._token_ns
        return 0.0
