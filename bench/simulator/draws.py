"""Seeded decisions about one request, as pure functions of the seed and the request's number."""

from typing import Final, Literal

from bench.simulator.settings import SimulatorSettings

_NS_PER_S: Final = 1_000_000_000
_MASK: Final = 2**64 - 1
#: Odd 64-bit constants that spread seed, request and lane over the state before it is mixed.
_SEED_STEP: Final = 0xD1342543DE82EF95
_REQUEST_STEP: Final = 0x9E3779B97F4A7C15
_LANE_STEP: Final = 0xA0761D6478BD642F
#: Lane of the draw that decides a request's fate; the wait before token k is drawn in lane k + 1.
_FATE_LANE: Final = 0


#: What becomes of a request that passed the limits.
Fate = Literal["ok", "reject", "error", "cut", "truncate", "malform", "stall"]


def unit(seed: int, request: int, lane: int) -> float:
    """Draw a number in [0, 1) for one lane of one request.

    The finalizer is that of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    """
    mixed = (seed * _SEED_STEP + request * _REQUEST_STEP + lane * _LANE_STEP + _REQUEST_STEP) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return float((mixed ^ (mixed >> 31)) >> 11) * 2.0**-53


class Draws:
    """The decisions that one simulator's settings make.

    Requests are numbered from 0 in the order in which they were read, so a retry is a request of its own.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self._seed = settings.seed
        self._jitter = settings.jitter
        self._ttft_ns = settings.ttft_s * _NS_PER_S
        self._itl_ns = settings.itl_s * _NS_PER_S
        self._steps = _steps(settings)

    def fate(self, request: int) -> Fate:
        """Decide a request's fate by one draw, so that fates exclude each other."""
        if not self._steps:
            return "ok"
        drawn = unit(self._seed, request, _FATE_LANE)
        for bound, fate in self._steps:
            if drawn < bound:
                return fate
        return "ok"

    def wait_ns(self, request: int, token: int) -> int:
        """Return the time between token `token` and the one before it; for token 0, from the request's last byte."""
        mean_ns = self._itl_ns if token else self._ttft_ns
        if self._jitter == 0:
            return round(mean_ns)
        spread = 2 * unit(self._seed, request, token + 1) - 1
        return round(mean_ns * (1 + self._jitter * spread))


def _steps(settings: SimulatorSettings) -> tuple[tuple[float, Fate], ...]:
    """Stack the shares on each other: the upper bound of each fate's part of [0, 1)."""
    shares: tuple[tuple[float, Fate], ...] = (
        (settings.reject_rate, "reject"),
        (settings.error_rate, "error"),
        (settings.cut_rate, "cut"),
        (settings.truncate_rate, "truncate"),
        (settings.malformed_rate, "malform"),
        (settings.stall_rate, "stall"),
    )
    steps: list[tuple[float, Fate]] = []
    bound = 0.0
    for share, fate in shares:
        bound += share
        if share > 0:
            steps.append((bound, fate))
    return tuple(steps)
